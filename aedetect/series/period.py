"""The length of what repeats in a series."""

import numpy as np
from scipy.signal import find_peaks

from ..rows.linear import column_means, deviations, filled

FEWEST, MOST = 8, 400  # points of a window
WITHOUT = 100  # points where nothing repeats
LOOKED_AT = 20_000  # points
CLEAR = 0.1  # autocorrelation of what repeats, at least


def period(X: np.ndarray) -> int:
    """Lag at which the autocorrelation has its highest peak once it has been negative.

    Paparrizos, Kang, Boniol, Tsay, Palpanas & Franklin, "TSB-UAD: an end-to-end benchmark suite for
    univariate time-series anomaly detection", 2022, take windows of that length.

    Parameters
    ----------
    X : ndarray of shape (n_points, n_channels)
        The autocorrelation is the mean over channels.

    Returns
    -------
    int
        From 8 to 400, and at most a quarter of the points.
    """
    X = filled(X[:LOOKED_AT], column_means(X[:LOOKED_AT]))
    spread = deviations(X)
    X = X[:, spread > 0] / spread[spread > 0]
    n = len(X)
    highest = max(1, min(MOST, n // 4))
    if not X.size:
        return min(WITHOUT, highest)
    power = np.square(np.abs(np.fft.rfft(X - X.mean(axis=0), 2 * n, axis=0))).mean(axis=1)
    correlation = np.fft.irfft(power)[: highest + 2] / n
    peaks, first = find_peaks(correlation)[0], int((correlation < 0).argmax())
    peaks = peaks[
        (first > 0)
        & (peaks >= max(first, FEWEST))
        & (peaks <= highest)
        & (correlation[peaks] > CLEAR)
    ]
    return int(peaks[correlation[peaks].argmax()]) if len(peaks) else min(WITHOUT, highest)
