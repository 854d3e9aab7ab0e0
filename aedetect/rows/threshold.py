"""The score below which a row is an outlier, and how rare a score is."""

from typing import Annotated, Literal

import numpy as np

from ..params import Range

Contamination = Literal["auto"] | Annotated[float, Range(0, 0.5)]
FALSE_ALARMS = 0.03  # share of new normal rows that contamination="auto" lets a detector flag
AT_MOST = 0.045  # the same where the most anomalous training row asks for more
FEWEST = 20  # rows from which this share can be told
MANY, MOST = 5_000, 2_000  # rows from which one split is enough; rows scored in it at most


def find_threshold(scores: np.ndarray, share: float) -> float:
    """Score below which a share of the rows lies, or fewer of them where rows tie at the boundary.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        High = normal.
    share : float
        From 0, so that no row is below, to 1.

    Returns
    -------
    float
        Halfway between the two neighbouring scores; just above them all where all rows are below.
    """
    k, ordered = round(share * len(scores)), np.sort(scores)
    if k == 0:
        return float(ordered[0])
    ordered = np.append(ordered, np.nextafter(ordered[-1], np.inf))
    below, above = ordered[k - 1], ordered[k]
    middle = below + (above - below) / 2
    return float(middle if middle > below else above)


def p_values(scores: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Share of the calibration scores, this score among them, that are as low.

    Where the row and those of the calibration are exchangeable, the probability of a p-value of at
    most a is at most a (Vovk, Gammerman & Shafer, 2005).

    Parameters
    ----------
    scores : ndarray of shape (m,)
    calibration : ndarray of shape (n,)
        Sorted scores of normal rows that were not learned from.

    Returns
    -------
    ndarray of shape (m,)
        From 1 / (n + 1) to 1.
    """
    return (1 + np.searchsorted(calibration, scores, "right")) / (len(calibration) + 1)


def calibrated_threshold(calibration: np.ndarray, alpha: float = FALSE_ALARMS) -> float:
    """Score below which p-values are at most alpha, or the lowest one where none can be."""
    cuts = np.append(calibration, np.inf)
    found = np.arange(1, len(cuts) + 1) / len(cuts) <= alpha  # p-values below each cut, as rounded
    return float(cuts[max(int(found.sum()) - 1, 0)])


def some_of(n: int, at_most: int = MOST, seed: int = 0) -> np.ndarray:
    """Ascending indices of n rows, or of as many as allowed, drawn at random."""
    rng = np.random.default_rng(seed)
    return np.arange(n) if n <= at_most else np.sort(rng.choice(n, at_most, replace=False))


def folds(n: int, seed: int | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Indices of rows to learn from, equally many in each fold, and of others to score.

    Five folds of few rows, two of more; of many, a third is learned from once. Rows are scored
    by models that know fewer rows than the final one, so that errors are rather overestimated.
    """
    rng = np.random.default_rng(seed if seed is None else int(seed) % 2**64)
    order = rng.permutation(n)
    if n >= MANY:
        k = n // 3
        return [(order[:k], order[k : k + MOST])]
    k = 5 if n < MANY // 5 else 3 if n < MANY // 2 else 2
    parts = np.split(order[: n - n % k], k)
    return [(np.concatenate(parts[:i] + parts[i + 1 :]), part) for i, part in enumerate(parts)]
