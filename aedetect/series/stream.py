"""Points scored as they come, with the scores that they would get in one pass."""

from typing import Any

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ..params import Params, all_or_nothing
from .detector import SeriesDetector, labelled, score_newest
from .reading import Points, index_of, warn_of_times
from .window import points_of


class StreamDetector(Params):
    """Scores points as they come, one or many at a time.

    It remembers the last points of each series, one fewer than a window holds, and nothing else:
    memory is bounded. Scores are those that `estimator` gives all points in one pass.

    Parameters
    ----------
    estimator : SeriesDetector, default=None
        Fitted, with windows that are causal, such as ``make_series_detector(causal=True)``.

    Attributes
    ----------
    recent_ : Points
        What is remembered: ``values``, ``keys`` and ``times``; only after the first call.
    irregular_ : bool
        Whether times were irregular so far, of which there is one warning.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import StreamDetector, make_series_detector
    >>> x = np.sin(np.arange(700) * 2 * np.pi / 50)[:, None]
    >>> x = x + 0.1 * np.random.default_rng(0).standard_normal((700, 1))
    >>> detector = make_series_detector(causal=True, random_state=0).fit(x[:600])
    >>> stream = StreamDetector(estimator=detector)
    >>> points = [stream.update(row[None]) for row in x[600:]]
    >>> one_pass = detector.score_samples(x[600:])
    >>> bool(np.allclose([point["score"].iloc[0] for point in points], one_pass))
    True
    """

    estimator: Any = None

    @all_or_nothing
    def update(self, X: Any) -> pd.DataFrame:
        """Score and label new points, and remember them as long as later ones need them.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time, none earlier than those before; as `estimator` takes them.

        Returns
        -------
        DataFrame of n_points rows
            ``score`` (high = normal) and ``label`` (-1 = outlier), with the index of `X`.

        Raises
        ------
        ValueError, TypeError
            If the detector cannot score as points come, or the data cannot be used, or the index
            holds times of another kind than before; what is remembered is then as before.
        """
        detector = self._causal()
        window, new = detector.window_, points_of(detector.window_, X)
        recent: Points | None = getattr(self, "recent_", None)
        known = new if recent is None else recent.followed_by(new)
        scores = score_newest(detector, known, len(new))
        if not getattr(self, "irregular_", False):
            self.irregular_ = warn_of_times(known, window.step_)
        self.recent_ = known.newest(max(window.length_ - 1, 1))
        return labelled(scores, detector.offset_, index_of(X))

    def _causal(self) -> SeriesDetector:
        if not isinstance(self.estimator, SeriesDetector):
            kind = type(self.estimator).__name__
            raise TypeError(f"estimator is a {kind}; expected a fitted SeriesDetector.")
        check_is_fitted(self.estimator)
        if not self.estimator.window_.causal:
            raise ValueError(
                "The detector's windows look ahead; fit one with causal=True to score points as "
                "they come."
            )
        return self.estimator
