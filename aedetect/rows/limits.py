"""The largest numbers that are computed with, and what becomes of larger ones."""

import numpy as np

LARGEST = 1e100  # in size; squares of larger values overflow
WORST = 1e300  # the largest error: that of a row without a value; means of many stay finite


def bounded(X: np.ndarray) -> np.ndarray:
    """Put the largest number that can be computed with in place of larger ones."""
    return X.clip(-LARGEST, LARGEST) if X.dtype == np.float64 else X


def in_dtype(results: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert float64, and what is too large for float32 to its largest number."""
    limits = np.finfo(dtype)
    if results.dtype != dtype:
        results = results.clip(float(limits.min), float(limits.max))
    return results.astype(dtype, copy=False)
