"""A detector for points of series, around a detector of rows that looks at windows."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ..chance import seeded
from ..detectors.gaussian import GaussianDetector
from ..detectors.inside import last, unwrapped
from ..detectors.labels import Labelling
from ..detectors.wrapper import scores_by
from ..params import Count, Params
from ..rows.limits import WORST
from ..rows.threshold import (
    FALSE_ALARMS,
    MOST,
    Contamination,
    calibrated_threshold,
    find_threshold,
    some_of,
)
from .alarms import alarms_of
from .beginning import Beginning, known_points
from .channels import blamed, channel_errors, tells_channels
from .tape import Tape
from .window import SlidingWindow, rows_of, tape_of

STRETCHES = 5  # of time; each is scored by a detector that learned from the others


class SeriesDetector(MetaEstimatorMixin, Labelling, Params):
    """Scores points of series by the windows that they are in.

    The score of a point is the mean over these windows, so that there is one score and one label
    for each row of `X`. Windows are made some at a time: memory does not grow with their number.

    Parameters
    ----------
    window : SlidingWindow, default=None
        How windows are cut. None: ``SlidingWindow(standardise="train", min_values=10)``.
    estimator : detector, default=None
        Scores windows as rows, high = normal; may be a Pipeline. None: `GaussianDetector`.
    contamination : float or "auto", default="auto"
        "auto" sets the threshold so that about 3 % of the points of normal series are flagged: it
        comes from five stretches of time, each scored by a detector that did not learn from it. A
        number from 0 to 0.5 is the share of training points to flag.
    max_windows : int, default=5000
        Windows at most that are learned from, drawn at random.
    random_state : int, RandomState or None, default=None
        Seed of the draw.

    Attributes
    ----------
    window_ : SlidingWindow
        The fitted windows.
    estimator_ : detector
        The fitted detector of windows.
    offset_ : float
        Threshold on the score of a point.
    beginning_ : Beginning or None
        Usual scores where series begin; None unless windows are causal.
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : ndarray of shape (n_channels,)
        Only where `X` had column names.

    See Also
    --------
    make_series_detector : A short way to make one.
    StreamDetector : Scores points as they come.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import SeriesDetector
    >>> x = np.sin(np.arange(2000) * 2 * np.pi / 50)[:, None]
    >>> x = x + 0.1 * np.random.default_rng(0).standard_normal((2000, 1))
    >>> detector = SeriesDetector(random_state=0).fit(x[:1000])
    >>> x[1500:1520] = 0
    >>> detector.alarms(x)[["start", "end"]]
       start   end
    0   1463  1561
    """

    window: SlidingWindow | None = None
    estimator: Any = None
    contamination: Contamination = "auto"
    max_windows: Count = 5_000
    random_state: int | np.random.RandomState | None = None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what windows of normal series look like, and set the threshold.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time, as `SlidingWindow` takes them.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used; the message says which.
        """
        self._check_params()
        window = default_window() if self.window is None else clone(self.window)
        tape = _long_enough(tape_of(window.fit(X), X))
        seed = seeded(self.random_state).initial_seed()
        every = np.arange(len(tape.starts))
        estimator = self._learned(window, tape, every, seed)
        beginning, offset = self._calibrated(window, estimator, tape, seed)
        self.window_, self.estimator_, self.offset_ = window, estimator, offset
        self.beginning_ = beginning
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(window, name):
                setattr(self, name, getattr(window, name))
        return self

    def _learned(self, window: SlidingWindow, tape: Tape, among: np.ndarray, seed: int) -> Any:
        """A detector that has learned from some of these windows, full ones where there are any."""
        full = among[known_points(tape)[among] == tape.length]
        among = full if len(full) > 1 else among
        rows = rows_of(window, tape, among[some_of(len(among), self.max_windows, seed)])
        return self._unfitted(seed).fit(rows[~np.isnan(rows).all(axis=1)])

    def _unfitted(self, seed: int) -> Any:
        if self.estimator is not None:
            return clone(self.estimator)
        return GaussianDetector(contamination=0.0)

    def _calibrated(
        self, window: SlidingWindow, estimator: Any, tape: Tape, seed: int
    ) -> tuple[Beginning | None, float]:
        """What is usual where series begin, and the threshold; by unseen windows if they may be."""
        unseen = [*self._unseen(window, tape, seed)] if self.contamination == "auto" else []
        begin = Beginning.of if window.causal else lambda *_: None
        if unseen:
            beginning = begin(window, unseen, seed)
            found = [part.spread(_scores(window, learned, part)) for learned, part in unseen]
            scores = np.concatenate([mean[count > 0] for mean, count in found])
            return beginning, calibrated_threshold(np.sort(scores))
        full = tape.part(np.flatnonzero(known_points(tape) == tape.length))
        beginning = begin(window, [(estimator, full)], seed)
        share = FALSE_ALARMS if self.contamination == "auto" else self.contamination
        scores = _of_points(tape, _scores(window, estimator, tape, beginning))
        return beginning, find_threshold(scores, share)

    def _unseen(self, window: SlidingWindow, tape: Tape, seed: int) -> Iterator[tuple[Any, Tape]]:
        """Detectors, and windows in stretches of time that they did not learn from."""
        ends = tape.starts + tape.length
        usable = known_points(tape) == tape.length if window.causal else np.isfinite(ends)
        for start, end in pairwise(np.linspace(0, len(tape.values), STRETCHES + 1).astype(int)):
            inside = np.flatnonzero((tape.starts >= start) & (ends <= end) & usable)
            others = np.flatnonzero((ends <= start) | (tape.starts >= end))
            if len(inside) and len(others) > 1:
                part = tape.part(inside[: MOST + tape.length])
                yield self._learned(window, tape, others, seed), part

    def score_samples(self, X: Any) -> np.ndarray:
        """Score of each point: the mean score of the windows that it is in. High means normal.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time.

        Returns
        -------
        ndarray of shape (n_points,), float64
            Points that are in no window with a value get the lowest score, -1e300. Where a series
            begins, windows that are causal are not full: their scores are brought to the scale of
            full ones, so that about as many normal points are flagged there as elsewhere.
        """
        check_is_fitted(self)
        tape = tape_of(self.window_, X)
        return _of_points(tape, self._window_scores(tape))

    def score_points(self, X: Any) -> pd.DataFrame:
        """Score and label points.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time.

        Returns
        -------
        DataFrame of n_points rows
            ``score`` (high = normal) and ``label`` (-1 = outlier), with the index of `X`.
        """
        scores = self.score_samples(X)
        labels = np.where(scores >= self.offset_, 1, -1)
        return pd.DataFrame({"score": scores, "label": labels}, index=getattr(X, "index", None))

    def score_channels(self, X: Any) -> pd.DataFrame:
        """Score each channel of each point, by the errors of its values in the windows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time.

        Returns
        -------
        DataFrame of shape (n_points, number of channels used)
            Minus the mean error; the mean over channels is the score, where the score of a window
            is minus the mean of its errors, and the window is full. NaN where there is no value.
            Index of `X`.

        Raises
        ------
        TypeError
            If the detector of windows has no `score_features`.
        """
        check_is_fitted(self)
        if not tells_channels(self.estimator_):
            kind = type(last(unwrapped(self.estimator_))).__name__
            raise TypeError(f"{kind} does not tell the errors of values (score_features).")
        tape = tape_of(self.window_, X)
        mean, _ = tape.spread(-channel_errors(self.window_, self.estimator_, tape))
        return pd.DataFrame(mean, columns=self._channels, index=getattr(X, "index", None))

    def alarms(self, X: Any) -> pd.DataFrame:
        """Join flagged points into intervals.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time.

        Returns
        -------
        DataFrame with a row for each interval
            ``start`` and ``end``, the first and the last flagged point, and ``peak``, the one with
            the lowest score, as the index of `X` names them; ``score`` of the peak; ``channels``
            with the largest errors there, those that make up half of it, at most three. Flagged
            points of a series that are less than a window apart are in one interval. With a `key`,
            that of the series comes first.
        """
        check_is_fitted(self)
        tape = tape_of(self.window_, X)
        scores = _of_points(tape, self._window_scores(tape))
        found = alarms_of(tape, scores, self.offset_)
        index = pd.RangeIndex(len(scores)) if not hasattr(X, "index") else X.index
        table = {name: index[found[name]] for name in ("start", "end", "peak")}
        told = {**table, "score": scores[found["peak"]]}
        told["channels"] = [
            blamed(self.window_, self.estimator_, tape, cell, self._channels)
            for cell in tape.cells[found["peak"]]
        ]
        key = self.window_.key
        return pd.DataFrame({key: X[key].to_numpy()[found["peak"]], **told} if key else told)

    def _window_scores(self, tape: Tape) -> np.ndarray:
        return _scores(self.window_, self.estimator_, tape, self.beginning_)

    @property
    def _channels(self) -> list[str]:
        """Names of the channels used."""
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])
        return [names[i] for i in self.window_.channels_]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def default_window(**params: Any) -> SlidingWindow:
    """Windows of channels that vary, in units of their deviation."""
    return SlidingWindow(standardise="train", min_values=10, **params)


