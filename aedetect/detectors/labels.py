"""From scores to labels."""

from typing import Any

import numpy as np
from sklearn.base import OutlierMixin


class Labelling(OutlierMixin):
    """Labels of a detector that has scores and a threshold, `offset_`."""

    offset_: float

    def decision_function(self: Any, X: Any) -> np.ndarray:
        """Score minus the threshold: ``score_samples(X) - offset_``. Negative means outlier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Label rows: +1 for inliers, -1 for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), int
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)
