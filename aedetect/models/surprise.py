"""Measures of a row turned into surprise, and added up."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax

from ..params import Record
from ..rows.blocks import in_chunks
from ..rows.linear import filled
from ..rows.ranks import Ranks
from .base import Model, refuse_shapes, refuse_unless_positive
from .parts import BLOCK, Memory, Part, Swaps


@dataclass(frozen=True, eq=False)
class Surprise(Record):
    """A part's value as ``-log(share of normal rows with a larger one)``, linear beyond them all.

    Surprises of different parts have a similar scale, and can be added.

    Attributes
    ----------
    part : Part
    sorted : ndarray of shape (n,)
        Its values of normal rows, computed as if it had not learned from them.
    unit : float
        Their standard deviation.
    """

    part: Part
    sorted: np.ndarray
    unit: float

    @classmethod
    def of(cls, part: Part, normal: np.ndarray) -> Self:
        ascending = np.sort(normal)
        return cls(part, ascending, float(ascending.std() + 1e-6))

    def check(self, n_features: int) -> None:
        """Raise ValueError where fields do not belong together."""
        self.part.check(n_features)
        refuse_shapes(sorted=(self.sorted, (None,)))
        refuse_unless_positive(unit=self.unit, rows=len(self.sorted))
        if (np.diff(self.sorted) < 0).any():
            raise ValueError("values of normal rows are not in ascending order")
        if isinstance(self.part, Swaps) and not self.part.nets:
            raise ValueError("there is no network to tell swaps")

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Surprise (n,) at rows (n, d)."""
        return self.at(in_chunks(self.part, X, BLOCK))

    def at(self, values: np.ndarray) -> np.ndarray:
        """Surprise at values of the part."""
        beyond = np.maximum(values - self.sorted[-1], 0) / self.unit
        return -np.log1p(-self.ranks(values)) + beyond

    @cached_property
    def ranks(self) -> Ranks:
        return Ranks.of(self.sorted)

    def divided(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same, and each column's share of it, (n, d); rows sum to 1."""
        columns = self.part.columns(X)
        shares = self.part.shares(columns)
        shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
        return self.at(self.part.value(columns)), shares


def surprise_of(part: Part, values: np.ndarray, normal: np.ndarray) -> tuple[Surprise, np.ndarray]:
    """Return a part's surprise, based on its values of normal rows, and that of all values."""
    surprise = Surprise.of(part, values[normal])
    return surprise, surprise.at(values)


MEMORY = 2.0  # weight of the memories' surprise; that of each other part is 1
CAUTION = 0.4  # weight of a memory of trimmed rows, relative to one of all rows


@dataclass(frozen=True, eq=False)
class SurpriseModel(Model):
    """The sum of surprises, with a soft maximum of the memories'.

    Attributes
    ----------
    column_medians : ndarray of shape (n_features,)
        They stand in for missing values.
    memories : list of one or two Surprise
        Of a `Memory`. The second one remembers fewer rows, and counts less.
    others : list of Surprise
    training_errors : ndarray of shape (n,)
        Of the rows that were learned from, or of some thousands of them.
    unseen_errors : ndarray of shape (n,)
        Of the same rows, computed as if the parts had not learned from them.
    """

    column_medians: np.ndarray
    memories: list[Surprise]
    others: list[Surprise]
    training_errors: np.ndarray
    unseen_errors: np.ndarray

    block = BLOCK

    @property
    def latent_dim(self) -> int:
        return len(self.column_medians)

    def check(self, n_features: int) -> None:
        refuse_shapes(
            column_medians=(self.column_medians, (n_features,)),
            training_errors=(self.training_errors, (None,)),
            unseen_errors=(self.unseen_errors, (None,)),
        )
        if not 0 < len(self.memories) < 3:
            raise ValueError(f"{len(self.memories)} memories; expected one or two")
        for surprise in (*self.memories, *self.others):
            surprise.check(n_features)

    @property
    def _memory(self) -> Memory:
        memory = self.memories[-1].part
        assert isinstance(memory, Memory)
        return memory

    def codes(self, X: np.ndarray) -> np.ndarray:
        return self._memory.kernel.codes(self._memory.scale(self._complete(X)))

    def rows(self, Z: np.ndarray) -> np.ndarray:
        return self._memory.scale.back(Z.astype(np.float64))

    def row_errors(self, X: np.ndarray) -> np.ndarray:
        X = self._complete(X)
        return total([memory(X) for memory in self.memories], [other(X) for other in self.others])

    def distances(self, X: np.ndarray) -> np.ndarray:
        """Distance from the remembered rows nearby, in scaled columns."""
        return np.sqrt(self._memory.columns(self._complete(X)).sum(axis=1))

    def errors(self, X: np.ndarray) -> np.ndarray:
        """What each value contributes to the surprise."""
        complete, gaps = self._complete(X), np.isnan(X)
        told = [surprise.divided(complete) for surprise in (*self.memories, *self.others)]
        surprises, shares = (np.array(some) for some in zip(*told, strict=True))
        memories, others = np.split(surprises, [len(self.memories)])
        counts = [*(MEMORY * softer(memories) * softmax(weighted(memories), axis=0)), *others]
        contributions = np.einsum("sn,snd->nd", counts, shares)
        contributions = np.where(gaps, 0, contributions + 1e-12)
        contributions *= (total(memories, others) / contributions.sum(axis=1))[:, None]
        return np.where(gaps, np.nan, contributions)

    def _complete(self, X: np.ndarray) -> np.ndarray:
        return filled(X, self.column_medians).astype(np.float64)


def total(memories: ArrayLike, others: ArrayLike) -> np.ndarray:
    """The score, high = anomalous."""
    return np.asarray(MEMORY * softer(np.asarray(memories)) + np.sum(others, axis=0))


def softer(memories: np.ndarray) -> np.ndarray:
    """Soft maximum of the surprises of memories, (1 or 2, n)."""
    return np.logaddexp.reduce(weighted(memories), axis=0)


def weighted(memories: np.ndarray) -> np.ndarray:
    """Surprises of memories, each multiplied by its weight."""
    return memories * np.array([1, CAUTION])[: len(memories), None]
