"""The distribution of normal scores, estimated from a table that may hold anomalous rows."""

import numpy as np
from scipy.stats import norm

NEAR, FAR = 0.75, 0.95  # quantiles that the upper half of the null is fitted to
FAR_OUT, FEW = 1e-3, 0.01  # where more than a few values are so improbable, they are normal, too


def null_p_values(scores: np.ndarray) -> np.ndarray:
    """Probability of a score this low or lower under an empirical null (Efron, 2004).

    Let x be the cube root of the error, which is nearly normal for a sum of squares (Wilson &
    Hilferty, 1931), or the error itself if some errors are negative. The upper half of x is
    modelled as ``median + s z + h z^2``, where z is standard normal. Its quantiles at 75 and 95 %
    determine the spread s and the growth h >= 0; s is at least the spread of the lower half.
    Anomalous rows therefore hardly matter if they are at most a twentieth of all; more make
    p-values too large.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        High = normal.

    Returns
    -------
    ndarray of shape (n,)
        1 for rows that score at least the median.
    """
    error = -scores
    x = np.cbrt(error) if error.min() >= 0 else error
    return _upper_tail(x, float(np.subtract(*np.quantile(x, [0.5, norm.cdf(-1)]))))


def _upper_tail(x: np.ndarray, least: float = 0.0) -> np.ndarray:
    """p-values under ``median + s z + h z^2``, where s is at least so large."""
    median, near, far = np.quantile(x, [0.5, NEAR, FAR])
    z_near, z_far = norm.ppf([NEAR, FAR])
    slopes = (near - median) / z_near, (far - median) / z_far
    h = max((slopes[1] - slopes[0]) / (z_far - z_near), 0.0)
    s = max(slopes[0] - h * z_near, least)
    y = np.maximum(x - median, 0)
    root = s + np.sqrt(s * s + 4 * h * y)
    z = np.divide(2 * y, root, out=np.where(y > 0, np.inf, 0.0), where=root > 0)
    return np.asarray(np.where(y > 0, norm.sf(z), 1.0))


def null_p_values_of_cells(X: np.ndarray) -> np.ndarray:
    """Probability of a value as far from the median as the farthest of each row, or farther.

    Each column has a null of its own, for its values in units of their interquartile range,
    squashed by asinh, which turns tails as heavy as Cauchy's into exponential ones. Columns are
    left out where half of the values are one, or where more than 1 % are far out: what is so common
    is another kind of normal. p-values are multiplied by the number of columns (Bonferroni).

    Parameters
    ----------
    X : ndarray of shape (n, d)
        NaN where a value is missing.

    Returns
    -------
    ndarray of shape (n,)
        1 for rows without a value in such a column.
    """
    smallest, n_columns = np.ones(len(X)), 0
    for x in X.T:
        known = ~np.isnan(x)
        if not known.any():
            continue
        lower, median, upper = np.quantile(x[known], [0.25, 0.5, 0.75])
        if upper > lower:
            squashed = np.arcsinh(1.349 * ((x[known] - median) / (upper - lower)))
            p = _upper_tail(np.cbrt(np.square(squashed)))
            if (p < FAR_OUT).mean() <= max(FEW, 1 / len(p)):
                smallest[known] = np.minimum(smallest[known], p)
                n_columns += 1
    return np.minimum(n_columns * smallest, 1) if n_columns else smallest
