"""Kernel autoencoder: rebuild a row from the training rows around it."""

import numpy as np
from sklearn.cluster import kmeans_plusplus

from ..chance import seeded
from ..models.base import learned
from ..models.kernel import KernelModel, bandwidth_of
from ..params import Count, Positive
from ..rows.linear import column_means, filled
from ..rows.threshold import some_of
from .base import Detector


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
        Maximum number of rows remembered. From more rows, this many are selected far apart from
        each other by k-means++ seeding (Arthur & Vassilvitskii, 2007).
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
    calibration_scores_ : ndarray
        Sorted scores of rows by models that did not learn from them. Only with
        ``contamination="auto"`` and at least 20 rows.
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
    >>> KernelAutoencoder().fit(X[:500]).predict(X[504:507])
    array([1, 1, 1])
    """

    bandwidth: Positive = 0.25
    n_neighbors: Count | None = 50
    max_items: Count = 10_000
    random_state: int | np.random.RandomState | None = None

    _min_features = 1

    def _learn(self, X: np.ndarray) -> KernelModel:
        means = column_means(X)
        items = filled(X, means).astype(np.float64)
        if len(X) > self.max_items:
            seed = int(seeded(self.random_state).initial_seed() % 2**32)
            items = kmeans_plusplus(items, self.max_items, random_state=seed)[0]
        bandwidth = bandwidth_of(items, self.bandwidth)
        return KernelModel(items, means, self.n_neighbors or len(items), bandwidth)

    def _unseen_scores(self, X: np.ndarray) -> np.ndarray:
        return self._training_scores(self.model_, X[some_of(len(X))])  # no row rebuilds itself

    items_ = learned("items", "Remembered rows.")
    mean_ = learned("column_means", "Column means.")
    bandwidth_ = learned("bandwidth", "h, in the data's unit.")
