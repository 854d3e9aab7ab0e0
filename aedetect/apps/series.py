"""What ``aedetect series`` does: read points in the order of time, learn, and tell intervals."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..rows.limits import WORST
from ..rows.threshold import FALSE_ALARMS
from ..series.detector import SeriesDetector
from ..series.made import make_series_detector
from ..tables.cells import warn_of_order
from ..tables.columns import Number, Time, kind_of
from ..tables.encoder import TableEncoder
from ..tables.text import brief, listed
from ..tables.writing import write_csv

WRITTEN = ("time", "score", "label")  # columns of points


def alarms_in(
    table: Path,
    frame: pd.DataFrame,
    train: pd.DataFrame | None,
    output: Path | None,
    *,
    time: str,
    key: str | None,
    exclude: Sequence[str],
    keep: Sequence[str],
    length: int | None,
    seed: int,
) -> tuple[pd.DataFrame, list[str]]:
    """Learn from a table or another one, write all points, return intervals and what to say."""
    if key == time:
        raise ValueError(f"--key {brief(time)} is also --time; a key says which series a row is of")
    if output is not None and key in WRITTEN:
        raise ValueError(f"--key {brief(key)} is the name of a column of the output; rename it")
    learned = frame if train is None else train
    named = [time, *([] if key is None else [key])]
    encoder = TableEncoder(keep=tuple(keep)).fit(_values(learned, [*named, *exclude]))
    known, scored = (_points(rows, encoder, time, key) for rows in (learned, frame))
    order = _of_order(table, scored, time, key)
    written = frame[time].iloc[np.argsort(scored.index, kind="stable")].to_numpy()
    known, scored = (points.sort_index(kind="stable") for points in (known, scored))
    detector = make_series_detector(length=length or "auto", key=key, random_state=seed)
    detector.fit(known)
    points = detector.score_points(scored).reset_index(names="time").assign(time=written)
    alarms = detector.alarms(scored)
    as_written = dict(zip(scored.index, written, strict=True))
    for name in ("start", "end", "peak"):
        alarms[name] = alarms[name].map(as_written)
    alarms.loc[alarms["score"] == -WORST, "channels"] = "(no value)"
    if output is not None:
        if key is not None:
            points.insert(0, key, scored[key].to_numpy())
        write_csv(points, output)
    return alarms, [
        *frame.attrs.get("notes", []),
        *order,
        _summary(table, points, alarms, detector, output),
    ]


def _values(frame: pd.DataFrame, others: Sequence[str]) -> pd.DataFrame:
    """The table without columns that are no channels; one channel will do."""
    unknown = [name for name in others if name not in frame.columns]
    if unknown:
        raise ValueError(f"no column named {listed(unknown)}; there are {listed(frame.columns)}")
    return frame.drop(columns=list(others))


def _points(frame: pd.DataFrame, encoder: TableEncoder, time: str, key: str | None) -> pd.DataFrame:
    """Channels as numbers, with time as the index, and the key."""
    missing = [name for name in (time, key) if name is not None and name not in frame.columns]
    if missing:
        raise ValueError(f"no column named {listed(missing)}; there are {listed(frame.columns)}")
    channels = pd.DataFrame(encoder.transform(frame), columns=encoder.get_feature_names_out())
    channels.index = _times(frame, time)
    if key is not None:
        unknown = frame[key].isna().to_numpy()
        if unknown.any():
            raise ValueError(f"--key {brief(key)}: row {int(unknown.argmax()) + 1} has no key")
        channels[key] = frame[key].to_numpy()
    return channels


def _of_order(table: Path, points: pd.DataFrame, time: str, key: str | None) -> list[str]:
    """What to say of rows that are not in the order of time."""
    times = points.index.to_series()
    back = times.diff() if key is None else times.groupby(points[key].to_numpy()).diff()
    k = int((back < pd.Timedelta(0)).sum())
    return [f"{table}: rows are sorted by {brief(time)}, which goes back {k} times."] * (k > 0)


def _times(frame: pd.DataFrame, time: str) -> pd.Index:
    """A column of times, or of seconds."""
    kind = kind_of(frame[time], time, 1, frame.attrs.get("decimal", "."))
    if not isinstance(kind, Time | Number):
        odd = pd.to_datetime(frame[time], errors="coerce", format="mixed").isna().to_numpy()
        row = int(odd.argmax())
        raise ValueError(
            f"--time {brief(time)}: row {row + 1} holds {listed([frame[time].iloc[row]])}, which "
            "is neither a time nor a number of seconds"
        )
    if isinstance(kind, Time):
        warn_of_order(frame[time], kind.form)
    values, _ = kind.read(frame[time])
    if np.isnan(values).any():
        row = int(np.isnan(values).argmax()) + 1
        raise ValueError(f"--time {brief(time)}: row {row} has no time")
    if isinstance(kind, Time):
        return pd.to_datetime(values, unit="D").round("us")
    return pd.to_timedelta(values, unit="s")


def strongest(alarms: pd.DataFrame, most: int) -> pd.DataFrame:
    """The intervals with the lowest scores, in the order of time."""
    return alarms.loc[alarms["score"].nsmallest(most).index.sort_values()]


def _summary(
    table: Path,
    points: pd.DataFrame,
    alarms: pd.DataFrame,
    detector: SeriesDetector,
    output: Path | None,
) -> str:
    n, flagged = len(points), int((points["label"] == -1).sum())
    length = detector.window_.length_
    where = "" if output is None else f" All points are in {output}."
    return (
        f"{table}: {len(alarms)} interval{'s' * (len(alarms) != 1)} with {flagged} of {n} points "
        f"flagged, by windows of {length} point{'s' * (length != 1)}. Of {n} normal points, about "
        f"{FALSE_ALARMS * n:.0f} would be.{where}"
    )
