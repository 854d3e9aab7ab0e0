"""Points as they were given: values, series by a key, times, and which rows follow each other."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd

from ..params import Record
from ..rows.inputs import readable
from ..warn import warn

GAP = 1.5  # steps from one row to the next, beyond which there is a gap
FEW, MANY = 5, 0.05  # gaps, of the steps: with more than both, time is irregular
UNEVEN = 0.1  # of a step, by which steps may differ and count as equal


@dataclass(frozen=True, eq=False)
class Points(Record):
    """Points of one or several series.

    Attributes
    ----------
    values : ndarray of shape (n_points, n_channels)
    keys : Index or None
        Which series each point is of; None if there is one.
    times : DatetimeIndex, TimedeltaIndex or None
        Of each point, where an index told; those with a time zone in UTC.
    """

    values: np.ndarray
    keys: pd.Index | None
    times: pd.Index | None

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def series(self) -> np.ndarray:
        """Number of the series that each point is of."""
        return np.zeros(len(self), int) if self.keys is None else pd.factorize(self.keys)[0]

    @cached_property
    def seconds(self) -> np.ndarray | None:
        """Time of each point."""
        if self.times is None:
            return None
        return np.asarray(self.times - self.times.min()) / np.timedelta64(1, "s")

    def followed_by(self, others: Self) -> Self:
        """These points and later ones."""
        before, now = _kind(self.times), _kind(others.times)
        if before != now:
            raise ValueError(
                f"The index of X holds {now}; that of the points before held {before}."
            )
        return type(self)(
            np.concatenate([self.values, others.values]),
            None if self.keys is None else self.keys.append(others.keys),
            None if self.times is None else self.times.append(others.times),
        )

    def newest(self, n: int) -> Self:
        """The last n points of each series."""
        from_end = pd.Series(self.series).groupby(self.series).cumcount(ascending=False)
        last = np.flatnonzero(from_end < n)
        keys, times = (None if x is None else x[last] for x in (self.keys, self.times))
        return type(self)(self.values[last], keys, times)


def index_of(X: Any) -> pd.Index | None:
    """The index of a table; a list, say, has a method of that name."""
    index = getattr(X, "index", None)
    return index if isinstance(index, pd.Index) else None


def times_of(X: Any) -> pd.Index | None:
    """Time of each row, where the index of a table tells."""
    index = index_of(X)
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        return None
    if index.hasnans:
        raise ValueError(f"The index of X has no time in row {int(index.isna().argmax())}.")
    return index.tz_convert("UTC") if getattr(index, "tz", None) is not None else index


def warn_of_texts(X: Any) -> None:
    """Warn of an index of texts that would be times."""
    index = index_of(X)
    some = [] if index is None else list(index[:5])
    if not some or not all(isinstance(label, str) for label in some):
        return
    if pd.to_datetime(some, format="ISO8601", errors="coerce").notna().all():
        warn(
            f"The index of X holds texts, such as {some[0]!r}, and no times: gaps in time are not "
            "seen. X.index = pandas.to_datetime(X.index) makes times of them."
        )


def taken_apart(X: Any, key: str | None) -> tuple[Any, pd.Index | None]:
    """Return readable channels, and the key of each row."""
    if isinstance(X, pd.Series):
        X = X.to_frame()
    if isinstance(X, pd.DataFrame):
        times = [c for c in X.select_dtypes(["datetime", "datetimetz"]) if c != key]
        if times:
            raise ValueError(
                f"Column {times[0]!r} of X holds times; they belong in the index, "
                f"X.set_index({times[0]!r})."
            )
    if key is None:
        return readable(X), None
    if hasattr(X, "to_pandas"):
        X = X.to_pandas()
    columns = list(getattr(X, "columns", ()))
    if columns.count(key) != 1:
        several = "several columns of that name" if key in columns else "no such column"
        raise ValueError(f"key={key!r}: X has {several}.")
    if len(columns) == 1:
        raise ValueError(f"key={key!r}: X has no other column, and so no channel.")
    keys = pd.Index(X[key])
    if keys.hasnans:
        raise ValueError(f"key={key!r}: no key in row {int(keys.isna().argmax())}.")
    return readable(X.drop(columns=key)), keys


def pieces(points: Points, step: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Order of the rows, and how many belong together each time: one series without a gap."""
    order = np.argsort(points.series, kind="stable")
    ends = np.diff(points.series[order]) > 0
    if points.seconds is not None and step is not None:
        ends |= np.diff(points.seconds[order]) > GAP * step
    borders = np.r_[0, np.flatnonzero(ends) + 1, len(points)]
    return order, np.diff(borders)


def step_of(points: Points) -> float | None:
    """Median time from one row to the next, in seconds."""
    steps = _steps(points)
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else None


def refuse_times_back(points: Points) -> None:
    """Raise for times that go back."""
    steps = _steps(points)
    if (steps < 0).any():
        back = pd.Timedelta(-float(steps.min()), "s")
        raise ValueError(f"The times of X go back, by up to {back}; sort the rows by time.")


def warn_of_times(points: Points, step: float | None) -> bool:
    """Warn of times that are equal or irregular, and return whether there are any."""
    steps, usual = _steps(points), step_of(points)
    if step is None or usual is None:
        return False
    if len(steps) > FEW and not 1 / GAP < usual / step < GAP:
        warn(
            f"The times of X are {usual:g} s apart, those that were learned from {step:g} s: "
            "windows hold other stretches of time. Resample X."
        )
        return True
    same, gaps = int((steps == 0).sum()), int((steps > GAP * step).sum())
    if same:
        warn(
            f"Rows with the time of the row before them: {same} of {len(points)}. They count as a "
            "step later; a key tells several series apart."
        )
    uneven = (np.abs(steps - step) > UNEVEN * step) & (steps <= GAP * step) & (steps > 0)
    irregular = bool(uneven.any()) or gaps > max(FEW, MANY * len(steps))
    if irregular:
        warn(
            f"Time is irregular: of {len(steps)} steps from row to row, {uneven.sum()} differ by "
            f"more than {UNEVEN:.0%} from the median, {step:g} s ({steps.min():g} s to "
            f"{steps.max():g} s), and {gaps} are gaps, which no window crosses. Other rows count "
            "as equally far apart; resample them if they are not."
        )
    return irregular or same > 0


def _steps(points: Points) -> np.ndarray:
    if points.seconds is None:
        return np.empty(0)
    order = np.argsort(points.series, kind="stable")
    return np.diff(points.seconds[order])[np.diff(points.series[order]) == 0]


def _kind(times: pd.Index | None) -> str:
    if times is None:
        return "no times"
    if isinstance(times, pd.TimedeltaIndex):
        return "durations"
    return f"times {'without' if times.tz is None else 'with'} a time zone"
