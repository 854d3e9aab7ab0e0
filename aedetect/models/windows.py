"""Two normal distributions of windows of series: of their values, and of their shapes."""

from dataclasses import dataclass

import numpy as np

from ..rows.shapes import unit_shapes
from .base import Model, refuse_shapes, refuse_unless_positive
from .gaussian import GaussianModel


@dataclass(frozen=True, eq=False)
class WindowModel(Model):
    """Errors are means of those of the values and of those of the shape.

    Attributes
    ----------
    values : GaussianModel
        Of windows as they are.
    shapes : GaussianModel
        Of windows in which each channel has mean 0 and deviation 1.
    least : ndarray of shape (n_channels,)
        Deviation that a channel of a window is divided by at least.
    """

    values: GaussianModel
    shapes: GaussianModel
    least: np.ndarray

    block = 256

    @property
    def latent_dim(self) -> int:
        return self.values.latent_dim

    def check(self, n_features: int) -> None:
        self.values.check(n_features)
        self.shapes.check(n_features)
        refuse_shapes(least=(self.least, (None,)))
        if not len(self.least) or n_features % len(self.least):
            raise ValueError(f"{len(self.least)} channels do not divide {n_features} values")
        for least in self.least:
            refuse_unless_positive(least=float(least))

    def codes(self, X: np.ndarray) -> np.ndarray:
        return self.values.codes(X)

    def rows(self, Z: np.ndarray) -> np.ndarray:
        return self.values.rows(Z)

    def errors(self, X: np.ndarray) -> np.ndarray:
        return (self.values.errors(X) + self.shapes.errors(shapes_of(X, self.least))) / 2

    def row_errors(self, X: np.ndarray) -> np.ndarray:
        shapes = shapes_of(X, self.least)
        return (self.values.row_errors(X) + self.shapes.row_errors(shapes)) / 2


def shapes_of(X: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Windows (n, n_channels * length) by their shapes."""
    windows = X.astype(np.float64, copy=False).reshape(len(X), len(least), -1)
    return unit_shapes(windows, least).reshape(X.shape)
