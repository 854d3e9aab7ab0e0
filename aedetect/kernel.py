"""Kernel autoencoder: rebuild a row from the training rows around it."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.cluster import kmeans_plusplus

from ._detector import Detector
from ._linear import LARGEST, column_means, filled
from ._neighbours import Neighbours
from ._params import Count, Positive
from ._training import seeded


class KernelAutoencoder(Detector):
    """Score rows by their distance from a weighted mean of the training rows around them.

    ``x_hat = sum_i w_i a_i`` over the nearest training rows a_i, with weights
    ``softmax_i(-||x - a_i||^2 / (2 h^2))``: attention over remembered rows, or a step of mean shift
    (Nadaraya & Watson, 1964; Fukunaga & Hostetler, 1975). Nothing is trained. A row equal to a
    remembered one is scored without it.

    Parameters
    ----------
    bandwidth : float, default=0.25
        h, as a share of the median distance to the 5th nearest neighbour in training (where that is
        not 0).
    n_neighbors : int or None, default=50
        Nearest rows that have weight; None for all, which takes longer. In many columns all rows
        are about equally far, and what lies beyond the nearest blurs the mean.
    max_items : int, default=10000
        Rows remembered at most; of more, this many are picked far apart from each other by
        k-means++ seeding (Arthur & Vassilvitskii, 2007).
    contamination : float or "auto", default="auto"
        Share of training rows, from 0 to 0.5, that the threshold puts outside.
    random_state : int, RandomState or None, default=None
        Of the seeding, which happens only beyond `max_items`.

    Attributes
    ----------
    items_ : ndarray of shape (n_items, n_features)
        Remembered rows, gaps filled by the column means.
    mean_ : ndarray of shape (n_features,)
        Column means.
    bandwidth_ : float
        h, in the data's unit.
    offset_ : float
        Threshold on the score.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    See Also
    --------
    MemoryAutoencoder : Remembers learned items instead.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import KernelAutoencoder
    >>> X = load_digits().data
    >>> KernelAutoencoder().fit(X[:500]).predict(X[500:503])
    array([1, 1, 1])
    """

    bandwidth: Positive = 0.25
    n_neighbors: Count | None = 50
    max_items: Count = 10_000
    random_state: int | np.random.RandomState | None = None

    _block_size = 256
    _min_features = 1

    def _fit(self, X: np.ndarray, y: Any) -> None:
        with self._one_task(X, y):
            self._remember(X)

    def _remember(self, X: np.ndarray) -> None:
        self.mean_ = column_means(X)
        self.items_ = filled(X, self.mean_).astype(np.float64)
        if len(X) > self.max_items:
            seed = int(seeded(self.random_state).initial_seed() % 2**32)
            self.items_ = kmeans_plusplus(self.items_, self.max_items, random_state=seed)[0]
        self._k = self.n_neighbors or len(self.items_)
        self._index()
        self.bandwidth_ = self.bandwidth * self._typical_distance() or 1.0

    def _index(self) -> None:
        self._search = Neighbours(self.items_, self._k)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_search"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "items_" in state:
            self._index()

    def _typical_distance(self) -> float:
        """Median distance of items to their 5th nearest neighbour, on 2,000 items at most."""
        if len(self.items_) < 2:
            return 0.0
        search = Neighbours(self.items_, min(5, len(self.items_) - 1))
        distances = search(self.items_[:: -(-len(self.items_) // 2000)])[0][:, -1]
        apart = distances > 0  # copies of a row say nothing of the distance between rows
        return float(np.median(distances[apart])) if apart.any() else 0.0

    def _encode(self, X: np.ndarray) -> np.ndarray:
        distances, near = self._search(filled(X, self.mean_).astype(np.float64))
        widths = np.minimum(distances / self.bandwidth_, LARGEST)  # squares are finite
        weights = softmax(widths**2 / -2, axis=1)
        ends = np.arange(len(X) + 1) * near.shape[1]
        weighted = csr_array((weights.ravel(), near.ravel(), ends), (len(X), len(self.items_)))
        return weighted @ self.items_

    def _decode(self, Z: np.ndarray) -> np.ndarray:
        return Z.astype(np.float64)

    def _feature_errors(self, X: np.ndarray) -> np.ndarray:
        return np.square(self._encode(X) - X)

    @property
    def _n_features_out(self) -> int:
        return self.items_.shape[1]
