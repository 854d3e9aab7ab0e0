"""What a report says, as plain values: what was learned, from what, and what is strange."""

import platform
from collections.abc import Iterator
from importlib.metadata import version
from inspect import signature
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from ... import __version__
from ...detectors.conformal import ConformalDetector
from ...detectors.explain import explain
from ...detectors.inside import inwards, steps, unwrapped
from ...detectors.wrapper import scores_by
from ...rows.threshold import p_values
from ...tables.columns import UNKNOWN
from ...tables.encoder import TableEncoder, as_frame
from ...tables.text import brief
from .scores import calibration, distribution

COLUMNS = 200  # listed at most; a table may have a hundred thousand
REASONS = 10  # columns that are listed for a row
LONGEST = 100  # characters of a name or a cell
LEARNED = 0.99  # a larger share of the column means' error is a failure
AS_GOOD = 1.1  # an error up to so many times PCA's counts as no worse
PACKAGES = ("numpy", "pandas", "scikit-learn", "torch")


def contents(detector: Any, X: Any, y: Any, top: int) -> dict[str, Any]:
    """Score rows, and collect what there is to say, with the names that docs/REPORT.md explains."""
    plain = without_wrapper(detector)
    last = next(part for part in inwards(detector) if hasattr(part, "offset_"))
    frame = as_frame(X)[0]
    notes = frame.attrs.get("notes", [])
    outlier = _outliers(y, len(frame))
    scores = scores_by(detector, X)
    known = _calibration_scores(last, plain[-1])
    rows, columns = _read(plain[0], X)
    strangest = np.argsort(scores, kind="stable")[:top]
    return {
        "name": brief(str(frame.attrs.get("name", "")), LONGEST),
        "notes": [notes] if isinstance(notes, str) else list(notes),
        "n_rows": len(frame),
        "n_columns": frame.shape[1],
        "columns": columns,
        "fit": _fit(plain[-1]),
        "offset": float(last.offset_) if np.isfinite(last.offset_) else None,
        "scores": distribution(-scores, -float(last.offset_), known, outlier),
        "agreement": None if outlier is None else _agreement(scores, outlier),
        "rows": [
            {
                "row": int(i) + 1 + frame.attrs.get("first_row", 0),
                "score": float(scores[i]),
                "flagged": bool(scores[i] < last.offset_),
                "p_value": None if known is None else float(p_values(scores[i], known)),
                "label": None if outlier is None else -1 if outlier[i] else 1,
                "columns": reasons,
            }
            for i, reasons in zip(strangest, _reasons(plain, rows, strangest), strict=True)
        ],
        "calibration": None if known is None else calibration(scores, known, outlier),
        "detector": [_settings(step) for step in dict.fromkeys([*steps(plain), last])],
        "seed": _seed(plain[-1]),
        "versions": {
            "aedetect": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }


def without_wrapper(detector: Any) -> Pipeline:
    """The steps of a fitted detector, the last of which explains its rows."""
    if hasattr(detector, "fit"):
        check_is_fitted(detector)
    inner = steps(unwrapped(detector))
    if not all(hasattr(inner[-1], name) for name in ("score_features", "reconstruct", "fit")):
        raise TypeError(
            f"detector={brief(repr(detector), 200)}; expected a fitted detector of this package "
            "that has score_features and reconstruct, a Pipeline that ends in one, or a wrapper "
            "around one."
        )
    return Pipeline([(str(i), step) for i, step in enumerate(inner)])


def _outliers(y: Any, n: int) -> np.ndarray | None:
    """Which rows the labels mark as outliers."""
    if y is None:
        return None
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise ValueError(f"y has shape {labels.shape}; expected ({n},), a label for each row of X.")
    found = pd.unique(pd.Series(labels))
    if not set(found) <= {-1, 1}:
        shown = ", ".join(brief(str(label)) for label in found[:5])
        raise ValueError(f"y holds {shown}; expected +1 for inliers and -1 for outliers.")
    return labels == -1


def _calibration_scores(last: Any, plain: Any) -> np.ndarray | None:
    """Sorted scores of rows that were not learned from, if there are any."""
    if isinstance(last, ConformalDetector) and last.method == "jackknife+":
        return None  # each of its scores belongs to a model of its own
    return getattr(last, "calibration_scores_", getattr(plain, "calibration_scores_", None))


def _read(first: Any, X: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Rows, read but not encoded, and what their columns are."""
    frame, named = as_frame(X)
    kinds, left_out, rows = dict.fromkeys(frame.columns, "number"), {}, X
    if isinstance(first, TableEncoder):
        if not named:
            frame.columns = getattr(first, "feature_names_in_", frame.columns)
        kinds = {column.name: type(column).__name__.lower() for column in first.columns_}
        left_out = first.left_out_
        others = frame.drop(columns=list(kinds)).reset_index(drop=True)
        rows = pd.concat([first.values(X), others], axis=1)
    looked_at = rows if rows is not X else frame
    return rows, [
        {
            "column": brief(name, LONGEST),
            "type": kinds.get(name),
            "gaps": float((looked_at[name].isna() | (looked_at[name] == UNKNOWN)).mean()),
            "left_out": left_out.get(name, None if name in kinds else "was not learned from"),
        }
        for name in frame.columns[:COLUMNS]
    ]


def _fit(detector: Any) -> dict[str, Any] | None:
    """Mean errors of the detector, the column means and principal components, and a verdict."""
    report = getattr(detector, "fit_report_", None)
    if report is None:
        return None
    error, mean, pca = (report[name] for name in ("error", "mean_row_error", "pca_error"))
    if error > LEARNED * mean:
        verdict = "It did not learn: it rebuilds rows barely better than the column means do."
    elif error > AS_GOOD * pca:
        verdict = (
            "It learned less than it could have: principal components rebuild the rows better."
        )
    else:
        verdict = "It learned: it rebuilds rows as well as principal components do, or better."
    names = ("rows", "error", "mean_row_error", "pca_error")
    return {"verdict": verdict, **{name: report[name] for name in names}}


def _agreement(scores: np.ndarray, outlier: np.ndarray) -> dict[str, Any]:
    """How well scores agree with labels; unknown if all rows are of one kind."""
    both = 0 < outlier.sum() < len(outlier)
    return {
        "outliers": int(outlier.sum()),
        "auroc": float(roc_auc_score(outlier, -scores)) if both else None,
        "average_precision": float(average_precision_score(outlier, -scores)) if both else None,
    }


def _reasons(plain: Pipeline, rows: Any, some: np.ndarray) -> Iterator[list[dict[str, Any]]]:
    """The columns that contribute most to the errors of some rows."""
    told = explain(plain, _safe_indexing(rows, some), REASONS)
    for _, lines in told.drop(columns="row").groupby(told["row"]):
        yield [
            {name: _cell(value) for name, value in line.items()}
            for line in lines.to_dict("records")
        ]


def _cell(value: Any) -> Any:
    """A cell for JSON: a finite number, a text, or None."""
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat(sep=" ")
    if isinstance(value, int | float | np.number):
        return float(value) if np.isfinite(value) else None
    return brief(str(value), LONGEST)


def _settings(step: Any) -> dict[str, Any]:
    """A step, and those of its parameters that are not the default."""
    usual = signature(type(step)).parameters
    given = step.get_params(deep=False)
    changed = {
        name: brief(" ".join(repr(value).split()), LONGEST)
        for name, value in given.items()
        if name not in usual or repr(value) != repr(usual[name].default)
    }
    return {"step": type(step).__name__, "settings": changed}


def _seed(detector: Any) -> int | str | None:
    """The seed that reproduces a fit; None if it was left to chance."""
    seed = getattr(detector, "random_state", "not needed")
    return int(seed) if isinstance(seed, int | np.integer) else seed and brief(str(seed), LONGEST)
