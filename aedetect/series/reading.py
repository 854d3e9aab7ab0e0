"""Which rows follow each other: series by a key, and gaps in time."""

from typing import Any

import numpy as np
import pandas as pd

from ..warn import warn

GAP = 1.5  # steps from one row to the next, beyond which there is a gap
FEW, MANY = 5, 0.05  # gaps, of the steps: with more than both, time is irregular
UNEVEN = 0.1  # of a step, by which steps may differ and count as equal


def times_of(X: Any) -> np.ndarray | None:
    """Time of each row in seconds, where the index of a table tells."""
    index = getattr(X, "index", None)
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    if not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        return None
    if index.hasnans:
        raise ValueError(f"The index of X has no time in row {int(index.isna().argmax())}.")
    return np.asarray(index - index.min()) / np.timedelta64(1, "s")


def taken_apart(X: Any, key: str | None) -> tuple[Any, np.ndarray]:
    """Return the table without the key, and for each row a number of its series."""
    if isinstance(X, pd.Series):
        X = X.to_frame()
    if key is None:
        return X, np.zeros(len(X) if hasattr(X, "__len__") else 0, int)
    if hasattr(X, "to_pandas"):
        X = X.to_pandas()
    if key not in getattr(X, "columns", ()):
        raise ValueError(f"key={key!r}: X has no such column.")
    codes, _ = pd.factorize(X[key])
    if (codes < 0).any():
        raise ValueError(f"key={key!r}: no key in row {int((codes < 0).argmax())}.")
    return X.drop(columns=key), codes


def pieces(
    series: np.ndarray, times: np.ndarray | None, step: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Order of the rows, and how many belong together each time: one series without a gap."""
    order = np.argsort(series, kind="stable")
    ends = np.diff(series[order]) > 0
    if times is not None and step is not None:
        ends |= np.diff(times[order]) > GAP * step
    borders = np.r_[0, np.flatnonzero(ends) + 1, len(series)]
    return order, np.diff(borders)


def step_of(series: np.ndarray, times: np.ndarray | None) -> float | None:
    """Median time from one row to the next, in seconds."""
    steps = _steps(series, times)
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else None


def check_times(series: np.ndarray, times: np.ndarray | None, step: float | None) -> None:
    """Refuse times that go back, and warn of those that are irregular."""
    steps = _steps(series, times)
    if (steps < 0).any():
        back = pd.Timedelta(-float(steps.min()), "s")
        raise ValueError(f"The times of X go back, by up to {back}; sort the rows by time.")
    if step is None:
        return
    same, gaps = int((steps == 0).sum()), int((steps > GAP * step).sum())
    if same and times is not None:
        warn(
            f"Rows with the time of the row before them: {same} of {len(times)}. They count as a "
            "step later; a key tells several series apart."
        )
    uneven = (np.abs(steps - step) > UNEVEN * step) & (steps <= GAP * step) & (steps > 0)
    if uneven.any() or gaps > max(FEW, MANY * len(steps)):
        warn(
            f"Time is irregular: of {len(steps)} steps from row to row, {uneven.sum()} differ by "
            f"more than {UNEVEN:.0%} from the median, {step:g} s ({steps.min():g} s to "
            f"{steps.max():g} s), and {gaps} are gaps, which no window crosses. Other rows count "
            "as equally far apart; resample them if they are not."
        )


def _steps(series: np.ndarray, times: np.ndarray | None) -> np.ndarray:
    if times is None:
        return np.empty(0)
    order = np.argsort(series, kind="stable")
    return np.diff(times[order])[np.diff(series[order]) == 0]