def _scores(
    window: SlidingWindow, estimator: Any, tape: Tape, beginning: Beginning | None = None
) -> np.ndarray:
    """Scores of windows, NaN for those without a value."""
    scores = np.full(len(tape.starts), np.nan)
    for block in tape.blocks():
        rows = rows_of(window, tape, block)
        some = ~np.isnan(rows).all(axis=1)
        if some.any():
            scores[block][some] = scores_by(estimator, rows[some])
    return scores if beginning is None else beginning.levelled(tape, scores)


def _long_enough(tape: Tape) -> Tape:
    longest = int(np.bincount(tape.pieces).max())
    if longest < tape.length:
        raise ValueError(
            f"length={tape.length}: the longest series without a gap in time has {longest} points; "
            "set length to fewer."
        )
    return tape


def score_newest(detector: SeriesDetector, X: Any, n: int) -> np.ndarray:
    """Scores of the last n rows of `X` by a causal detector, from their own windows alone."""
    tape = tape_of(detector.window_, X)
    starts = tape.cells[len(tape.cells) - n :] - tape.length + 1
    scores = detector._window_scores(replace(tape, starts=starts))
    return np.where(np.isnan(scores), -WORST, scores)


def _of_points(tape: Tape, scores: np.ndarray) -> np.ndarray:
    mean, _ = tape.spread(scores)
    return np.where(np.isnan(mean), -WORST, mean)
