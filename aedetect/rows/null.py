"""What scores of normal rows look like, from a table that may hold anomalous ones."""

import numpy as np
from scipy.stats import norm

NEAR, FAR = 0.75, 0.95  # shares of the rows that the upper half of the null is fitted to


def null_p_values(scores: np.ndarray) -> np.ndarray:
    """Probability of a score as low under an empirical null (Efron, 2004).

    The cube root of the error, which is nearly normal for a sum of squares (Wilson & Hilferty,
    1931), or minus the score where that may be negative, is taken for ``median + s z + h z^2`` with
    a standard normal z: s is the spread and h >= 0 the growth of the upper half, found from its
    quantiles at 75 and 95 %, and s is no smaller than that of the lower half. So anomalous rows
    hardly matter up to a twentieth; more make p-values too large.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        High = normal.

    Returns
    -------
    ndarray of shape (n,)
        1 for rows in the better half.
    """
    error = -scores
    x = np.cbrt(error) if error.min() >= 0 else error
    lower, median, near, far = np.quantile(x, [norm.cdf(-1), 0.5, NEAR, FAR])
    z_near, z_far = norm.ppf([NEAR, FAR])
    slopes = (near - median) / z_near, (far - median) / z_far
    h = max((slopes[1] - slopes[0]) / (z_far - z_near), 0.0)
    s = max(slopes[0] - h * z_near, median - lower)
    y = np.maximum(x - median, 0)
    root = s + np.sqrt(s * s + 4 * h * y)
    z = np.divide(2 * y, root, out=np.where(y > 0, np.inf, 0.0), where=root > 0)
    return np.asarray(np.where(y > 0, norm.sf(z), 1.0))
