"""Views of a row turned into surprise, and added up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..params import Record
from ..rows.blocks import in_chunks
from ..rows.linear import filled
from .base import Model, refuse_shapes, refuse_unless_positive
from .parts import BLOCK, Local, Memory, Part, Rows, Scale, Swaps, Tails

CAUTION = 0.64  # what a second view, of trimmed rows, counts for


@dataclass(frozen=True, eq=False)
class Surprise(Record):
    """Turns a value into ``-log(share of normal rows with a larger one)``, linear beyond them all.

    Surprises of different views are alike in scale, and can be added.
    """

    sorted: np.ndarray
    unit: float

    @classmethod
    def of(cls, normal: np.ndarray) -> "Surprise":
        return cls(np.sort(normal), float(np.sort(normal).std() + 1e-6))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        below = np.searchsorted(self.sorted, values) / (len(self.sorted) + 1)
        return -np.log1p(-below) + np.maximum(values - self.sorted[-1], 0) / self.unit


@dataclass(frozen=True, eq=False)
class View(Record):
    """The parts of the score, fitted to one choice of normal rows.

    Attributes
    ----------
    parts : dict of str to Part
    surprise : dict of str to Surprise
        What each part's values are, as surprise,
    weights : dict of str to float
        and what that counts for.
    """

    parts: dict[str, Part]
    surprise: dict[str, Surprise]
    weights: dict[str, float]

    def check(self, n_features: int) -> None:
        """Raise ValueError where parts do not belong together."""
        if not self.parts.keys() == self.surprise.keys() == self.weights.keys() >= {"memory"}:
            raise ValueError(f"parts {list(self.parts)} count as {self.weights}")
        for name, part in self.parts.items():
            part.check(n_features)
            surprise = self.surprise[name]
            refuse_shapes(sorted=(surprise.sorted, (None,)))
            refuse_unless_positive(unit=surprise.unit, rows=len(surprise.sorted))
            if not np.isfinite(self.weights[name]):
                raise ValueError(f"{name} counts for {self.weights[name]}")

    def total(self, X: np.ndarray) -> np.ndarray:
        """Weighted sum of the surprises."""
        return self.added({name: in_chunks(part, X, BLOCK) for name, part in self.parts.items()})

    def added(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        surprises = [self.weights[name] * self.surprise[name](values[name]) for name in values]
        return np.asarray(np.sum(surprises, axis=0))

    def contributions(self, X: np.ndarray) -> np.ndarray:
        """The same, divided among the columns."""
        total = np.zeros(X.shape)
        for name, part in self.parts.items():
            share = part.columns(X)
            share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
            total += (self.weights[name] * self.surprise[name](part(X)))[:, None] * share
        return total


def view_of(
    rows: Rows, weights: dict[str, float], bandwidth: float, n_nets: int, seed: int
) -> tuple[View, np.ndarray]:
    """Return a view of rows, and the surprise of all training rows in it."""
    robust, parts = Scale.robust(rows.normal), dict[str, Part]()
    of_normal: dict[str, np.ndarray] = {}
    for name in weights:
        if name == "memory":
            parts[name] = Memory.of(rows, robust, bandwidth)
        elif name == "ranges":
            parts[name] = Memory.of(rows, Scale.range(rows.normal), bandwidth)
        elif name == "tails":
            parts[name] = Tails(rows)
        elif name == "local":
            parts[name] = Local.of(rows)
        else:
            parts[name], of_normal[name] = Swaps.of(rows, robust, n_nets, seed)
    values = {name: in_chunks(part, rows.all, BLOCK) for name, part in parts.items()}
    of_normal = {name: value[rows.core] for name, value in values.items()} | of_normal
    view = View(parts, {name: Surprise.of(of_normal[name]) for name in values}, weights)
    return view, view.added(values)


@dataclass(frozen=True, eq=False)
class SurpriseModel(Model):
    """One view, or two of which softly the larger surprise counts.

    Attributes
    ----------
    column_means : ndarray of shape (n_features,)
        They stand in for missing values.
    views : list of View
    training_errors : ndarray of shape (n,)
        Of the rows that were learned from.
    """

    column_means: np.ndarray
    views: list[View]
    training_errors: np.ndarray

    block = BLOCK

    @property
    def latent_dim(self) -> int:
        return len(self.column_means)

    def check(self, n_features: int) -> None:
        refuse_shapes(column_means=(self.column_means, (n_features,)))
        if not 0 < len(self.views) < 3:
            raise ValueError(f"{len(self.views)} views; expected one or two")
        for view in self.views:
            view.check(n_features)

    @property
    def _memory(self) -> Memory:
        memory = self.views[-1].parts["memory"]
        assert isinstance(memory, Memory)
        return memory

    def codes(self, X: np.ndarray) -> np.ndarray:
        return self._memory.kernel.codes(self._memory.scale(self._complete(X)))

    def rows(self, Z: np.ndarray) -> np.ndarray:
        return self._memory.scale.back(Z.astype(np.float64))

    def row_errors(self, X: np.ndarray) -> np.ndarray:
        X = self._complete(X)
        return mixed([view.total(X) for view in self.views])

    def errors(self, X: np.ndarray) -> np.ndarray:
        """What each value contributes to the surprise."""
        complete = self._complete(X)
        shares = np.sum([view.contributions(complete) for view in self.views], axis=0)
        shares[np.isnan(X)] = 0
        shares += 1e-12 * ~np.isnan(X)
        shares *= (self.row_errors(X) / shares.sum(axis=1))[:, None]
        shares[np.isnan(X)] = np.nan
        return np.asarray(shares)

    def _complete(self, X: np.ndarray) -> np.ndarray:
        return filled(X, self.column_means).astype(np.float64)


def mixed(totals: Sequence[np.ndarray]) -> np.ndarray:
    """Of two views, softly the larger surprise."""
    if len(totals) == 1:
        return totals[0]
    clean, trimmed = totals
    return np.logaddexp(0.5 * clean, 0.5 * CAUTION * trimmed)
