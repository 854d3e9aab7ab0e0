"""Whether what a file says of a fitted window, or of a detector of series, can be."""

import numpy as np

from ..models.base import refuse_shapes, refuse_unless_positive
from .detector import SeriesDetector
from .partial import Partial
from .window import SlidingWindow


def check_window(window: SlidingWindow) -> None:
    """Raise ValueError where fitted values do not belong together."""
    if not hasattr(window, "length_"):
        return
    channels, n = window.channels_, window.n_features_in_
    k = len(channels)
    refuse_shapes(channels_=(channels, (k,)), mean_=(window.mean_, (k,)))
    refuse_shapes(scale_=(window.scale_, (k,)))
    for name, number in (("length_", window.length_), ("n_features_in_", n)):
        if type(number) is not int or number < 1:
            raise ValueError(f"{name}={number!r}; expected a count")
    if channels.dtype.kind != "i" or not np.isin(channels, np.arange(n)).all() or not k:
        raise ValueError(f"channels_ are {channels}; there are {n}")
    if not (window.scale_ > 0).all():
        raise ValueError("scale_ has values that are not positive")
    if window.step_ is not None:
        refuse_unless_positive(step_=window.step_)


def check_series(detector: SeriesDetector) -> None:
    """Raise ValueError where windows, their detector and the threshold do not belong together."""
    if not hasattr(detector, "window_"):
        return
    window, partial = detector.window_, detector.partial_
    if not isinstance(window, SlidingWindow) or not hasattr(window, "length_"):
        raise ValueError(f"window_={window!r} is no fitted SlidingWindow")
    check_window(window)
    if detector.n_features_in_ != window.n_features_in_:
        raise ValueError(f"n_features_in_={detector.n_features_in_}; not that of window_")
    width = len(window.channels_) * window.length_
    if getattr(detector.estimator_, "n_features_in_", width) != width:
        raise ValueError(f"estimator_ does not score windows of {width} values")
    if partial is not None:
        _check_partial(partial, window.length_)


def _check_partial(partial: Partial, length: int) -> None:
    counts, k = partial.counts, len(partial.counts)
    refuse_shapes(counts=(counts, (k,)), medians=(partial.medians, (k,)))
    refuse_shapes(spreads=(partial.spreads, (k,)))
    if not k or counts[-1] > length or (np.diff(counts) < 0).any():
        raise ValueError(f"counts of partial_ do not ascend to {length}")
