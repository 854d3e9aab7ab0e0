"""The distribution of normal scores, estimated from a table that may hold anomalous rows."""

import numpy as np
from scipy.stats import norm

NEAR, FAR = 0.75, 0.95  # quantiles that the upper half of the null is fitted to


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
    lower, median, near, far = np.quantile(x, [norm.cdf(-1), 0.5, NEAR, FAR])
    z_near, z_far = norm.ppf([NEAR, FAR])
    slopes = (near - median) / z_near, (far - median) / z_far
    h = max((slopes[1] - slopes[0]) / (z_far - z_near), 0.0)
    s = max(slopes[0] - h * z_near, median - lower)
    y = np.maximum(x - median, 0)
    root = s + np.sqrt(s * s + 4 * h * y)
    z = np.divide(2 * y, root, out=np.where(y > 0, np.inf, 0.0), where=root > 0)
    return np.asarray(np.where(y > 0, norm.sf(z), 1.0))
