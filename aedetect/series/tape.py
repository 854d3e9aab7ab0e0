"""Series one after the other, and the windows that slide over each of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

BLOCK = 2**20  # values of windows made at a time


@dataclass(frozen=True, eq=False)
class Tape:
    """Points of series, each series with gaps in front, so that a window never meets two of them.

    Attributes
    ----------
    values : ndarray of shape (n_cells, n_channels)
        NaN for gaps.
    cells : ndarray of shape (n_points,)
        Where on the tape each point is.
    series : ndarray of shape (n_points,)
        Number of the series that each point is of; on the tape, they follow each other.
    pieces : ndarray of shape (n_points,)
        Number of the piece, a series without a gap, that each point is of.
    starts : ndarray of shape (n_windows,)
        Where windows begin, ascending.
    length : int
        Points of a window.
    causal : bool
        Whether a window speaks for its last point only.
    """

    values: np.ndarray
    cells: np.ndarray
    series: np.ndarray
    pieces: np.ndarray
    starts: np.ndarray
    length: int
    causal: bool

    @classmethod
    def of(
        cls,
        X: np.ndarray,
        series: np.ndarray,
        order: np.ndarray,
        sizes: np.ndarray,
        length: int,
        stride: int | None,
    ) -> Self:
        """Lay out pieces of `X`, those of `sizes` rows in that order; no stride means causal."""
        gaps = np.maximum(length - sizes, 0) if stride else np.full(len(sizes), length - 1)
        begins = np.cumsum(gaps + sizes) - sizes  # of points, behind the gaps in front of them
        cells = np.empty(len(X), int)
        cells[order] = np.arange(len(X)) + np.repeat(np.cumsum(gaps), sizes)
        numbers = np.empty(len(X), int)
        numbers[order] = np.repeat(np.arange(len(sizes)), sizes)
        values = np.full((len(X) + gaps.sum(), X.shape[1]), np.nan)
        values[cells] = X
        last = begins + sizes - length  # a window that begins there sees the last point
        if stride is None:
            starts = np.sort(cells) - length + 1
            return cls(values, cells, series, numbers, starts, length, True)
        pairs = zip(begins - gaps, last, strict=True)
        starts = np.concatenate([np.r_[first:end:stride, end] for first, end in pairs])
        return cls(values, cells, series, numbers, starts, length, False)

    def windows(self, some: np.ndarray | slice) -> np.ndarray:
        """Some windows, (m, n_channels, length)."""
        return sliding_window_view(self.values, self.length, axis=0)[self.starts[some]]

    def blocks(self) -> Iterator[slice]:
        """Cut the windows into blocks of bounded size."""
        size = max(1, BLOCK // (self.length * self.values.shape[1]))
        for start in range(0, len(self.starts), size):
            yield slice(start, start + size)

    def known(self) -> np.ndarray:
        """How many points of each window have a value, the mean of the channels."""
        values = np.r_[0, np.cumsum(np.count_nonzero(~np.isnan(self.values), axis=1))]
        counts = values[self.starts + self.length] - values[self.starts]
        return np.asarray(counts / self.values.shape[1])

    def part(self, some: np.ndarray) -> Self:
        """The same points, with some of the windows."""
        return replace(self, starts=self.starts[some])

    def spread(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean score of the windows that speak for a point, and how many do.

        Parameters
        ----------
        scores : ndarray of shape (n_windows, ...)
            NaN where a window has nothing to say.

        Returns
        -------
        mean, count : ndarray of shape (n_points, ...)
            NaN and 0 where none speaks.
        """
        total = np.zeros((len(self.values), *scores.shape[1:]))
        count = np.zeros(total.shape, int)
        known = ~np.isnan(scores)
        values = np.where(known, scores, 0.0)
        for j in range(self.length - 1 if self.causal else 0, self.length):
            total[self.starts + j] += values
            count[self.starts + j] += known
        total, count = total[self.cells], count[self.cells]
        return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0), count
