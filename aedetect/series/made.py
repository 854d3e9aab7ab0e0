"""A detector for series as people have them."""

from typing import Any, Literal

from ..rows.threshold import Contamination
from .detector import SeriesDetector, default_window


def make_series_detector(
    estimator: Any = None,
    *,
    length: Literal["auto"] | int = "auto",
    stride: int = 1,
    key: str | None = None,
    causal: bool = False,
    contamination: Contamination = "auto",
    random_state: int | None = None,
) -> SeriesDetector:
    """Make a detector for points of series, of channels scaled to unit variance.

    Channels with fewer than 10 different values, such as commands and states, are left out.

    Parameters
    ----------
    estimator : detector, default=None
        Scores windows; None as in `SeriesDetector`.
    length : int or "auto", default="auto"
        Points of a window; "auto" finds what repeats.
    stride : int, default=1
        Points from one window to the next; more is faster.
    key : str, default=None
        Column of a table that says which series a row is of.
    causal : bool, default=False
        Whether the score of a point uses nothing that comes later.
    contamination : float or "auto", default="auto"
        Sets the threshold, as in `SeriesDetector`.
    random_state : int or None, default=None
        Seed.

    Returns
    -------
    SeriesDetector

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from aedetect import make_series_detector
    >>> hours = pd.date_range("2024-01-01", periods=24 * 60, freq="h")
    >>> rng = np.random.default_rng(0)
    >>> load = np.sin(hours.hour * 2 * np.pi / 24) + 0.1 * rng.standard_normal(24 * 60)
    >>> table = pd.DataFrame({"load": load, "noise": rng.standard_normal(24 * 60)}, index=hours)
    >>> detector = make_series_detector(random_state=0).fit(table[: 24 * 40])
    >>> table.loc["2024-02-20", "load"] *= -1
    >>> alarms = detector.alarms(table[24 * 40 :])
    >>> alarms.loc[alarms["score"].idxmin(), "channels"]
    'load'
    """
    window = default_window(length=length, stride=stride, key=key, causal=causal)
    return SeriesDetector(
        window=window, estimator=estimator, contamination=contamination, random_state=random_state
    )
