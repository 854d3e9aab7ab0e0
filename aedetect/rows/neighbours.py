"""Nearest neighbours that are right even where distances are as small as rounding errors."""

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from .blocks import one_thread

DOUBTFUL = 1e-8  # share of a row's squared length below which a squared distance is mostly noise
SAME = 1e-13  # share of a row's length by which two computations of the same row may differ
TREE_COLUMNS = 5  # up to this many columns, a tree is faster


class Neighbours:
    """Finds the k nearest rows to each new row, leaving out the row itself.

    Squared distances are computed as ``|x|^2 - 2 x'y + |y|^2``, with a matrix product. Where the
    result is close to zero, it is computed again from the differences.

    Parameters
    ----------
    rows : ndarray of shape (n, d), float64
        The rows among which neighbours are sought.
    k : int
        Number of neighbours.
    """

    def __init__(self, rows: np.ndarray, k: int) -> None:
        self.rows, self.k, self.centre = rows, min(k, len(rows)), np.median(rows, axis=0)
        algorithm = "kd_tree" if rows.shape[1] <= TREE_COLUMNS else "brute"
        self.search = NearestNeighbors(n_neighbors=min(k + 1, len(rows)), algorithm=algorithm)
        self.search.fit(rows - self.centre)

    def __call__(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ascending distances (m, min(k, n)) from rows (m, d), and the indices of the neighbours.

        If a row is one of those searched, it is left out, or one copy of it. If fewer than k
        remain, the last distance is infinite.
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
        """The k + 1 nearest rows in any order; small distances are accurate."""
        centred = X - self.centre
        distances, near = self.search.kneighbors(centred)
        doubtful = np.square(distances) <= DOUBTFUL * np.square(centred).sum(axis=1, keepdims=True)
        i, j = doubtful.nonzero()
        distances[i, j] = np.linalg.norm(self.rows[near[i, j]] - X[i], axis=1)
        again = doubtful[:, -1] & (distances.max(axis=1) > 0)  # rows not found may be nearer
        if again.any():
            from_all, width = cdist(X[again], self.rows), near.shape[1]
            near[again] = np.argpartition(from_all, width - 1, axis=1)[:, :width]
            distances[again] = np.take_along_axis(from_all, near[again], 1)
        return distances, near
