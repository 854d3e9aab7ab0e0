"""Warnings of training rows that little can be learned from."""

import numpy as np

from ._linear import ROUNDING, column_means, deviations, filled
from ._warnings import warn

TOO_FEW = 5  # rows
SOME = 1000  # rows are enough to compare columns
UNLIKE = 1000  # ratio of ranges beyond which the narrow column cannot be heard


def warn_of_rows(X: np.ndarray, names: np.ndarray | None, *, units_matter: bool) -> None:
    """Warn where nothing varies, of few rows, and, where units matter, of unlike columns."""
    some = X[:: -(-len(X) // SOME)]
    some = filled(some, column_means(some)).astype(np.float64)
    varying = np.flatnonzero(deviations(some))
    if not len(varying) and _are_equal(np.fmin.reduce(X), np.fmax.reduce(X)):
        warn(
            "All columns of X are constant, of which nothing can be learned: any other row will "
            "look strange. Fit on rows that vary."
        )
    elif len(X) <= TOO_FEW:
        warn(
            f"X has {len(X)} rows, too few to tell what is normal: scores and threshold are hardly "
            "more than their memory. Fit on more; a hundred are a beginning."
        )
    elif units_matter and len(varying):
        _warn_of_units(varying, np.ptp(some[:, varying], axis=0), names)


def _are_equal(lowest: np.ndarray, highest: np.ndarray) -> bool:
    """Whether they differ by no more than rounding, as sums of the same numbers may."""
    sizes = np.maximum(np.abs(lowest), np.abs(highest))
    return bool((highest / 2 - lowest / 2 <= ROUNDING * sizes).all())


def _warn_of_units(columns: np.ndarray, ranges: np.ndarray, names: np.ndarray | None) -> None:
    """Compare ranges: of values in one unit, as pixels are, some may be rare, but none is small.

    A range that is mere rounding, as of principal components beyond the rank, says nothing.
    """
    real = ranges > ROUNDING * ranges.max()
    columns, ranges = columns[real], ranges[real]
    if ranges.max() <= UNLIKE * ranges.min():
        return
    wide, narrow = (
        str(column) if names is None else repr(names[column])
        for column in (columns[ranges.argmax()], columns[ranges.argmin()])
    )
    warn(
        f"Columns have unlike scales: the range of column {wide} is {ranges.max():.3g}, that of "
        f"column {narrow} {ranges.min():.3g}. The widest columns are the whole score. Put a "
        "StandardScaler in front."
    )
