"""Remembered rows, and a weighted mean of those around a row."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array
from scipy.special import softmax

from ..rows.blocks import in_chunks
from ..rows.limits import LARGEST
from ..rows.linear import filled
from ..rows.neighbours import Neighbours
from .base import Model, refuse_shapes, refuse_unless_positive

SOME = 2000  # items from which the typical distance is estimated


@dataclass(frozen=True, eq=False)
class KernelModel(Model):
    """``sum_i w_i a_i`` over the nearest items a_i, ``w = softmax(-||x - a_i||^2 / (2 h^2))``.

    Attributes
    ----------
    items : ndarray of shape (n_items, n_features)
    column_means : ndarray of shape (n_features,)
        They stand in for missing values.
    n_neighbors : int
        Items that have weight.
    bandwidth : float
        h.
    """

    items: np.ndarray
    column_means: np.ndarray
    n_neighbors: int
    bandwidth: float

    block = 256

    @property
    def latent_dim(self) -> int:
        return self.items.shape[1]

    @cached_property
    def _search(self) -> Neighbours:
        return Neighbours(self.items, self.n_neighbors)

    def check(self, n_features: int) -> None:
        refuse_shapes(
            items=(self.items, (None, n_features)), column_means=(self.column_means, (n_features,))
        )
        refuse_unless_positive(n_neighbors=self.n_neighbors, bandwidth=self.bandwidth)
        if not len(self.items):
            raise ValueError("a kernel without items")

    def codes(self, X: np.ndarray) -> np.ndarray:
        distances, near = self._search(filled(X, self.column_means).astype(np.float64))
        widths = np.minimum(distances / self.bandwidth, LARGEST)  # squares are finite
        weights = softmax(widths**2 / -2, axis=1)
        ends = np.arange(len(X) + 1) * near.shape[1]
        weighted = csr_array((weights.ravel(), near.ravel(), ends), (len(X), len(self.items)))
        return weighted @ self.items

    def rows(self, Z: np.ndarray) -> np.ndarray:
        return Z.astype(np.float64)

    def errors(self, X: np.ndarray) -> np.ndarray:
        return np.square(self.codes(X) - X)


def bandwidth_of(items: np.ndarray, share: float) -> float:
    """A share of the items' median distance to their 5th nearest neighbour; 1 where that is 0."""
    if len(items) < 2:
        return 1.0
    search = Neighbours(items, min(5, len(items) - 1))
    some = items[:: -(-len(items) // SOME)]
    distances = in_chunks(lambda X: search(X)[0][:, -1], some, KernelModel.block)
    apart = distances > 0  # copies of a row say nothing about the distance between rows
    return share * float(np.median(distances[apart])) if apart.any() else 1.0
