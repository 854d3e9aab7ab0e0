"""Which channels are to blame, by the errors of their values in windows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..detectors.inside import last, scored, unwrapped
from .tape import Tape
from .window import SlidingWindow, rows_of


def tells_channels(estimator: Any) -> bool:
    """Whether a detector of windows tells the error of each value."""
    return hasattr(last(unwrapped(estimator)), "score_features")


def channel_errors(window: SlidingWindow, estimator: Any, tape: Tape) -> np.ndarray:
    """Mean error of each channel in each window, (n_windows, n_channels)."""
    errors = np.full((len(tape.starts), tape.values.shape[1]), np.nan)
    for block in tape.blocks():
        rows = rows_of(window, tape, block)
        seen = ~np.isnan(rows)
        some = seen.any(axis=1)
        if not some.any():
            continue
        values = scored(unwrapped(estimator), rows[some])[1]
        cut = (len(values), -1, tape.length)
        counts = seen[some].reshape(cut).sum(axis=-1)
        sums = np.where(seen[some], values, 0).reshape(cut).sum(axis=-1)
        errors[block][some] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return errors


def blamed(
    window: SlidingWindow, estimator: Any, tape: Tape, cell: int, names: Sequence[str]
) -> str:
    """Names of the channels with the largest errors around a point, or an empty text."""
    if not tells_channels(estimator):
        return ""
    over = (tape.starts <= cell) & (cell < tape.starts + tape.length)
    if tape.causal:
        over = tape.starts == cell - tape.length + 1
    part = tape.part(np.flatnonzero(over))
    means = np.nan_to_num(channel_errors(window, estimator, part)).mean(axis=0)
    if not means.any():
        return ""
    order = np.argsort(-means, kind="stable")
    enough = int(np.searchsorted(np.cumsum(means[order]), means.sum() / 2)) + 1
    return ", ".join(names[c] for c in order[: min(enough, 3)])
