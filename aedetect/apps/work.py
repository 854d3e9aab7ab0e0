"""What the commands do: read a table, fit, score, and tell."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ..detectors.anomaly import AnomalyDetector
from ..detectors.conformal import ConformalDetector
from ..detectors.explain import explain, explain_rows
from ..detectors.inside import calibration_of, fact, inwards
from ..detectors.kernel import KernelAutoencoder
from ..detectors.pca import PCADetector
from ..detectors.rules import EmpiricalNull
from ..rows.threshold import FALSE_ALARMS, p_values
from ..tables.columns import GOES_ON, Time
from ..tables.encoder import TableEncoder
from ..tables.text import brief, listed
from ..tables.writing import csv_file
from .report.content import without_wrapper
from .saved import load, save
from .truth import Truth, agreement

FDR = 0.1
AROUND = 50  # rows read beside one that is explained: they tell a wrong cell from a wrong column
A_MINUTE = 3_000_000  # cells that the default detector learns from and scores in about that time


@dataclass
class Found:
    """Scored rows, and what to say of them.

    Attributes
    ----------
    parts : iterable of (DataFrame, ndarray of bool or None)
        Rows as from `explain_rows`, some at a time, and which of them are outliers in truth.
    verdict : callable
        Makes a sentence from how many rows are flagged, of how many.
    notes : list of str
        About the table and the detector.
    """

    parts: Iterable[tuple[pd.DataFrame, np.ndarray | None]]
    verdict: Callable[[int, int], str]
    notes: list[str]

    def told(self, output: Path | None, top: int) -> tuple[pd.DataFrame, int, str]:
        """Write all rows; return the strangest, how many are flagged, and a summary."""
        strangest: list[pd.DataFrame] = []
        scores, truths, n, flagged = [], [], 0, 0
        with csv_file(output) as write:
            for rows, truth in self.parts:
                write(rows)
                some = pd.concat([*strangest, rows], ignore_index=True)
                strangest = [some.sort_values(["label", "score"], kind="stable").head(top)]
                n, flagged = n + len(rows), flagged + int((rows["label"] == -1).sum())
                if truth is not None:
                    scores.append(rows["score"].to_numpy())
                    truths.append(truth)
        text = self.verdict(flagged, n)
        if truths:
            text += agreement(np.concatenate(scores), np.concatenate(truths))
        return (
            strangest[0],
            flagged,
            text if output is None else f"{text} All rows are in {output}.",
        )


def detected(
    table: Path,
    frame: pd.DataFrame,
    prepare: Callable[[Pipeline], Pipeline],
    *,
    label: str | None,
    outlier: Sequence[str],
    normal: str | None,
    detector: str,
    contamination: Any,
    seed: int,
    device: str,
    exclude: Sequence[str],
    keep: Sequence[str],
) -> Found:
    """Learn from a table, and score it."""
    check_device(device)
    truth = None if label is None else Truth(label, outlier, normal).of_whole(frame)
    rows = without(frame, [*exclude, *([] if label is None else [label])])
    notes = [*frame.attrs.get("notes", [])]
    pipeline = prepare(new_pipeline(detector, rows, 0.0, seed, device, keep, notes))
    learned(pipeline, rows)
    found = explain_rows(pipeline, rows)
    scores = found["score"].to_numpy()
    if contamination == "auto":
        flagged = _stands_out(pipeline, rows, scores)
    else:
        flagged = scores < np.partition(scores, k := round(contamination * len(scores)))[k]
    found["label"] = np.where(flagged, -1, 1)

    verdict = partial(_verdict, table, contamination)
    notes += _compared(pipeline[-1]) + _of_series(pipeline[0])
    return Found([(found, truth)], verdict, notes)


def _verdict(table: Path, contamination: Any, k: int, n: int) -> str:
    """What it means that k of n rows are flagged."""
    if contamination != "auto":
        return f"{table}: {k} of {n} rows flagged, the share of {contamination:g} asked for."
    if k == 0:
        return f"{table}: none of {n} rows stands out from the others beyond chance."
    if k < 5:
        return f"{table}: {k} of {n} rows stand out; about one in ten such rows is a false alarm."
    return (
        f"{table}: {k} of {n} rows stand out; expect about {max(1, round(FDR * k))} of them to be "
        "a false alarm."
    )


def _stands_out(pipeline: Pipeline, rows: pd.DataFrame, scores: np.ndarray) -> np.ndarray:
    """Which of the rows that were learned from do so, beyond chance."""
    if isinstance(pipeline[-1], AnomalyDetector):
        p = pipeline[-1].null_p_values(pipeline[:-1].transform(rows))
        return np.asarray(false_discovery_control(p) <= FDR)
    return scores < EmpiricalNull(fdr=FDR)(scores)


def fitted(
    table: Path,
    frame: pd.DataFrame,
    model: Path,
    prepare: Callable[[Pipeline], Pipeline],
    *,
    detector: str,
    contamination: Any,
    seed: int,
    device: str,
    exclude: Sequence[str],
    keep: Sequence[str],
) -> Iterator[str]:
    """Learn from a table, and write the model."""
    check_device(device)
    rows, notes = without(frame, exclude), [*frame.attrs.get("notes", [])]
    pipeline = prepare(new_pipeline(detector, rows, contamination, seed, device, keep, notes))
    save(learned(pipeline, rows), model)
    yield from notes + _compared(pipeline[-1]) + _of_times(pipeline[0])
    share = FALSE_ALARMS if contamination == "auto" else contamination
    yield (
        f"{model}: learned from {len(rows)} rows of {table}; it flags about {share:.1%} of rows "
        "like these."
    )


def scored(
    table: Path,
    frames: Iterator[pd.DataFrame],
    model: Path,
    *,
    label: str | None,
    outlier: Sequence[str],
    normal: str | None,
) -> Found:
    """Score a table with a model, some rows at a time."""
    first = next(frames)
    detector = _loaded(model)
    known, alarms = calibration_of(detector), _false_alarms(detector)
    truth = None if label is None else Truth(label, outlier, normal)

    def parts() -> Iterator[tuple[pd.DataFrame, np.ndarray | None]]:
        for frame in chain([first], frames):
            outliers = None if truth is None else truth(frame)
            rows = explain_rows(detector, frame if label is None else without(frame, [label]))
            if known is not None:
                rows.insert(2, "p_value", p_values(rows["score"].to_numpy(), known))
            yield rows, outliers
        if truth is not None:
            truth.check()

    def verdict(k: int, n: int) -> str:
        expected = (
            "" if alarms is None else f" Of {n} normal rows, about {alarms * n:.0f} would be."
        )
        return f"{table}: {k} of {n} rows flagged.{expected}"

    return Found(parts(), verdict, [*first.attrs.get("notes", [])])


def _loaded(model: Path) -> Any:
    """A detector from a file, one that can explain its rows."""
    detector = load(model)
    without_wrapper(detector)
    return detector


def _false_alarms(detector: Any) -> float | None:
    """The share of normal rows that is flagged, if it was asked for or can be told."""
    known = calibration_of(detector)
    if known is None:
        return None
    judge = next(part for part in inwards(detector) if hasattr(part, "offset_"))
    if judge.offset_ == -np.inf:
        return 0.0
    if isinstance(judge, ConformalDetector):
        return judge.alpha
    return float(p_values(np.nextafter(judge.offset_, -np.inf), known))


def explained(
    table: Path, frames: Iterator[pd.DataFrame], model: Path, row: int, top: int
) -> tuple[pd.DataFrame, str]:
    """What is strange in a row, and whether it is flagged."""
    n, detector = 0, _loaded(model)
    for frame in frames:
        if row <= n + len(frame):
            start = max(row - 1 - n - AROUND, 0)
            some = frame.iloc[start : row - n + AROUND]
            some.attrs = frame.attrs | {"first_row": n + start}
            told, i = explain(detector, some, top), row - 1 - n - start
            score, offset = detector.score_samples(some)[i], fact(detector, "offset_")
            verdict = (
                f"{table}: row {row} has a score of {score:.4g}; it is "
                f"{'' if score < offset else 'not '}flagged (below {offset:.4g})."
            )
            return told[told["row"] == i].drop(columns="row"), verdict
        n += len(frame)
    raise ValueError(f"--row {row}: {table} has {n} rows")


def described(model: Path) -> Iterator[str]:
    """What is in a file."""
    detector = load(model)
    steps = [step for _, step in detector.steps] if isinstance(detector, Pipeline) else [detector]
    yield f"{model}: {os.path.getsize(model):,} bytes"
    for step in steps:
        yield f"{type(step).__name__}: {' '.join(repr(step).split())}"
        if isinstance(step, TableEncoder):
            for column in step.columns_:
                yield f"  {column.name}: {type(column).__name__.lower()}"
            for name, reason in step.left_out_.items():
                yield f"  {name}: left out, it {reason}"
    last = steps[-1]
    if hasattr(last, "offset_"):
        yield f"rows that score below {last.offset_:.4g} are flagged"


def robust_autoencoder(**params: Any) -> Any:
    """An autoencoder that strange training rows mislead little.

    They pull less on an absolute error than on a squared one; weight decay keeps the network from
    learning them by heart; and a code that cannot grow without limit cannot follow a row that is
    far from all others.
    """
    from ..detectors.autoencoder import Autoencoder
    from ..networks.dense import Dense

    return Autoencoder(
        network=Dense(hidden=(64, 32), code_activation="tanh"),
        loss="absolute_error",
        optimizer="adamw",
        weight_decay=1.0,
        epochs=50,
        **params,
    )


def new_pipeline(
    name: str,
    rows: pd.DataFrame,
    contamination: Any,
    seed: int,
    device: str,
    keep: Sequence[str],
    notes: list[str],
) -> Pipeline:
    """The detector of that name for a table, not fitted; what to say of it goes to the notes."""
    encoder = TableEncoder(keep=tuple(keep))
    if name == "auto":
        name = "default" if rows.size <= A_MINUTE else "autoencoder"
        if name == "autoencoder":
            notes.append(
                "The table is large: an autoencoder is used; --detector default is slower."
            )
    if name == "default":
        detector: Any = AnomalyDetector(contamination=contamination, random_state=seed)
        return make_pipeline(encoder, detector)
    if name == "pca":
        detector = PCADetector(contamination=contamination)
    elif name == "kernel":
        detector = KernelAutoencoder(contamination=contamination, random_state=seed)
    else:
        detector = robust_autoencoder(contamination=contamination, random_state=seed, device=device)
    return make_pipeline(encoder, StandardScaler(), detector)


def learned(pipeline: Pipeline, rows: pd.DataFrame) -> Pipeline:
    """Fit; a row without a value is named as rows are here, counted from 1."""
    try:
        return pipeline.fit(rows)
    except ValueError as error:
        encoder = pipeline[0]
        if hasattr(encoder, "columns_"):  # else it is the encoder that refuses
            empty = np.isnan(encoder.transform(rows)).all(axis=1)
            if empty.any():
                raise ValueError(
                    f"row {empty.argmax() + 1} has no value in a column that is used; "
                    f"{empty.sum()} of {len(rows)} rows are so. Drop them"
                ) from error
        raise


def _of_series(encoder: TableEncoder) -> list[str]:
    """What to say of values in the order of time."""
    if len(encoder.columns_) > 1 or GOES_ON not in encoder.left_out_.values():
        return []
    return [
        "Each value is scored by itself, whatever came before and after it; aedetect series looks "
        "at them in the order of time."
    ]


def _of_times(encoder: TableEncoder) -> list[str]:
    """What to say of times, of which those in new rows may be later than all that were learned."""
    times = [kind.name for kind in encoder.columns_ if isinstance(kind, Time)]
    if not times:
        return []
    return [
        f"Times are learned, too: rows with later ones than in this table will look strange. To "
        f"score such rows, --exclude {listed(times)}."
    ]


def _compared(detector: Any) -> list[str]:
    """What to say of a network that principal components would do better than."""
    report = getattr(detector, "fit_report_", None)
    if report is None or report["error"] <= 1.1 * report["pca_error"]:
        return []
    return [
        f"Principal components rebuild the rows better than the network (error "
        f"{report['pca_error']:.2g}, not {report['error']:.2g}); try --detector pca."
    ]


def without(frame: pd.DataFrame, exclude: Sequence[str]) -> pd.DataFrame:
    """The table without some columns."""
    unknown = [name for name in exclude if name not in frame.columns]
    if unknown:
        raise ValueError(f"no column named {listed(unknown)}; there are {listed(frame.columns)}")
    rows = frame.drop(columns=list(exclude))
    if rows.shape[1] < 2:
        raise ValueError(f"{rows.shape[1]} column(s) left to learn from; at least two are needed")
    return rows


def check_device(device: str) -> None:
    """Refuse a device by a computation: torch has names of many that cannot compute here."""
    import torch

    try:
        torch.ones(1, device=None if device == "auto" else device).sum().item()
    except Exception as error:
        raise ValueError(
            f"--device {brief(device)}: torch cannot compute there; expected auto, cpu or an "
            "accelerator of this machine, such as cuda"
        ) from error
