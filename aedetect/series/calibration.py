"""What a detector of windows learns from, and the threshold on the scores of points."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from ..detectors.rules import EmpiricalNull
from ..rows.threshold import MOST, calibrated_threshold, some_of
from .partial import Partial, known_points, window_scores
from .tape import Tape
from .window import SlidingWindow, channel_names, rows_of

STRETCHES = 5  # of time; each is scored by a detector that learned from the others
ENOUGH = 50  # windows whose scores tell what stands out
LARGEST_SHARE = 0.1  # of unseen points, that what stands out may make flagged
BLOCKS = 100  # of windows, at most, that are looked at for what stands out


@dataclass(frozen=True)
class Learner:
    """Fits detectors to windows.

    Attributes
    ----------
    window : SlidingWindow
        Fitted.
    estimator : detector
        Not fitted.
    max_windows : int
        Windows at most that one learns from.
    seed : int
    """

    window: SlidingWindow
    estimator: Any
    max_windows: int
    seed: int

    def learned(self, tape: Tape) -> Any:
        """A detector that has learned from all windows."""
        rows = self._rows(tape, np.arange(len(tape.starts)))
        lack = _lack(self.window, rows)
        if lack is not None:
            raise ValueError(lack)
        return clone(self.estimator).fit(rows)

    def unseen(self, tape: Tape, final: Any) -> Iterator[tuple[Any, Tape]]:
        """Detectors, and windows in stretches of time that they did not learn from.

        A stretch that cannot be left out, such as the only one in which a channel is known, goes
        with the detector that learned from all.
        """
        first, last = _stretches(tape)
        series = tape.series[np.argsort(tape.cells)][_points_at(tape, tape.starts)]
        usable = known_points(tape) == tape.length if tape.causal else np.isfinite(first)
        for k in range(STRETCHES):
            inside = np.flatnonzero((first == k) & (last == k) & usable)
            rows = self._rows(tape, np.flatnonzero((last < k) | (first > k)))
            if len(inside):
                some = inside[_some_of_each(series[inside], tape.length, self.seed)]
                lacking = _lack(self.window, rows) is not None
                yield final if lacking else clone(self.estimator).fit(rows), tape.part(some)

    def _rows(self, tape: Tape, windows: np.ndarray) -> np.ndarray:
        """Some of these windows, full ones where there are any, but none without a value."""
        full = windows[known_points(tape)[windows] == tape.length]
        windows = full if len(full) > 1 else windows
        some = windows[some_of(len(windows), self.max_windows, self.seed)]
        rows = rows_of(self.window, tape, some)
        return rows[~np.isnan(rows).all(axis=1)]


def threshold_on_unseen(
    learner: Learner,
    estimator: Any,
    partial: Partial | None,
    tape: Tape,
    unseen: list[tuple[Any, Tape]],
) -> float:
    """Score that about 3 % of unseen points are below, or higher where training points stand out.

    A long event is seen by none of the detectors that score it, and may be more than 3 % of the
    points. Its windows still stand out of the scores that all get from the final detector.
    """
    window = learner.window
    means = [part.spread(window_scores(window, other, part, partial)) for other, part in unseen]
    others = np.sort(np.concatenate([mean[count > 0] for mean, count in means]))
    every = -(-sum(1 for _ in tape.blocks()) // BLOCKS)
    lowest = _lowest_normal(tape, window_scores(window, estimator, tape, partial, every))
    usual = calibrated_threshold(others)
    return max(usual, min(lowest, calibrated_threshold(others, LARGEST_SHARE)))


def _lowest_normal(tape: Tape, scores: np.ndarray) -> float:
    """Lowest score of points none of whose windows stand out; -inf where no window does.

    Windows with more missing values than most say nothing of this: their scores differ anyway.
    """
    known = tape.known()
    full = ~np.isnan(scores) & (known >= np.median(known))
    if full.sum() < ENOUGH:
        return -np.inf
    strange = full & (scores < EmpiricalNull()(scores[full]))
    left_out = strange | ~np.isnan(scores) & ~full
    mean, count = tape.spread(scores)
    normal = (count > 0) & (tape.spread(np.where(left_out, scores, np.nan))[1] == 0)
    return float(mean[normal].min()) if strange.any() and normal.any() else -np.inf


def _lack(window: SlidingWindow, rows: np.ndarray) -> str | None:
    """Why nothing can be learned from these windows, or None."""
    if len(rows) < 2:
        return (
            f"length={window.length_}: windows with a value are {len(rows)}, and at least 2 are "
            "needed. Set length to fewer points, or fit on more."
        )
    empty = np.isnan(rows).all(axis=0).reshape(-1, window.length_).sum(axis=1)
    if not empty.any():
        return None
    worst = int(empty.argmax())
    return (
        f"Channel {channel_names(window)[worst]!r} has no value at {empty[worst]} of the "
        f"{window.length_} places in a window, in {len(rows)} windows (length={window.length_}, "
        f"stride={window.stride}). Drop the channel, fill its gaps, or set stride=1."
    )


def _points_at(tape: Tape, cells: np.ndarray) -> np.ndarray:
    """Place, among the points on the tape, of those at cells, or the next ones behind a gap."""
    return np.searchsorted(np.sort(tape.cells), cells)


def _stretches(tape: Tape) -> tuple[np.ndarray, np.ndarray]:
    """Number of the stretch of time that each window begins in, and of that it ends in.

    Each series is cut into equal parts. Those too short for it lie in a stretch as a whole.
    """
    n = len(tape.cells)
    series = tape.series[np.argsort(tape.cells)]
    first = np.r_[0, np.flatnonzero(np.diff(series)) + 1]
    sizes = np.diff(np.r_[first, n])
    size, place = np.repeat(sizes, sizes), np.arange(n)
    inside = STRETCHES * (place - np.repeat(first, sizes)) // size
    numbers = np.where(size >= STRETCHES * tape.length, inside, STRETCHES * place // n)
    ends = tape.starts + tape.length - 1
    return numbers[_points_at(tape, tape.starts)], numbers[_points_at(tape, ends)]


def _some_of_each(series: np.ndarray, length: int, seed: int) -> np.ndarray:
    """Indices of windows that follow each other, of as many series as a few points allow."""
    _, first, count = np.unique(series, return_index=True, return_counts=True)
    some = some_of(len(first), max(STRETCHES, MOST // length), seed)
    most = MOST // len(some) + length
    return np.concatenate([np.arange(first[i], first[i] + min(count[i], most)) for i in some])
