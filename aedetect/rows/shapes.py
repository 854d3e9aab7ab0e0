"""Windows of series by their shape alone."""

import numpy as np

FLAT = 0.01  # of a channel's deviation: a window that varies less is taken to be flat


def unit_shapes(windows: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Each channel of each window to mean 0 and deviation 1.

    Parameters
    ----------
    windows : ndarray of shape (n, n_channels, length)
        NaN where a value is missing.
    least : ndarray of shape (n_channels,)
        What is divided by at least, so that noise in flat windows is not blown up.

    Returns
    -------
    ndarray of the same shape
        NaN where `windows` has it.
    """
    known = ~np.isnan(windows)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    mean = np.where(known, windows, 0).sum(axis=-1, keepdims=True) / count
    lowest, highest = (f.reduce(windows, axis=-1, keepdims=True) for f in (np.fmin, np.fmax))
    centred = windows - np.clip(mean, lowest, highest)  # of a constant, the constant itself
    square = np.square(np.where(known, centred, 0)).sum(axis=-1, keepdims=True) / count
    return np.asarray(centred / np.maximum(np.sqrt(square), least[:, None]))
