"""Rows that are refused, and training rows that little can be learned from."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..warn import warn
from .limits import LARGEST
from .linear import ROUNDING, complete_with_deviations

TOO_FEW = 5  # rows
SOME = 1000  # rows are enough to compare columns
UNLIKE = 1000  # ratio of ranges beyond which the narrow column cannot be heard


def warn_of_rows(X: np.ndarray, names: np.ndarray | None, *, units_matter: bool) -> None:
    """Warn where nothing varies, of few rows, and, where units matter, of unlike columns."""
    some, spread = complete_with_deviations(X[:: -(-len(X) // SOME)])
    varying = np.flatnonzero(spread)
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


def refuse_infinite(X: np.ndarray, names: Sequence[Any]) -> None:
    """Raise for infinite values."""
    infinite = np.isinf(X)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise ValueError(
            f"Input X contains infinity (inf) in column {names[column]!r}, row {row}; "
            f"{infinite.any(1).sum()} of {len(X)} rows have such values. Replace them; NaN "
            "stands for a missing value."
        )


def refuse_unusable(X: np.ndarray, names: Sequence[Any]) -> None:
    """Raise for rows and columns without a value, and for values too large to compute with."""
    missing = np.isnan(X)
    if missing.all(axis=1).any():
        raise ValueError(
            f"Row {missing.all(axis=1).argmax()} of X has no observed value (all NaN); "
            f"{missing.all(axis=1).sum()} of {len(X)} rows are so. Drop them."
        )
    if missing.all(axis=0).any():
        column = names[missing.all(axis=0).argmax()]
        raise ValueError(f"Column {column!r} of X has no observed value (all NaN). Drop it.")
    largest = np.fmax.reduce(np.abs(X)).astype(np.float64)
    if largest.max() > LARGEST:
        raise ValueError(
            f"Column {names[largest.argmax()]!r} of X holds values up to "
            f"{largest.max():.3g} in size, whose squares are too large to compute with. Put "
            "NaN where they stand for missing values; or divide the column by a constant, or "
            "take its logarithm."
        )


def refuse_out_of_range(X: np.ndarray, names: Sequence[Any]) -> None:
    """Raise for values outside [0, 1], of which a cross-entropy has no error."""
    if not ((X < 0) | (X > 1)).any():
        return
    lowest, highest = np.fmin.reduce(X), np.fmax.reduce(X)
    column = int(((lowest < 0) | (highest > 1)).argmax())
    raise ValueError(
        f"loss='binary_cross_entropy' takes values from 0 to 1; column {names[column]!r} of X runs "
        f"from {lowest[column]:g} to {highest[column]:g}. Put a MinMaxScaler(clip=True) in front."
    )
