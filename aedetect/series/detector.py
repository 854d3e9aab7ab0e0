"""A detector for points of series, around a detector of rows that looks at windows."""

from dataclasses import replace
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
from ..params import Count, Params, all_or_nothing
from ..rows.limits import WORST
from ..rows.threshold import FALSE_ALARMS, Contamination, find_threshold
from ..warn import warn
from .alarms import alarms_of
from .calibration import Learner, threshold_on_unseen
from .channels import blamed, channel_errors, tells_channels
from .partial import Partial, known_points, window_scores
from .reading import Points, index_of, warn_of_times
from .tape import Tape
from .window import SlidingWindow, channel_names, laid_out, points_of, tape_of

LENGTHS = 12  # of windows: in fewer points, many more normal ones than promised may be flagged
COLUMNS = ("start", "end", "peak", "score", "channels")  # of alarms


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
        comes from five stretches of time, cut in each series and scored by a detector that did not
        learn from them. Events among the points learned from are flagged, too, if their windows,
        together, are at most about a twentieth of all. A number from 0 to 0.5 is the share of
        training points to flag, of those that a window speaks for.
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
    partial_ : Partial or None
        Usual scores of windows of which a part is missing; None if there was none to learn from.
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

    @all_or_nothing
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

        Warns
        -----
        UserWarning
            If there are too few points for the threshold, or times are irregular.
        """
        self._check_params()
        window = default_window() if self.window is None else clone(self.window)
        _refuse_key(window.key)
        self.window_ = window.fit(X)
        tape = _long_enough(laid_out(window, points_of(window, X)))
        estimator = (
            GaussianDetector(contamination=0.0) if self.estimator is None else self.estimator
        )
        seed = seeded(self.random_state).initial_seed()
        learner = Learner(window, estimator, self.max_windows, seed)
        self.estimator_ = learner.learned(tape)
        self._calibrate(learner, tape)
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(window, name):
                setattr(self, name, getattr(window, name))
        return self

    def _calibrate(self, learner: Learner, tape: Tape) -> None:
        """Set the threshold, and what is usual where a part of a window is missing."""
        unseen = []
        if self.contamination == "auto":
            _warn_of_few(len(tape.cells), tape.length)
            unseen = [*learner.unseen(tape, self.estimator_)]
        full = tape.part(np.flatnonzero(known_points(tape) == tape.length))
        scored = unseen or [(self.estimator_, full)]
        self.partial_ = Partial.of(learner.window, scored, learner.seed)
        if unseen:
            self.offset_ = threshold_on_unseen(
                learner, self.estimator_, self.partial_, tape, unseen
            )
            return
        mean, count = tape.spread(self._window_scores(tape))
        share = FALSE_ALARMS if self.contamination == "auto" else self.contamination
        self.offset_ = find_threshold(mean[count > 0], share)

    def score_samples(self, X: Any) -> np.ndarray:
        """Score of each point: the mean score of the windows that it is in. High means normal.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time.

        Returns
        -------
        ndarray of shape (n_points,), float64
            Points that are in no window with a value get the lowest score, -1e300. Scores of
            windows in which points are missing, as in gaps, where causal series begin and in short
            series, are brought to the scale of whole ones, so that about as many normal points are
            flagged there as elsewhere.
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
        return labelled(self.score_samples(X), self.offset_, index_of(X))

    def score_channels(self, X: Any) -> pd.DataFrame:
        """Score each channel of each point, by the errors of its values in the windows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time.

        Returns
        -------
        DataFrame of shape (n_points, number of channels used)
            Minus the mean error of known values, NaN where there is none. Where the score of a
            window is minus the mean of its errors, and no value is missing, the mean over channels
            is the score. Index of `X`.

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
        return pd.DataFrame(mean, columns=channel_names(self.window_), index=index_of(X))

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
            points that are less than a window apart are in one interval, unless they are of two
            series or a gap in time lies between them. With a `key`, that of the series comes first.
        """
        check_is_fitted(self)
        window, points = self.window_, points_of(self.window_, X)
        warn_of_times(points, window.step_)
        tape = laid_out(window, points)
        scores = _of_points(tape, self._window_scores(tape))
        found = alarms_of(tape, scores, self.offset_)
        peaks, index = found["peak"], index_of(X)
        names = pd.RangeIndex(len(scores)) if index is None else index
        keys: dict[Any, Any] = {}
        if points.keys is not None:
            keys[window.key] = points.keys[peaks].to_numpy()
        blame = blamed(window, self.estimator_, tape, tape.cells[peaks])
        table = {name: names[places] for name, places in found.items()}
        return pd.DataFrame({**keys, **table, "score": scores[peaks], "channels": blame})

    def _window_scores(self, tape: Tape) -> np.ndarray:
        return window_scores(self.window_, self.estimator_, tape, self.partial_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.sparse = True
        return tags


def default_window(**params: Any) -> SlidingWindow:
    """Windows of channels that vary, in units of their deviation."""
    return SlidingWindow(standardise="train", min_values=10, **params)


def labelled(scores: np.ndarray, offset: float, index: pd.Index | None) -> pd.DataFrame:
    """A table of scores and labels."""
    return pd.DataFrame({"score": scores, "label": np.where(scores >= offset, 1, -1)}, index=index)


def _refuse_key(key: str | None) -> None:
    if key in COLUMNS:
        raise ValueError(f"key={key!r} is the name of a column of alarms; rename the key.")


def _warn_of_few(n: int, length: int) -> None:
    """In fewer, points of noise and of waves were flagged at a multiple of the share promised."""
    if n < LENGTHS * length:
        shorter = f", or set length to {n // LENGTHS} or less" if n >= 2 * LENGTHS else ""
        warn(
            f"X has {n} points, too few for the threshold of windows of {length} points to be "
            f"trusted: many more than 3 % of new normal points may be flagged. Fit on "
            f"{LENGTHS * length} or more{shorter}."
        )


def _long_enough(tape: Tape) -> Tape:
    longest = int(np.bincount(tape.pieces).max())
    if longest < tape.length:
        raise ValueError(
            f"length={tape.length}: the longest series without a gap in time has {longest} points; "
            "set length to fewer."
        )
    return tape


def score_newest(detector: SeriesDetector, points: Points, n: int) -> np.ndarray:
    """Scores of the last n points by a causal detector, from their own windows alone."""
    tape = laid_out(detector.window_, points)
    starts = tape.cells[len(tape.cells) - n :] - tape.length + 1
    scores = detector._window_scores(replace(tape, starts=starts))
    return _or_worst(scores)


def _of_points(tape: Tape, scores: np.ndarray) -> np.ndarray:
    return _or_worst(tape.spread(scores)[0])


def _or_worst(scores: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(scores), -WORST, scores)
