"""Scores of windows; where a series begins, those of which only the end is known are rescaled."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np

from ..detectors.wrapper import scores_by
from ..params import Record
from ..rows.threshold import FALSE_ALARMS, some_of
from .tape import Tape
from .window import SlidingWindow, rows_of

LEVELS = 16  # numbers of known points for which scores are learned; in between, interpolated
DRAWN = 100  # windows that are cut to each of them


@dataclass(frozen=True, eq=False)
class Beginning(Record):
    """The usual scores of windows of which only the last points are known.

    Few points are scored by other measures than many: their errors are means over fewer values, and
    what is missing has been filled in. A score is moved and stretched so that normal windows, cut
    to as many points, would have the median and the lowest 3 % of full ones.

    Attributes
    ----------
    counts : ndarray of shape (n_levels,)
        Numbers of known points, ascending; the last is the length of a window.
    medians, spreads : ndarray of shape (n_levels,)
        Median score, and how far below it the lowest 3 % begin.
    """

    counts: np.ndarray
    medians: np.ndarray
    spreads: np.ndarray

    @classmethod
    def of(
        cls, window: SlidingWindow, scored: Iterable[tuple[Any, Tape]], seed: int
    ) -> Self | None:
        """Learn from detectors, each with the full windows that it shall score; None of none."""
        counts = np.unique(np.geomspace(1, window.length_, LEVELS).round()).astype(int)
        found = [_cut(window, *pair, counts, seed) for pair in scored]
        scores = np.concatenate([np.empty((len(counts), 0)), *found], axis=1)
        if not scores.size:
            return None
        low, median = np.quantile(scores, (FALSE_ALARMS, 0.5), axis=1)
        return cls(counts, median, median - low)

    def levelled(self, tape: Tape, scores: np.ndarray) -> np.ndarray:
        """Scores of the windows of a tape, NaN for those without a value, on one scale."""
        known = known_points(tape)
        median, spread = (
            np.interp(known, self.counts, values) for values in (self.medians, self.spreads)
        )
        stretch = np.divide(self.spreads[-1], spread, out=np.ones(len(known)), where=spread > 0)
        moved = self.medians[-1] + (scores - median) * stretch
        return np.where(known < tape.length, moved, scores)


def known_points(tape: Tape) -> np.ndarray:
    """How many points each window has from its first value on; none or less: it has no value."""
    cells, empty = np.arange(len(tape.values)), np.isnan(tape.values).all(axis=1)
    following = np.minimum.accumulate(np.where(empty, len(cells), cells)[::-1])[::-1]
    return tape.length - (following[tape.starts] - tape.starts)


def window_scores(
    window: SlidingWindow,
    estimator: Any,
    tape: Tape,
    beginning: Beginning | None = None,
    every: int = 1,
) -> np.ndarray:
    """Scores of windows, NaN for those without a value; of every so manyth block of windows."""
    scores = np.full(len(tape.starts), np.nan)
    for block in islice(tape.blocks(), None, None, every):
        rows = rows_of(window, tape, block)
        some = ~np.isnan(rows).all(axis=1)
        if some.any():
            scores[block][some] = scores_by(estimator, rows[some])
    return scores if beginning is None else beginning.levelled(tape, scores)


def _cut(
    window: SlidingWindow, detector: Any, tape: Tape, counts: np.ndarray, seed: int
) -> np.ndarray:
    """Scores (n_levels, m) of some windows whose last point is known, cut to so many at the end."""
    last = tape.starts + tape.length - 1
    known = np.flatnonzero(~np.isnan(tape.values[last]).all(axis=1))
    if not len(known):
        return np.empty((len(counts), 0))
    some = known[some_of(len(known), DRAWN, seed)]
    return np.array([scores_by(detector, rows_of(window, tape, some, k)) for k in counts])
