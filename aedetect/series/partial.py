"""Scores of windows; those of which only a part is known are brought to the scale of the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np

from ..detectors.wrapper import scores_by
from ..params import Record
from ..rows.threshold import FALSE_ALARMS, some_of
from .tape import Tape
from .window import SlidingWindow, rows_of

LEVELS = 16  # numbers of last points that windows are cut to; in between, scores are interpolated
DRAWN = 100  # windows that are cut to each of them
WHOLE = 0.75  # quantile of known points: windows that know fewer do not pass for whole ones


@dataclass(frozen=True, eq=False)
class Partial(Record):
    """The usual scores of windows of which only a part is known, as in gaps and where series begin.

    Few points are scored by other measures than many: their errors are means over fewer values, and
    what is missing has been filled in. A score is moved and stretched so that normal windows, cut
    until they know as many points, would have the median and the lowest 3 % of whole ones.

    Attributes
    ----------
    counts : ndarray of shape (n_levels,)
        Known points, on average, of windows cut to their last few points, or more, or all.
    medians, spreads : ndarray of shape (n_levels,)
        Their median score, and how far below it the lowest 3 % begin.
    """

    counts: np.ndarray
    medians: np.ndarray
    spreads: np.ndarray

    @classmethod
    def of(
        cls, window: SlidingWindow, scored: Sequence[tuple[Any, Tape]], seed: int
    ) -> Self | None:
        """Learn from detectors, each with the windows that it shall score; None of none."""
        levels = np.unique(np.geomspace(1, window.length_, LEVELS).round()).astype(int)
        known = [part.known() for _, part in scored]
        every = np.concatenate(known)
        most = np.quantile(every, WHOLE) if len(every) else 0
        cuts = [
            _cut(window, detector, part.part(np.flatnonzero(counts >= most)), levels, seed)
            for (detector, part), counts in zip(scored, known, strict=True)
        ]
        found = [cut for cut in cuts if cut is not None]
        if not found:
            return None
        counts, scores = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
        low, median = np.quantile(scores, (FALSE_ALARMS, 0.5), axis=1)
        return cls(counts.mean(axis=1), median, median - low)

    def levelled(self, tape: Tape, scores: np.ndarray) -> np.ndarray:
        """Scores of the windows of a tape, NaN for those without a value, on one scale."""
        known = tape.known()
        median, spread = (
            np.interp(known, self.counts, values) for values in (self.medians, self.spreads)
        )
        stretch = np.divide(self.spreads[-1], spread, out=np.ones(len(known)), where=spread > 0)
        moved = self.medians[-1] + (scores - median) * stretch
        return np.where(known < self.counts[-1], moved, scores)


def known_points(tape: Tape) -> np.ndarray:
    """How many points each window has from its first value on; none or less: it has no value."""
    cells, empty = np.arange(len(tape.values)), np.isnan(tape.values).all(axis=1)
    following = np.minimum.accumulate(np.where(empty, len(cells), cells)[::-1])[::-1]
    return tape.length - (following[tape.starts] - tape.starts)


def window_scores(
    window: SlidingWindow,
    estimator: Any,
    tape: Tape,
    partial: Partial | None = None,
    every: int = 1,
) -> np.ndarray:
    """Scores of windows, NaN for those without a value; of every so manyth block of windows."""
    scores = np.full(len(tape.starts), np.nan)
    for block in islice(tape.blocks(), None, None, every):
        rows = rows_of(window, tape, block)
        some = ~np.isnan(rows).all(axis=1)
        if some.any():
            scores[block][some] = scores_by(estimator, rows[some])
    return scores if partial is None else partial.levelled(tape, scores)


def _cut(
    window: SlidingWindow, detector: Any, tape: Tape, levels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Known points and scores (n_levels, m) of some windows, cut to so many points at their end.

    None where the last point of no window is known.
    """
    last = tape.starts + tape.length - 1
    usable = np.flatnonzero(~np.isnan(tape.values[last]).all(axis=1))
    if not len(usable):
        return None
    some = usable[some_of(len(usable), DRAWN, seed)]
    cuts = [rows_of(window, tape, some, k) for k in levels]
    n_channels = tape.values.shape[1]
    known = [np.count_nonzero(~np.isnan(rows), axis=1) / n_channels for rows in cuts]
    return np.array(known), np.array([scores_by(detector, rows) for rows in cuts])
