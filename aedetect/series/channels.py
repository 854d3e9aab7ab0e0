"""Which channels are to blame, by the errors of their values in windows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..detectors.inside import last, scored, unwrapped
from .tape import Tape
from .window import SlidingWindow, channel_names, rows_of


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


def blamed(window: SlidingWindow, estimator: Any, tape: Tape, cells: np.ndarray) -> list[str]:
    """Names of the channels with the largest errors around each of these cells, or empty texts."""
    if not len(cells) or not tells_channels(estimator):
        return [""] * len(cells)
    first = np.searchsorted(tape.starts, cells - tape.length + 1)
    end = first + 1 if tape.causal else np.searchsorted(tape.starts, cells, "right")
    around = [np.arange(*pair) for pair in zip(first, end, strict=True)]
    needed = np.unique(np.concatenate(around))
    errors = np.nan_to_num(channel_errors(window, estimator, tape.part(needed)))
    names = channel_names(window)
    return [_largest(errors[np.searchsorted(needed, some)].mean(axis=0), names) for some in around]


def _largest(errors: np.ndarray, names: Sequence[Any]) -> str:
    """Those that make up half of all, at most three."""
    if not errors.any():
        return ""
    order = np.argsort(-errors, kind="stable")
    enough = int(np.searchsorted(np.cumsum(errors[order]), errors.sum() / 2)) + 1
    return ", ".join(str(names[c]) for c in order[: min(enough, 3)])
