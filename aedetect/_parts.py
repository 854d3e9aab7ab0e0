"""What `AnomalyDetector` adds up: four views of a row, each turned into surprise."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ._detector import in_chunks
from ._linear import LARGEST, deviations, principal_axes
from ._neighbours import Neighbours
from ._stack import fit_all
from ._swaps import SwapDetector
from .kernel import KernelAutoencoder
from .networks import Dense

BLOCK = 256  # rows scored at a time


@dataclass(frozen=True)
class Scale:
    """Columns made alike: ``(X - origin) / spread``, or asinh of it, where far values are less far.

    Results are rounded to a millionth, so that another unit of a column changes no last digit.
    Constant columns become 0.
    """

    origin: np.ndarray
    spread: np.ndarray
    squashes: bool = False

    @classmethod
    def robust(cls, X: np.ndarray) -> "Scale":
        """Median and interquartile range (as a standard deviation), squashed.

        The spread is at least a tenth of the standard deviation; where half of the values are one
        and the same, it is the standard deviation.
        """
        lower, median, upper = np.percentile(X, [25, 50, 75], axis=0)
        deviation = deviations(X)
        spread = np.maximum((upper - lower) / 1.349, 0.1 * deviation)
        spread = np.where(upper - lower > 1e-9 * deviation, spread, deviation)
        return cls(median, _or_infinite(spread), squashes=True)

    @classmethod
    def range(cls, X: np.ndarray) -> "Scale":
        """Minimum and range: columns that have a unit in common, as pixels do, keep it."""
        lowest, highest = X.min(axis=0), X.max(axis=0)
        return cls(lowest, _or_infinite(np.where(deviations(X) > 0, highest - lowest, 0)))

    @classmethod
    def standard(cls, X: np.ndarray) -> "Scale":
        """Mean and standard deviation."""
        return cls(X.mean(axis=0), _or_infinite(deviations(X)))

    def __call__(self, X: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            Z = ((X - self.origin) / self.spread).clip(-LARGEST, LARGEST)
        return (np.arcsinh(Z) if self.squashes else Z).round(6)

    def back(self, Z: np.ndarray) -> np.ndarray:
        Z = np.sinh(Z.clip(*np.arcsinh([-LARGEST, LARGEST]))) if self.squashes else Z
        return self.origin + Z * np.where(np.isfinite(self.spread), self.spread, 0)


def _or_infinite(spread: np.ndarray) -> np.ndarray:
    return np.where(spread > 0, spread, np.inf)


class Part(ABC):
    """A view of rows, fitted when it is made."""

    @abstractmethod
    def __call__(self, X: np.ndarray) -> np.ndarray:
        """How strange each row is, (n,)."""

    @abstractmethod
    def columns(self, X: np.ndarray) -> np.ndarray:
        """What each column has in that, (n, d), not negative, on a scale of its own."""


class Surprise:
    """Turns a value into ``-log(share of normal rows with a larger one)``, linear beyond them all.

    Surprises of different views are alike in scale, and can be added.
    """

    def __init__(self, normal: np.ndarray) -> None:
        self.sorted = np.sort(normal)
        self.unit = self.sorted.std() + 1e-6

    def __call__(self, values: np.ndarray) -> np.ndarray:
        below = np.searchsorted(self.sorted, values) / (len(self.sorted) + 1)
        return -np.log1p(-below) + np.maximum(values - self.sorted[-1], 0) / self.unit


class Memory(Part):
    """Distance from the kernel-weighted mean of the rows around, in scaled columns."""

    def __init__(self, scale: Scale, core: np.ndarray, bandwidth: float, seed: int) -> None:
        self.scale = scale
        Z = scale(core)
        self.kernel = KernelAutoencoder(bandwidth=bandwidth, max_items=len(Z), random_state=seed)
        self.kernel._remember(Z)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        distance = np.sqrt(self.columns(X).sum(axis=1))
        return np.log(distance + 1e-3 * self.kernel.bandwidth_)

    def columns(self, X: np.ndarray) -> np.ndarray:
        Z = self.scale(X)
        return np.square(self.kernel._encode(Z) - Z)


class Tails(Part):
    """How far out the values lie in their columns: the sum of ``-log(two-sided tail share)``.

    The idea of ECOD (Li et al., 2022). The shares are of all training rows, trimmed or not.
    """

    def __init__(self, X: np.ndarray) -> None:
        self.sorted = np.sort(X, axis=0).T

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return self.columns(X).sum(axis=1)

    def columns(self, X: np.ndarray) -> np.ndarray:
        n = self.sorted.shape[1]
        rarity = np.empty(X.shape)
        for j, known in enumerate(self.sorted):
            below = np.searchsorted(known, X[:, j], "right")
            above = n - np.searchsorted(known, X[:, j], "left")
            rarity[:, j] = -np.log(((2 * np.minimum(below, above) + 1) / (n + 1)).clip(max=1))
        return rarity


def effective_share(X: np.ndarray) -> float:
    """Number of directions that the standardised columns vary in, as a share of the columns.

    The exponential of the entropy of the principal variances (Roy & Vetterli, 2007): 1 where
    columns do not depend on each other, 1 / d where they are all the same.
    """
    _, _, variances = principal_axes(Scale.standard(X)(X))
    shares = variances[variances > 0] / variances.sum()
    return float(np.exp(-shares @ np.log(shares)) / X.shape[1]) if len(shares) else 1.0


class Local(Part):
    """How much farther the nearest rows are than those have theirs, in half-whitened columns.

    The comparison of the local outlier factor (Breunig et al., 2000), with logarithms; directions
    count by the fourth root of their variance.
    """

    def __init__(self, core: np.ndarray, k: int = 5) -> None:
        self.scale = Scale.standard(core)
        _, axes, variances = principal_axes(self.scale(core))
        share = variances + 0.01 * (variances.mean() or 1)
        self.directions = axes.T * share**-0.25
        self.back = axes * share[:, None] ** 0.25  # undoes them
        self.rows = self.scale(core) @ self.directions
        self.nearest = Neighbours(self.rows, min(k, len(core) - 1))
        distances = in_chunks(lambda rows: self.nearest(rows)[0], self.rows, BLOCK)
        self.floor = 1e-3 * float(np.median(distances[:, -1])) + 1e-12
        self.own = np.log(distances.mean(axis=1) + self.floor)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        distances, neighbours = self.nearest(self.scale(X) @ self.directions)
        return np.log(distances.mean(axis=1) + self.floor) - self.own[neighbours].mean(axis=1)

    def columns(self, X: np.ndarray) -> np.ndarray:
        rows = self.scale(X) @ self.directions
        middles = self.rows[self.nearest(rows)[1]].mean(axis=1)
        return np.square((rows - middles) @ self.back)


class Swaps(Part):
    """What networks say that were trained to tell swapped values, each on 70 % of the rows."""

    steps, batch, values = 200, 128, 2**16  # a batch has fewer rows where they are wide

    def __init__(self, scale: Scale, core: np.ndarray, n_nets: int, seed: int) -> None:
        self.scale = scale
        rng = np.random.default_rng(seed)
        n = min(max(2, int(np.ceil(0.7 * len(core)))), self.steps * self.batch)
        rows = [rng.permutation(len(core))[:n] for _ in range(n_nets)]
        batch = min(n, self.batch, max(16, self.values // core.shape[1]))
        nets = [
            SwapDetector(
                latent_dim=64,
                network=Dense(hidden=(), code_activation="silu"),
                epochs=max(1, self.steps // -(-n // batch)),
                batch_size=batch,
                optimizer="adamw",
                weight_decay=1e-4,
                learning_rate=1e-3,
                device="cpu",
                random_state=int(rng.integers(2**31)),
            )
            for _ in rows
        ]
        Z = self._inputs(core)
        self.nets = [fitted.model for fitted in fit_all(nets, [Z[r] for r in rows], 2**24)]
        self.unseen = np.ones((n_nets, len(core)), bool)
        for seen, r in zip(self.unseen, rows, strict=True):
            seen[r] = False

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        return self.scale(X).clip(-10, 10).astype(np.float32)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return self._logits(X).sum(axis=1)

    def columns(self, X: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-self._logits(X)))

    def _logits(self, X: np.ndarray) -> np.ndarray:
        return np.mean([net.logits(self._inputs(X)) for net in self.nets], axis=0)

    def of_core(self, core: np.ndarray) -> np.ndarray:
        """Sums for the core's own rows, by nets that did not learn from them if any."""
        sums = np.array([net.logits(self._inputs(core)).sum(axis=1) for net in self.nets])
        votes = np.where(self.unseen.any(axis=0), self.unseen, True)
        return np.asarray((sums * votes).sum(axis=0) / votes.sum(axis=0))
