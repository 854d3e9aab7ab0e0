"""Detectors around other detectors: of this package, of scikit-learn or like PyOD's."""

from typing import Any

import numpy as np
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted

from ..params import Params
from .labels import Labelling


class Wrapper(MetaEstimatorMixin, Labelling, Params):
    """Labels from the scores of another detector.

    Parameters
    ----------
    estimator : detector, default=None
        Has `fit` and `score_samples` (high = normal), or `decision_function`, which may be PyOD's
        (high = anomalous); a Pipeline may end in it. None: ``AnomalyDetector()``.
    prefit : bool, default=False
        Whether `estimator` is fitted already. `fit` does not fit it then.
    """

    estimator: Any = None
    prefit: bool = False

    def _unfitted(self) -> Any:
        """What there is to fit, a new one."""
        if self.estimator is not None:
            return clone(self.estimator)
        from .anomaly import AnomalyDetector

        return AnomalyDetector()

    def _known(self) -> Any:
        """The estimator where it is fitted already."""
        if self.estimator is None:
            raise ValueError("prefit=True needs a fitted estimator; estimator is None.")
        check_is_fitted(self.estimator)
        return self.estimator

    def _keep(self, estimator: Any) -> None:
        self.estimator_ = estimator
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))

    def score_samples(self, X: Any) -> np.ndarray:
        """Score of each row by the wrapped detector. High means normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
        """
        check_is_fitted(self)
        return scores_by(self.estimator_, X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self._unfitted() if self.estimator is None else self.estimator)
        tags.input_tags = inner.input_tags
        return tags


def scores_by(detector: Any, X: Any) -> np.ndarray:
    """Scores of any fitted detector, high = normal."""
    if hasattr(detector, "score_samples"):
        return np.asarray(detector.score_samples(X), np.float64)
    scores = np.asarray(detector.decision_function(X), np.float64)
    last = detector[-1] if isinstance(detector, Pipeline) else detector
    return -scores if hasattr(last, "decision_scores_") else scores  # which only PyOD's have
