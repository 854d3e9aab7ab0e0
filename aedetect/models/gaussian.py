"""A normal distribution seen through noise."""

from dataclasses import dataclass

import numpy as np

from ..rows.linear import filled
from .base import Model, refuse_shapes, refuse_unless_positive


@dataclass(frozen=True, eq=False)
class GaussianModel(Model):
    """Rows whitened by ``C^(-1/2)``, ``C = covariance + noise I``, and denoised by ``C``.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
    axes : ndarray of shape (k, n_features)
        Orthonormal eigenvectors of the covariance.
    variances : ndarray of shape (k,)
        Along each axis; 0 along all others.
    noise : float
        Variance of the noise in each column.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    noise: float

    block = 256

    @property
    def latent_dim(self) -> int:
        return len(self.axes)

    def check(self, n_features: int) -> None:
        k, d = len(self.variances), n_features
        shapes = {"mean": (self.mean, (d,)), "axes": (self.axes, (k, d))}
        refuse_shapes(**shapes, variances=(self.variances, (k,)))
        refuse_unless_positive(noise=self.noise)

    def codes(self, X: np.ndarray) -> np.ndarray:
        """What is most likely behind the noise: axes shrink by variance / (variance + noise)."""
        return self._projected(X) * (self.variances / (self.variances + self.noise))

    def rows(self, Z: np.ndarray) -> np.ndarray:
        return Z.astype(np.float64) @ self.axes + self.mean

    def errors(self, X: np.ndarray) -> np.ndarray:
        """Squares of the whitened row, whose sum is Mahalanobis' squared distance."""
        axis, other = 1 / np.sqrt(self.variances + self.noise), 1 / np.sqrt(self.noise)
        whitened = (self._projected(X) * (axis - other)) @ self.axes + other * (X - self.mean)
        return np.square(whitened)

    def row_errors(self, X: np.ndarray) -> np.ndarray:
        """The mean of `errors`; where no value is missing, by one product instead of two."""
        if np.isnan(X).any():
            return super().row_errors(X)
        centred = (X - self.mean) / np.sqrt(self.noise)
        less = self.noise / (self.variances + self.noise) - 1
        distances = np.square(centred).sum(axis=1) + np.square(centred @ self.axes.T) @ less
        return np.maximum(distances, 0) / X.shape[1]

    def _projected(self, X: np.ndarray) -> np.ndarray:
        return (filled(X, self.mean) - self.mean) @ self.axes.T
