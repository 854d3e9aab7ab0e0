"""Windows that slide over series, and scores of windows spread over their points."""

from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ..params import Count, Params, all_or_nothing
from ..rows.checks import refuse_infinite
from ..rows.inputs import validated
from ..rows.limits import bounded
from ..rows.linear import column_means, observed_deviations
from ..tables.text import listed
from ..warn import warn
from .period import period
from .reading import (
    Points,
    index_of,
    pieces,
    refuse_times_back,
    step_of,
    taken_apart,
    times_of,
    warn_of_texts,
    warn_of_times,
)
from .tape import Tape

FLAT = 0.01  # of a channel's deviation: a window that varies less is taken to be flat


class SlidingWindow(TransformerMixin, Params):
    """Turns series into windows, one a row, and scores of windows into scores of points.

    A window holds `length` consecutive points of one series, channel after channel. No window
    reaches from one series into another, or across a gap in time: where the index of a table holds
    times, and a step is longer than 1.5 times the median step of `fit`. The last points of a series
    are in a window whatever the stride, and a series shorter than a window is one window, with NaN
    in front.

    Parameters
    ----------
    length : int or "auto", default="auto"
        Points of a window; "auto": the lag from 8 to 400 at which the autocorrelation peaks, or 100
        if nothing repeats.
    stride : int, default=1
        Points from one window to the next.
    standardise : {"window", "train"} or None, default=None
        What to bring to mean 0 and standard deviation 1: each channel of each window, so that only
        its shape counts; or each channel, by its mean and deviation in `fit`.
    key : str, default=None
        Column of a table that says which series a row is of; rows of several may alternate.
    min_values : int, default=1
        Different values that a channel must have in `fit`; others are left out, unless all would
        be. Commands and states, such as 0 and 1, say what was done rather than how it went, and
        what is rare or new among them drowns everything else.
    causal : bool, default=False
        Whether the score of a point is that of the one window that ends there, so that it uses
        nothing that comes later. NaN stands before the first points of a series, whose windows are
        not full; `SeriesDetector` brings their scores to the scale of whole ones.

    Attributes
    ----------
    length_ : int
        Points of a window.
    step_ : float or None
        Median time from one row to the next, in seconds; None without times.
    channels_ : ndarray of int
        Which channels are used.
    mean_, scale_ : ndarray of shape (len(channels_),)
        Of the points given to `fit`.
    n_features_in_ : int
        Number of channels given.
    feature_names_in_ : ndarray of shape (n_channels,)
        Only where `X` had column names.

    References
    ----------
    Paparrizos, Kang, Boniol, Tsay, Palpanas & Franklin, "TSB-UAD: an end-to-end benchmark suite for
    univariate time-series anomaly detection", 2022, for the length.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import PCADetector, SlidingWindow
    >>> x = np.sin(np.arange(400) * 2 * np.pi / 25)[:, None]
    >>> windows = SlidingWindow().fit(x)
    >>> windows.length_
    25
    >>> detector = PCADetector(latent_dim=2).fit(windows.transform(x))
    >>> x[200] = 3
    >>> scores = windows.point_scores(x, detector.score_samples(windows.transform(x)))
    >>> int(scores["score"].idxmin()) in range(176, 225), bool(scores["coverage"].min() > 0)
    (True, True)
    """

    length: Literal["auto"] | Count = "auto"
    stride: Count = 1
    standardise: Literal["window", "train"] | None = None
    key: str | None = None
    min_values: Count = 1
    causal: bool = False

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the length of windows, the step of time, and the units of channels.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time; NaN for what is missing. A table may have times as its
            index, and the column `key`.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used, or if times go back.

        Warns
        -----
        UserWarning
            If times are irregular; it says how.
        """
        self._check_params()
        if self.causal and self.stride != 1:
            raise ValueError(
                f"stride={self.stride}; causal=True scores each point by the window that ends "
                "there, set stride=1."
            )
        points = self._read(X, reset=True)
        warn_of_texts(X)
        refuse_times_back(points)
        self.step_ = step_of(points)
        warn_of_times(points, self.step_)
        self.channels_ = self._varied(points.values)
        values = points.values[:, self.channels_]
        self.mean_, spread = column_means(values), observed_deviations(values)
        self.scale_ = np.where(spread > 0, spread, 1)
        order, sizes = pieces(points, self.step_)
        self.length_ = period(values[order], sizes) if self.length == "auto" else self.length
        if self.stride > self.length_:
            raise ValueError(
                f"stride={self.stride} exceeds the {self.length_} points of a window, and would "
                "leave points out."
            )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Turn series into windows, all at once.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time.

        Returns
        -------
        ndarray of shape (n_windows, len(channels_) * length_), float64
            ``window.reshape(len(channels_), length_)`` is a window of all channels.
        """
        return self._rows(tape_of(self, X), slice(None))

    def point_scores(self, X: Any, window_scores: Any) -> pd.DataFrame:
        """Give each point the mean score of the windows that it is in.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points that were made into windows.
        window_scores : array-like of shape (n_windows,)
            Their scores, finite, or NaN where there is none.

        Returns
        -------
        DataFrame of n_points rows
            ``score``, and ``coverage``, the number of windows with a score that a point is in; with
            the index of `X`. If causal, the score is that of the window that ends at the point.

        Raises
        ------
        ValueError
            If there are not as many scores as windows, or if one is infinite.
        """
        tape, scores = tape_of(self, X), np.asarray(window_scores, np.float64)
        if scores.shape != tape.starts.shape:
            raise ValueError(
                f"window_scores has shape {scores.shape}; X has {len(tape.starts)} windows."
            )
        if np.isinf(scores).any():
            first = int(np.isinf(scores).argmax())
            raise ValueError(
                f"window_scores[{first}] is {scores[first]}; expected finite scores, or NaN where "
                "there is none."
            )
        mean, count = tape.spread(scores)
        return pd.DataFrame({"score": mean, "coverage": count}, index=index_of(X))

    def _read(self, X: Any, *, reset: bool) -> Points:
        channels, keys = taken_apart(X, self.key)
        values = validated(
            self,
            channels,
            reset=reset,
            dtype=np.float64,
            ensure_all_finite=False,
            ensure_min_samples=2 if reset else 1,
        )
        refuse_infinite(values, getattr(self, "feature_names_in_", range(values.shape[1])))
        return Points(bounded(values), keys, times_of(X))

    def _varied(self, values: np.ndarray) -> np.ndarray:
        """Channels that have enough different values; where none has, those with a value."""
        counts = np.array([len(np.unique(x[~np.isnan(x)])) for x in values.T])
        if not counts.any():
            raise ValueError("X has no observed value (all NaN).")
        least = self.min_values if (counts >= self.min_values).any() else 1
        few = counts < least
        if few.any():
            names = getattr(self, "feature_names_in_", np.arange(len(counts)))
            warn(
                f"Channels are left out, for fewer than {least} different values (min_values): "
                f"{listed([str(name) for name in names[few]])}."
            )
        return np.flatnonzero(~few)

    def _laid_out(self, points: Points) -> Tape:
        refuse_times_back(points)
        values = points.values[:, self.channels_]
        if self.standardise == "train":
            values = (values - self.mean_) / self.scale_
        order, sizes = pieces(points, self.step_)
        stride = None if self.causal else self.stride
        return Tape.of(values, points.series, order, sizes, self.length_, stride)

    def _rows(self, tape: Tape, some: np.ndarray | slice, known: int | None = None) -> np.ndarray:
        windows = tape.windows(some)  # (m, n_channels, length)
        if known is not None:
            windows = np.where(np.arange(tape.length) < tape.length - known, np.nan, windows)
        if self.standardise == "window":
            windows = _standardised(windows, FLAT * self.scale_)
        return windows.reshape(len(windows), windows.shape[1] * tape.length)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _standardised(windows: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Each channel of each window (m, n_channels, length) to mean 0 and deviation 1."""
    known = ~np.isnan(windows)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    mean = np.where(known, windows, 0).sum(axis=-1, keepdims=True) / count
    lowest, highest = (f.reduce(windows, axis=-1, keepdims=True) for f in (np.fmin, np.fmax))
    centred = windows - np.clip(mean, lowest, highest)  # of a constant, the constant itself
    square = np.square(np.where(known, centred, 0)).sum(axis=-1, keepdims=True) / count
    return np.asarray(centred / np.maximum(np.sqrt(square), flat[:, None]))


def points_of(window: SlidingWindow, X: Any) -> Points:
    """What a fitted window reads."""
    check_is_fitted(window)
    return window._read(X, reset=False)


def laid_out(window: SlidingWindow, points: Points) -> Tape:
    """Series with the windows over them, which are made when they are asked for."""
    return window._laid_out(points)


def tape_of(window: SlidingWindow, X: Any) -> Tape:
    """The same of what was given; times that are irregular are warned of."""
    points = points_of(window, X)
    tape = laid_out(window, points)
    warn_of_times(points, window.step_)
    return tape


def channel_names(window: SlidingWindow) -> list[Any]:
    """Names of the channels that are used."""
    names = getattr(window, "feature_names_in_", [f"x{i}" for i in range(window.n_features_in_)])
    return [names[i] for i in window.channels_]


def rows_of(
    window: SlidingWindow, tape: Tape, some: np.ndarray | slice, known: int | None = None
) -> np.ndarray:
    """Some of the windows over a tape, one a row, as if only their last points were known."""
    return window._rows(tape, some, known)
