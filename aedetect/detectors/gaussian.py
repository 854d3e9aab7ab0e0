"""Mahalanobis' distance: the linear denoising autoencoder, in closed form."""

from typing import Any

import numpy as np

from ..models.base import learned
from ..models.gaussian import GaussianModel
from ..params import Positive
from ..rows.linear import column_means, filled, principal_axes
from .base import Detector

LITTLE = 0.01  # of the noise: axes along which rows vary less are left out


class GaussianDetector(Detector):
    """Score rows by Mahalanobis' squared distance from their mean, in noise.

    The distance is ``(x - m)' C^-1 (x - m)`` with ``C = covariance + noise I``, divided by the
    number of columns. Directions in which rows vary less than the noise count alike, others by
    how far out a row is for its direction. `reconstruct` removes the noise as well as a linear map
    can, ``m + (C - noise I) C^-1 (x - m)``: the best linear denoising autoencoder.

    Parameters
    ----------
    noise : float, default=1.0
        Variance of the noise, as a multiple of the mean variance of the columns. Little noise
        trusts small variances more than they may deserve.

    Attributes
    ----------
    components_ : ndarray of shape (latent_dim_, n_features)
        Orthonormal axes, largest variance first; those with at least 1 % of the noise's variance.
    explained_variance_ : ndarray of shape (latent_dim_,)
        Variance along each axis, in squared units of the data.
    mean_ : ndarray of shape (n_features,)
    latent_dim_ : int
        Number of axes kept.
    offset_ : float
        Threshold on the score.
    calibration_scores_ : ndarray
        Sorted scores of rows by models that did not learn from them. Only with
        ``contamination="auto"`` and at least 20 rows.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    See Also
    --------
    PCADetector : Distance from the axes alone.
    DenoisingAutoencoder : The same idea with curved surfaces.

    References
    ----------
    Mahalanobis, "On the generalised distance in statistics", 1936. Garthwaite & Koch, "Evaluating
    the contributions of individual variables to a quadratic form", 2016, for `score_features`.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import GaussianDetector
    >>> x = np.random.default_rng(0).standard_normal((200, 2))
    >>> X = x @ [[1, 1], [0.1, -0.1]]
    >>> detector = GaussianDetector(noise=0.01).fit(X)
    >>> detector.predict([[2.0, 2.0], [1.0, -1.0]])
    array([ 1, -1])
    """

    noise: Positive = 1.0

    _min_features = 1

    def _learn(self, X: np.ndarray) -> GaussianModel:
        mean, axes, variances = principal_axes(filled(X, column_means(X)).astype(np.float64))
        noise = self.noise * float(variances.sum()) / X.shape[1] or 1.0
        kept = max(1, int((variances >= LITTLE * noise).sum()))
        return GaussianModel(mean, np.ascontiguousarray(axes[:kept]), variances[:kept], noise)

    def score_features(self, X: Any) -> np.ndarray:
        """What each value contributes to the distance.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float64
            Squares of ``C^(-1/2) (x - m)``; NaN where `X` is NaN. The mean over a row's observed
            values is minus its score.
        """
        return super().score_features(X)

    mean_ = learned("mean", "Column means.")
    components_ = learned("axes", "Orthonormal axes, largest variance first.")
    explained_variance_ = learned("variances", "Variance along each axis.")
    latent_dim_ = learned("latent_dim", "Number of axes kept.")
