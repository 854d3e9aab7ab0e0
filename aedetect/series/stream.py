"""Points scored as they come, with the scores that they would get in one pass."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ..params import Params
from .detector import SeriesDetector, score_newest


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
    recent_ : DataFrame or ndarray
        The points remembered; only after the first call.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import StreamDetector, make_series_detector
    >>> x = np.sin(np.arange(600) * 2 * np.pi / 50)[:, None]
    >>> x = x + 0.1 * np.random.default_rng(0).standard_normal((600, 1))
    >>> detector = make_series_detector(causal=True, random_state=0).fit(x[:500])
    >>> stream = StreamDetector(estimator=detector)
    >>> points = [stream.update(row[None]) for row in x[500:]]
    >>> one_pass = detector.score_samples(x[500:])
    >>> bool(np.allclose([point["score"].iloc[0] for point in points], one_pass))
    True
    """

    estimator: Any = None

    def update(self, X: Any) -> pd.DataFrame:
        """Score and label new points, and remember them as long as later ones need them.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_points, n_channels)
            Points in the order of time, later than all before; as `estimator` takes them.

        Returns
        -------
        DataFrame of n_points rows
            ``score`` (high = normal) and ``label`` (-1 = outlier), with the index of `X`.

        Raises
        ------
        ValueError, TypeError
            If the detector cannot score as points come, or the data cannot be used; what is
            remembered is then as before.
        """
        detector = self._causal()
        X = X if hasattr(X, "columns") else np.asarray(X)
        recent = getattr(self, "recent_", X[:0])
        both: Any = pd.concat([recent, X]) if hasattr(X, "columns") else np.r_[recent, X]
        scores = score_newest(detector, both, len(X))
        key, length = detector.window_.key, detector.window_.length_
        if key is None:
            self.recent_ = both[max(len(both) - length + 1, 0) :]
        else:
            self.recent_ = both.groupby(key, sort=False).tail(length - 1)
        labels = np.where(scores >= detector.offset_, 1, -1)
        return pd.DataFrame({"score": scores, "label": labels}, index=getattr(X, "index", None))

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
