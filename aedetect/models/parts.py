"""What `AnomalyDetector` adds up: measures of how anomalous a row is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch

from ..networks.dense import Dense
from ..objectives.swaps import Swapping
from ..params import Record
from ..rows.blocks import in_chunks
from ..rows.limits import LARGEST
from ..rows.linear import deviations
from ..training.stack import Spec, bytes_of, fit_stack
from .base import refuse_shapes, refuse_unless_positive
from .frame import Frame
from .kernel import KernelModel, bandwidth_of
from .trained import TrainedModel

BLOCK = 256  # rows scored at a time
SINGLE = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Scale:
    """Columns on a common scale, far values pulled in: ``asinh((X - origin) / spread)``.

    Results are rounded to a millionth, so that changing a column's unit alters no last digit.
    Constant columns become 0.
    """

    origin: np.ndarray
    spread: np.ndarray

    @classmethod
    def robust(cls, X: np.ndarray) -> Self:
        """Median and interquartile range (as a standard deviation).

        The spread is at least a tenth of the standard deviation; where half of the values are
        identical, it is the standard deviation.
        """
        lower, median, upper = np.percentile(X, [25, 50, 75], axis=0)
        deviation = deviations(X)
        spread = np.maximum((upper - lower) / 1.349, 0.1 * deviation)
        spread = np.where(upper - lower > 1e-9 * deviation, spread, deviation)
        return cls(median, np.where(spread > 0, spread, np.inf))

    def __call__(self, X: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            Z = ((X - self.origin) / self.spread).clip(-LARGEST, LARGEST)
        return np.arcsinh(Z).round(6)

    def check(self, n_features: int) -> None:
        """Raise ValueError where lengths differ."""
        refuse_shapes(origin=(self.origin, (n_features,)), spread=(self.spread, (n_features,)))

    def back(self, Z: np.ndarray) -> np.ndarray:
        Z = np.sinh(Z.clip(*np.arcsinh([-LARGEST, LARGEST])))
        return self.origin + Z * np.where(np.isfinite(self.spread), self.spread, 0)


@dataclass(frozen=True, eq=False)
class Rows(Record):
    """Complete training rows (n, d), and the indices of those that count as normal.

    Parts do not keep what they derive from them, so that each table is kept only once.
    """

    all: np.ndarray
    core: np.ndarray

    @cached_property
    def normal(self) -> np.ndarray:
        return self.all[self.core]

    def check(self, n_features: int) -> None:
        """Raise ValueError where parts do not belong together."""
        refuse_shapes(all=(self.all, (None, n_features)), core=(self.core, (None,)))
        inside = self.core.dtype.kind in "iu" and len(self.core) and self.core.min() >= 0
        if not inside or self.core.max() >= len(self.all):
            raise ValueError("normal rows are none of the rows")


class Part(Record, ABC):
    """A measure of how anomalous a row is.

    A part's `of` learns from the rows that count as normal; it returns the part, and the values of
    some rows, computed as if it had not learned from them.
    """

    @abstractmethod
    def columns(self, X: np.ndarray) -> np.ndarray:
        """What is measured of each value, (n, d)."""

    def value(self, columns: np.ndarray) -> np.ndarray:
        """How anomalous each row is, (n,), by that."""
        return np.asarray(columns.sum(axis=1))

    def shares(self, columns: np.ndarray) -> np.ndarray:
        """What each column contributes to the value, (n, d), not negative, on its own scale."""
        return columns

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return self.value(self.columns(X))

    def check(self, n_features: int) -> None:
        """Raise ValueError where fields do not belong together."""
        for part in vars(self).values():
            if isinstance(part, Rows | Scale):
                part.check(n_features)


@dataclass(frozen=True, eq=False)
class Memory(Part):
    """Distance from the kernel-weighted mean of the nearby rows, in scaled columns."""

    rows: Rows
    scale: Scale
    bandwidth: float

    @classmethod
    def of(cls, rows: Rows, some: np.ndarray, share: float) -> tuple[Self, np.ndarray]:
        """Set the bandwidth to a share of the typical distance."""
        scale = Scale.robust(rows.normal)
        memory = cls(rows, scale, bandwidth_of(scale(rows.normal), share))
        return memory, in_chunks(memory, rows.all[some], BLOCK)  # no row is its own neighbour

    def check(self, n_features: int) -> None:
        super().check(n_features)
        refuse_unless_positive(bandwidth=self.bandwidth)

    @cached_property
    def kernel(self) -> KernelModel:
        items = self.scale(self.rows.normal)
        return KernelModel(items, np.zeros(items.shape[1]), NEAREST, self.bandwidth)

    def columns(self, X: np.ndarray) -> np.ndarray:
        return self.kernel.errors(self.scale(X))

    def value(self, columns: np.ndarray) -> np.ndarray:
        return np.log(np.sqrt(columns.sum(axis=1)) + 1e-3 * self.bandwidth)


NEAREST = 50  # rows that have weight
LOOKED_UP = 2_048  # values of a column that are looked up at a time


@dataclass(frozen=True, eq=False)
class Tails(Part):
    """How far out the values lie in their columns: the sum of ``-log(two-sided tail share)``.

    The idea of ECOD (Li et al., 2022). The shares are of all training rows, trimmed or not. Values
    within a millionth of the column's spread count as equal, as they may be of float32.
    """

    rows: Rows

    @classmethod
    def of(cls, rows: Rows, some: np.ndarray) -> tuple[Self, np.ndarray]:
        """Leave each row out of the shares it is compared with."""
        tails = cls(rows)
        size = min(len(some), LOOKED_UP)
        rarity = in_chunks(lambda X: tails._rarity(X, 1).sum(axis=1), rows.all[some], size)
        return tails, rarity

    @cached_property
    def sorted(self) -> np.ndarray:
        return np.sort(np.ascontiguousarray(self.rows.all.T), axis=1)

    @cached_property
    def reach(self) -> np.ndarray:
        """How far apart two values of a column may be and still count as equal."""
        spread = Scale.robust(self.rows.all).spread
        return SINGLE * np.where(np.isfinite(spread), 10 * spread, np.abs(self.rows.all[0]))

    def columns(self, X: np.ndarray) -> np.ndarray:
        return self._rarity(X, 0)

    def _rarity(self, X: np.ndarray, own: int) -> np.ndarray:
        n, beyond = self.sorted.shape[1] - own, np.empty(X.shape[::-1])
        for known, values, found, reach in zip(self.sorted, X.T, beyond, self.reach, strict=True):
            order = values.argsort()  # looking up ascending values is faster
            ascending = values[order]
            below = known.searchsorted(ascending + reach, "right")
            above = len(known) - known.searchsorted(ascending - reach, "left")
            found[order] = np.minimum(below, above) - own
        return -np.log(((2 * beyond.T + 1) / (n + 1)).clip(max=1))


STEPS, BATCH, VALUES = 200, 128, 2**14  # a batch of wide rows has fewer of them
STACK_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class Swaps(Part):
    """What networks trained to detect swapped values say, each trained on 70 % of the rows."""

    scale: Scale
    nets: list[TrainedModel]

    @classmethod
    def of(cls, rows: Rows, some: np.ndarray, n_nets: int, seed: int) -> tuple[Self, np.ndarray]:
        """Train the networks; for each row, ask those that did not learn from it."""
        rng = np.random.default_rng(seed)
        n_normal, d = rows.normal.shape
        n = min(max(2, int(np.ceil(0.7 * n_normal))), STEPS * BATCH)
        drawn = [rng.permutation(n_normal)[:n] for _ in range(n_nets)]
        part = cls(Scale.robust(rows.normal), [])
        Z = part._inputs(rows.normal)
        batch = min(n, BATCH, max(16, VALUES // d))
        specs = [_spec(Z[r], batch, int(rng.integers(2**31))) for r in drawn]
        size = max(1, STACK_BYTES // bytes_of(specs[0], (n, d))) if specs else 1
        for i in range(0, n_nets, size):
            stack = specs[i : i + size], [torch.from_numpy(Z[r]) for r in drawn[i : i + size]]
            for spec, trained in zip(specs[i : i + size], fit_stack(*stack), strict=True):
                part.nets.append(_model(spec, trained.weights))
        unseen = np.array([~np.isin(some, rows.core[learned]) for learned in drawn])
        sums = np.array([part._logits_of(net, rows.all[some]).sum(axis=1) for net in part.nets])
        votes = np.where(unseen.any(axis=0), unseen, True)
        return part, np.asarray((sums * votes).sum(axis=0) / votes.sum(axis=0))

    def columns(self, X: np.ndarray) -> np.ndarray:
        return np.mean([self._logits_of(net, X) for net in self.nets], axis=0)

    def shares(self, columns: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-columns))

    def check(self, n_features: int) -> None:
        super().check(n_features)
        for net in self.nets:
            net.check(n_features)

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        return self.scale(X).clip(-10, 10).astype(np.float32)

    def _logits_of(self, net: TrainedModel, X: np.ndarray) -> np.ndarray:
        return net.of_rows(net.objective.rebuilt, self._inputs(X))


def _spec(Z: np.ndarray, batch: int, seed: int) -> Spec:
    return Spec(
        network=Dense(hidden=(), code_activation="silu"),
        objective=Swapping(gaps=False),
        latent_dim=64,
        column_means=Z.mean(axis=0),
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=1e-4,
        epochs=max(1, STEPS // -(-len(Z) // batch)),
        batch_size=batch,
        device=torch.device("cpu"),
        random_state=seed,
    )


def _model(spec: Spec, weights: dict[str, np.ndarray]) -> TrainedModel:
    d = len(spec.column_means)
    return TrainedModel(
        network=spec.network,
        objective=spec.objective,
        frame=Frame.identity(d),
        column_means=spec.column_means,
        width=spec.latent_dim,
        weights=weights,
    )
