"""Principal components: the best linear autoencoder."""

from dataclasses import dataclass

import numpy as np

from ..rows.linear import filled
from .base import Model, refuse_shapes


@dataclass(frozen=True, eq=False)
class LinearModel(Model):
    """Projection onto orthonormal axes.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
    axes : ndarray of shape (latent_dim, n_features)
    variances : ndarray of shape (latent_dim,)
        Along each axis.
    whitens : bool
        Whether codes are divided by their standard deviation.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    whitens: bool = False

    block = 256

    @property
    def latent_dim(self) -> int:
        return len(self.axes)

    def check(self, n_features: int) -> None:
        k, d = len(self.variances), n_features
        shapes = {"mean": (self.mean, (d,)), "axes": (self.axes, (k, d))}
        refuse_shapes(**shapes, variances=(self.variances, (k,)))

    def codes(self, X: np.ndarray) -> np.ndarray:
        return (filled(X, self.mean) - self.mean) @ (self.axes / self._scale).T

    def rows(self, Z: np.ndarray) -> np.ndarray:
        return Z.astype(np.float64) @ (self.axes * self._scale) + self.mean

    def errors(self, X: np.ndarray) -> np.ndarray:
        return np.square(self.rebuilt(X) - X)

    @property
    def _scale(self) -> np.ndarray:
        """Standard deviation along each axis if whitening, else 1; 1 where it is 0."""
        deviation = np.sqrt(self.variances)
        return np.where(self.whitens & (deviation > 0), deviation, 1.0)[:, None]
