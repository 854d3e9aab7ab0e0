"""Principal components: the best linear autoencoder, in closed form."""

import numpy as np
from sklearn.utils.extmath import randomized_svd, svd_flip

ROUNDING = 1e-12  # of a value's size: what differs by less is taken to be equal


def column_means(X: np.ndarray, default: np.ndarray | float = 0.0) -> np.ndarray:
    """Mean of each column's observed values, in float64; `default` where there are none.

    Of a constant column it is the constant itself, which sums in floating point may miss.
    """
    mean: np.ndarray = X.mean(axis=0, dtype=np.float64)
    if np.isnan(mean).any():
        count = np.count_nonzero(~np.isnan(X), axis=0)
        mean = np.nansum(X, axis=0, dtype=np.float64) / np.maximum(count, 1)
        mean = np.where(count, mean, default)
    return np.fmin(np.fmax(mean, np.fmin.reduce(X)), np.fmax.reduce(X))


def column_medians(X: np.ndarray, default: np.ndarray) -> np.ndarray:
    """Median of each column's observed values; `default` where there are none."""
    observed = ~np.isnan(X).all(axis=0)
    medians = default.copy()
    medians[observed] = np.nanmedian(X[:, observed], axis=0)
    return medians


def deviations(X: np.ndarray) -> np.ndarray:
    """Standard deviation of each column, 0 for constant ones, whatever its unit."""
    largest = np.abs(X).max(axis=0)
    unit = np.where(largest > 0, largest, 1)
    spread = (X / unit).std(axis=0)
    return np.where(spread > ROUNDING, spread * unit, 0)


def observed_deviations(X: np.ndarray) -> np.ndarray:
    """Standard deviation of each column's observed values; 0 where there are none."""
    known = [x[~np.isnan(x)] for x in X.T]
    return np.array([deviations(x[:, None].astype(np.float64))[0] if len(x) else 0 for x in known])


def filled(X: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Put the column's mean where a value is missing."""
    missing = np.isnan(X)
    return np.where(missing, mean, X) if missing.any() else X


def complete_with_deviations(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows with column means in their gaps, in float64, and their columns' deviations."""
    full = filled(X, column_means(X)).astype(np.float64)
    return full, deviations(full)


def projected(
    X: np.ndarray, train: np.ndarray, default: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Complete rows of `train`, their mean, and `X` on their first k principal axes.

    Gaps are filled with column means, which are `default` where nothing was observed.
    """
    full = filled(train, column_means(train, default))
    mean, axes, _ = principal_axes(full, k)
    return full, mean, (filled(X, mean) - mean) @ axes.T @ axes + mean


def principal_axes(
    X: np.ndarray, n_components: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, orthonormal axes and variances of the rows of `X`, largest variance first.

    The covariance's eigenvectors are exact and cost O(n d^2 + d^3); when only a few of many
    components are wanted, a randomized SVD (Halko et al., 2011) with a fixed seed is cheaper.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Finite rows.
    n_components : int, optional
        How many axes; all min(n, d) of them when None.

    Returns
    -------
    mean : ndarray of shape (d,)
    axes : ndarray of shape (n_components, d)
    variances : ndarray of shape (n_components,)
        Divided by n - 1, as scikit-learn's PCA does.
    """
    n, d = X.shape
    freedom = max(n - 1, 1)
    k = min(n, d) if n_components is None else min(n_components, n, d)
    mean = column_means(X)
    centred = X - mean
    unit = np.ldexp(1.0, np.frexp(np.abs(centred).max())[1])  # a power of 2 changes no digit
    centred /= unit  # else squares get lost, and eigenvalues may not converge
    if min(n, d) > 300 and k < 0.2 * min(n, d):
        _, s, axes = randomized_svd(centred, k, n_iter=7, random_state=0)
        variances = s**2 / freedom
    elif n >= d:
        variances, vectors = np.linalg.eigh(centred.T @ centred / freedom)
        variances, axes = variances[::-1][:k], vectors.T[::-1][:k]
    else:
        _, s, axes = np.linalg.svd(centred, full_matrices=False)
        variances, axes = s[:k] ** 2 / freedom, axes[:k]
    axes = svd_flip(None, axes, u_based_decision=False)[1]
    return mean, axes, np.maximum(variances, 0.0) * unit**2


def default_latent_dim(n_features: int) -> int:
    """Square root of the number of columns, rounded up, and less than all of them."""
    return max(1, min(n_features - 1, int(np.ceil(np.sqrt(n_features)))))
