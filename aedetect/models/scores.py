"""Scores of plain rows by a model, and whatever else is computed block by block."""

from collections.abc import Callable

import numpy as np

from ..rows.blocks import in_chunks
from ..rows.limits import WORST
from .base import Model

FEW_ROWS = 64  # buffers for so many are kept, to score a few rows quickly


def scores_of(model: Model, X: np.ndarray) -> np.ndarray:
    """Minus the error of each row; the lowest score for a row without any value."""
    errors = in_blocks(model, model.row_errors, X)
    maybe_empty = np.flatnonzero(np.isnan(X[:, 0]))
    errors[maybe_empty[np.isnan(X[maybe_empty]).all(axis=1)]] = WORST
    return -np.fmin(errors, WORST)  # also where an error is NaN, as infinity less infinity is


def in_blocks(
    model: Model, function: Callable[[np.ndarray], np.ndarray], X: np.ndarray
) -> np.ndarray:
    """Apply `function` to blocks of rows, of which some may be too large to compute with."""
    quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")
    try:
        return in_chunks(quietly(function), X, model.block)
    finally:
        if len(X) > FEW_ROWS:
            model.release()
