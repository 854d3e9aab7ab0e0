"""Splitters for detectors: known outliers are used for testing, never for training."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

Fold = tuple[np.ndarray, np.ndarray]  # indices of training and test rows


class InlierKFold(BaseEstimator):
    """Folds for detectors: known outliers are used for testing, never for training.

    Inliers are shuffled and divided into folds. Each inlier is in one test fold; so is each known
    outlier, which is never in a training fold. Without `y` all rows count as inliers. A search that
    refits does so on all rows it is given, outliers included: refit its best parameters on the
    inliers alone.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least two.
    outlier_label : int, default=-1
        How `y` marks an outlier: -1 as scikit-learn's detectors do, or 1 where 0 is normal.
    random_state : int, RandomState or None, default=None
        Seed of the shuffle.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.model_selection import InlierKFold
    >>> y = np.array([1, 1, 1, 1, -1, -1])
    >>> for train, test in InlierKFold(n_splits=2, random_state=0).split(y[:, None], y):
    ...     print(y[train], y[test])
    [1 1] [ 1  1 -1]
    [1 1] [ 1  1 -1]
    """

    def __init__(
        self, n_splits: int = 5, *, outlier_label: int = -1, random_state: Any = None
    ) -> None:
        self.n_splits, self.outlier_label = n_splits, outlier_label
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        int
        """
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Fold]:
        """Yield indices of training and test rows, sorted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), optional
            Labels.
        groups : ignored
            Present for scikit-learn's conventions.

        Yields
        ------
        train, test : ndarray of int

        Raises
        ------
        ValueError
            If there are fewer inliers than folds.
        """
        rng = _random_state(self.random_state)
        inliers, outliers = _by_kind(X, y, self.outlier_label)
        if not 2 <= self.n_splits <= len(inliers):
            raise ValueError(
                f"n_splits={self.n_splits} must be at least 2 and at most the number of inliers, "
                f"{len(inliers)}."
            )
        parts = [
            np.array_split(rng.permutation(kind), self.n_splits) for kind in (inliers, outliers)
        ]
        for own, strange in zip(*parts, strict=True):
            yield np.setdiff1d(inliers, own), np.sort(np.concatenate([own, strange]))


class NoveltySplit(BaseEstimator):
    """One-class protocol: learn from a random share of the inliers, test on all other rows.

    Parameters
    ----------
    n_splits : int, default=1
        Number of random splits.
    train_size : float, default=0.5
        Share of the inliers to learn from.
    outlier_label : int, default=-1
        How `y` marks an outlier: -1 as scikit-learn's detectors do, or 1 where 0 is normal.
    random_state : int, RandomState or None, default=None
        Seed of the splits.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.model_selection import NoveltySplit
    >>> y = np.array([0, 0, 0, 0, 1, 1])
    >>> train, test = next(NoveltySplit(outlier_label=1, random_state=0).split(y[:, None], y))
    >>> print(y[train], y[test])
    [0 0] [0 0 1 1]
    """

    def __init__(
        self,
        n_splits: int = 1,
        *,
        train_size: float = 0.5,
        outlier_label: int = -1,
        random_state: Any = None,
    ) -> None:
        self.n_splits, self.train_size = n_splits, train_size
        self.outlier_label, self.random_state = outlier_label, random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        int
        """
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Fold]:
        """Yield indices of training and test rows, sorted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), optional
            Labels.
        groups : ignored
            Present for scikit-learn's conventions.

        Yields
        ------
        train, test : ndarray of int

        Raises
        ------
        ValueError
            If nothing is left to learn from or to test on.
        """
        rng = _random_state(self.random_state)
        inliers, outliers = _by_kind(X, y, self.outlier_label)
        n_train = round(self.train_size * len(inliers))
        if not 0 < n_train < len(inliers) + len(outliers):
            raise ValueError(
                f"train_size={self.train_size} of {len(inliers)} inliers is {n_train} rows, which "
                "leaves nothing to learn from or nothing to test on."
            )
        for _ in range(self.n_splits):
            train = np.sort(rng.permutation(inliers)[:n_train])
            yield train, np.setdiff1d(np.arange(len(inliers) + len(outliers)), train)


def _by_kind(X: Any, y: Any, outlier_label: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of inliers and of outliers."""
    if y is None:
        return np.arange(n_rows(X)), np.arange(0)
    y = np.asarray(y)
    known = {-1: (-1, 1), 1: (0, 1)}.get(outlier_label)
    if known is None:
        raise ValueError(f"outlier_label={outlier_label!r}; expected -1 (inliers +1) or 1 (0).")
    if not np.isin(y, known).all():
        odd = y[~np.isin(y, known)][0]
        raise ValueError(
            f"y holds {odd.item()!r}; with outlier_label={outlier_label} expected {known[0]} and "
            f"{known[1]}."
        )
    return np.flatnonzero(y != outlier_label), np.flatnonzero(y == outlier_label)


def _random_state(given: Any) -> np.random.RandomState:
    """As scikit-learn's, but None means fresh entropy instead of the global state."""
    return np.random.RandomState() if given is None else check_random_state(given)


def n_rows(X: Any) -> int:
    """Number of rows of whatever holds rows."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)
