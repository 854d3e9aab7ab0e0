"""The score below which a row is an outlier."""

from typing import Annotated, Literal

import numpy as np

from ..params import Range

Contamination = Literal["auto"] | Annotated[float, Range(0, 0.5)]


def find_threshold(
    scores: np.ndarray, contamination: float | Literal["auto"], *, logarithmic: bool = False
) -> float:
    """Score below which a row is an outlier.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Of the training rows, high = normal.
    contamination : float or "auto"
        A share: that many of the rows fall below, or fewer where rows tie at the boundary. 0: none
        does. "auto": rows beyond Tukey's upper fence (third quartile + 1.5 x interquartile range)
        of the logarithmic error, and in any case the worst one and those that tie with it, unless
        all do. Where scores are likelihoods, and may be positive, of minus the score itself.
    logarithmic : bool, default=False
        Whether minus the score is like a logarithm already.

    Returns
    -------
    float
        Halfway between the two neighbouring scores where a number of rows is asked for.
    """
    ordered = np.sort(scores)
    if contamination != "auto":
        return _between(ordered, round(contamination * len(ordered)))
    error = -ordered
    if error[-1] >= 0 and not logarithmic:
        error = np.log(np.maximum(error, np.finfo(np.float64).tiny))
    lower, upper = np.percentile(error, [25, 75])
    beyond = int(np.count_nonzero(error > upper + 1.5 * (upper - lower)))
    worst = int(np.count_nonzero(ordered == ordered[0]))
    return _between(ordered, max(beyond, worst) if worst < len(ordered) else 0)


def _between(ordered: np.ndarray, k: int) -> float:
    """Return a value above the k lowest of the sorted scores and not above the others.

    Of equal scores on both sides, none is below.
    """
    if k == 0:
        return float(ordered[0])
    below, above = ordered[k - 1], ordered[k]
    middle = below + (above - below) / 2
    return float(middle if middle > below else above)
