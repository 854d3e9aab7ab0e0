"""Robust core: the training rows that lie close together, without a share of the others."""

from typing import Annotated, Any, Self

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.utils import Tags

from ..params import Count, Params, Range, all_or_nothing
from ..rows.inputs import readable, validated
from ..rows.linear import ROUNDING, column_means, deviations, filled


class RobustCore(Params):
    """Select the rows that lie close together, leaving out a share that is farthest away.

    Starting from all rows, each round keeps those with the smallest Mahalanobis distance under the
    mean and covariance of the rows kept before: the concentration steps of Rousseeuw & Van Driessen
    (1999), with a ridge. Fit a detector to the core if training rows may include anomalies.

    Parameters
    ----------
    trim : float, default=0.4
        Share of rows left out.
    n_rounds : int, default=5
        Number of concentration steps.
    ridge : float, default=0.01
        Value added to the variances of the standardised columns.

    Attributes
    ----------
    core_ : ndarray of bool of shape (n_samples,)
        Which rows are kept.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import RobustCore
    >>> X = np.r_[np.random.default_rng(0).standard_normal((90, 2)), np.full((10, 2), 9.0)]
    >>> bool(RobustCore(trim=0.1).fit(X).core_[90:].any())
    False
    """

    trim: Annotated[float, Range(0, 0.9)] = 0.4
    n_rounds: Count = 5
    ridge: Annotated[float, Range(0, above_low=True)] = 0.01

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Select rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; NaN is replaced by the column mean.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self
        """
        self._check_params()
        X = validated(self, readable(X), dtype=np.float64, ensure_all_finite="allow-nan")
        X = filled(X, column_means(X))
        spread = deviations(X)
        Z = (X - X.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
        self.core_ = np.ones(len(X), bool)
        for _ in range(self.n_rounds if self.trim else 0):
            self.core_ = smallest(self._distances(Z), 1 - self.trim)
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags

    def _distances(self, Z: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance of all rows from the core."""
        centred = Z - Z[self.core_].mean(axis=0)
        ridge = max(self.ridge, ROUNDING * Z.shape[1])  # less is lost in rounding
        return mahalanobis(centred, centred[self.core_] / np.sqrt(self.core_.sum()), ridge)


def mahalanobis(X: np.ndarray, C: np.ndarray, ridge: float) -> np.ndarray:
    """Return ``x' (C'C + ridge I)^-1 x`` for each row x of `X`.

    Where C has fewer rows than columns it is ``(x'x - y' (CC' + ridge I)^-1 y) / ridge`` with
    ``y = C x`` (Woodbury, 1950), of matrices that are smaller.
    """
    n, d = C.shape
    wide = n < d
    square = (C @ C.T if wide else C.T @ C) + ridge * np.eye(min(n, d))
    right = C @ X.T if wide else X.T
    whitened = solve_triangular(np.linalg.cholesky(square), right, lower=True, check_finite=False)
    products = np.square(whitened).sum(axis=0)
    return (np.square(X).sum(axis=1) - products).clip(0) / ridge if wide else products


def smallest(values: np.ndarray, share: float) -> np.ndarray:
    """Mark the given share of the values, the smallest, and at least two."""
    marked = np.zeros(len(values), bool)
    marked[np.argsort(values, kind="stable")[: max(2, int(np.ceil(share * len(values))))]] = True
    return marked
