"""Where a value ranks among others, without jumps."""

from dataclasses import dataclass
from typing import Self

import numpy as np

EQUAL = 1e-12  # relative: numbers closer to each other may be one that was rounded in two ways


@dataclass(frozen=True, eq=False)
class Ranks:
    """Share of some numbers that lie below a value, linear from each number to the next.

    A plain count jumps when rounding carries a value across a number; this hardly moves.

    Attributes
    ----------
    knots : ndarray
        The numbers, ascending; of equal ones, the first.
    shares : ndarray
        Share of the numbers below each knot.
    """

    knots: np.ndarray
    shares: np.ndarray

    @classmethod
    def of(cls, ascending: np.ndarray) -> Self:
        gaps = np.diff(ascending, prepend=-np.inf)
        first = np.flatnonzero(gaps > EQUAL * np.abs(ascending))
        return cls(ascending[first], first / len(ascending))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return np.interp(values, self.knots, self.shares)
