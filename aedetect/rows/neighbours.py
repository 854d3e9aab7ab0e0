"""The nearest of remembered rows, also where they lie closer together than rounding can tell."""

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from .blocks import one_thread

DOUBTFUL = 1e-8  # of a row's squared length: below, a difference of squared lengths is mostly noise
SAME = 1e-13  # of a row's length: how far a row may be from itself if it was computed in two ways
TREE_COLUMNS = 5  # at most; a tree is quicker there


class Neighbours:
    """Finds the k nearest of some rows, of which none is the row itself.

    Squared distances are found as ``|x|^2 - 2 x'y + |y|^2``, by a matrix product, and anew from the
    differences where little is left of that.

    Parameters
    ----------
    rows : ndarray of shape (n, d), float64
        What is remembered.
    k : int
        How many to find.
    """

    def __init__(self, rows: np.ndarray, k: int) -> None:
        self.rows, self.k, self.centre = rows, min(k, len(rows)), np.median(rows, axis=0)
        algorithm = "kd_tree" if rows.shape[1] <= TREE_COLUMNS else "brute"
        self.search = NearestNeighbors(n_neighbors=min(k + 1, len(rows)), algorithm=algorithm)
        self.search.fit(rows - self.centre)

    def __call__(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances (m, min(k, n)) of rows (m, d), ascending, and the indices of who is there.

        A row that is remembered, or one copy of it, is left out; where that leaves fewer than k,
        the last distance is infinite.
        """
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            distances, near = self._candidates(X)
        if len(self.rows) > 1:
            first = np.arange(len(X)), distances.argmin(axis=1)
            same = distances[first] <= SAME * np.linalg.norm(X, axis=1)
            distances[first] = np.where(same, np.inf, distances[first])
        order = distances.argsort(axis=1, kind="stable")[:, : self.k]
        return np.take_along_axis(distances, order, 1), np.take_along_axis(near, order, 1)

    def _candidates(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The k + 1 nearest in any order, with distances that are right where they are small."""
        centred = X - self.centre
        distances, near = self.search.kneighbors(centred)
        doubtful = np.square(distances) <= DOUBTFUL * np.square(centred).sum(axis=1, keepdims=True)
        i, j = doubtful.nonzero()
        distances[i, j] = np.linalg.norm(self.rows[near[i, j]] - X[i], axis=1)
        again = doubtful[:, -1] & (distances.max(axis=1) > 0)  # others may be nearer than these
        if again.any():
            from_all, width = cdist(X[again], self.rows), near.shape[1]
            near[again] = np.argpartition(from_all, width - 1, axis=1)[:, :width]
            distances[again] = np.take_along_axis(from_all, near[again], 1)
        return distances, near
