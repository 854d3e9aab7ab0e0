"""The length of what repeats in a series."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from ..rows.linear import column_means, deviations, filled

SHORTEST, LONGEST = 8, 400  # points of a window
WITHOUT = 100  # points where nothing repeats
LOOKED_AT = 20_000  # points
CLEAR = 0.1  # autocorrelation of what repeats, at least


def period(X: np.ndarray, sizes: ArrayLike) -> int:
    """Lag at which the autocorrelation has its highest peak once it has been negative.

    Paparrizos, Kang, Boniol, Tsay, Palpanas & Franklin, "TSB-UAD: an end-to-end benchmark suite for
    univariate time-series anomaly detection", 2022, take windows of that length.

    Parameters
    ----------
    X : ndarray of shape (n_points, n_channels)
        The autocorrelation is the mean over channels.
    sizes : array-like of shape (n_pieces,)
        Points of each piece, a series without a gap. No product is of points of two pieces, and
        the level of each piece is taken away.

    Returns
    -------
    int
        From 8 to 400, and at most a quarter of all points and half of the longest piece.
    """
    ends = np.minimum(np.cumsum(sizes), LOOKED_AT)
    X = filled(X[: ends[-1]], column_means(X[: ends[-1]]))
    levels = [x - x.mean(axis=0) for x in np.split(X, ends[:-1]) if len(x)]
    X = np.concatenate(levels)
    spread = deviations(X)
    n, longest = len(X), max(map(len, levels))
    highest = max(1, min(LONGEST, n // 4, longest // 2))
    if not (spread > 0).any():
        return min(WITHOUT, highest)
    scale = np.where(spread > 0, spread, np.inf)
    correlation = np.sum([_products(x / scale, highest + 2) for x in levels], axis=0)
    correlation /= n * (spread > 0).sum()
    peaks, first = find_peaks(correlation)[0], int((correlation < 0).argmax())
    peaks = peaks[
        (first > 0)
        & (peaks >= max(first, SHORTEST))
        & (peaks <= highest)
        & (correlation[peaks] > CLEAR)
    ]
    return int(peaks[correlation[peaks].argmax()]) if len(peaks) else min(WITHOUT, highest)


def _products(X: np.ndarray, n_lags: int) -> np.ndarray:
    """Sums of ``x[t] x[t + lag]`` over all t and columns, for each lag."""
    n = max(len(X), n_lags)
    power = np.square(np.abs(np.fft.rfft(X, 2 * n, axis=0))).sum(axis=1)
    return np.fft.irfft(power)[:n_lags]
