"""What `AnomalyDetector` adds up: four views of a row, each turned into surprise."""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from ._linear import deviations, principal_axes
from ._stack import fit_all
from ._swaps import SwapDetector
from .kernel import KernelAutoencoder
from .networks import Dense


@dataclass(frozen=True)
class Squash:
    """``asinh((x - median) / spread)``: columns alike in scale, far values less far.

    The spread is the interquartile range, as a standard deviation; where that is next to nothing,
    a tenth of the standard deviation. Results are rounded to a millionth, so that another unit of a
    column changes no last digit. Constant columns become 0.
    """

    median: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray) -> "Squash":
        lower, median, upper = np.percentile(X, [25, 50, 75], axis=0)
        deviation = deviations(X)
        spread = np.maximum((upper - lower) / 1.349, 0.1 * deviation)
        return cls(median, np.where(deviation > 0, spread, np.inf))

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return np.arcsinh((X - self.median) / self.spread).round(6)

    def back(self, Z: np.ndarray) -> np.ndarray:
        finite = np.isfinite(self.spread)
        return self.median + np.sinh(Z) * np.where(finite, self.spread, 0)


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


class Memory:
    """Distance from the kernel-weighted mean of the rows around, in squashed columns."""

    def __init__(self, squash: Squash, core: np.ndarray, bandwidth: float, seed: int) -> None:
        self.squash = squash
        Z = squash(core)
        self.kernel = KernelAutoencoder(bandwidth=bandwidth, max_items=len(Z), random_state=seed)
        self.kernel._remember(Z)

    def __call__(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        Z = self.squash(X)
        squares = np.square(self.kernel._encode(Z) - Z)
        distance = np.sqrt(squares.sum(axis=1))
        return np.log(distance + 1e-3 * self.kernel.bandwidth_), squares


class Tails:
    """How far out the values lie in their columns: the sum of ``-log(two-sided tail share)``.

    The idea of ECOD (Li et al., 2022). The shares are of all training rows, trimmed or not.
    """

    def __init__(self, X: np.ndarray) -> None:
        self.sorted = np.sort(X, axis=0).T

    def __call__(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = self.sorted.shape[1]
        rarity = np.empty(X.shape)
        for j, known in enumerate(self.sorted):
            below = np.searchsorted(known, X[:, j], "right")
            above = n - np.searchsorted(known, X[:, j], "left")
            rarity[:, j] = -np.log(((2 * np.minimum(below, above) + 1) / (n + 1)).clip(max=1))
        return rarity.sum(axis=1), rarity


class Local:
    """How much farther the nearest rows are than those have theirs, in half-whitened columns.

    The comparison of the local outlier factor (Breunig et al., 2000), with logarithms; directions
    count by the fourth root of their variance.
    """

    def __init__(self, core: np.ndarray, k: int = 5) -> None:
        self.mean, spread = core.mean(axis=0), deviations(core)
        self.spread = np.where(spread > 0, spread, np.inf)
        _, axes, variances = principal_axes(self._standard(core))
        share = variances + 0.01 * (variances.mean() or 1)
        self.directions = axes.T * share**-0.25
        self.rows = self._standard(core) @ self.directions
        self.k = min(k, len(core) - 1)
        self.search = NearestNeighbors(n_neighbors=self.k + 1, algorithm="brute").fit(self.rows)
        distances, _ = self._neighbours(self.rows)
        self.floor = 1e-3 * float(np.median(distances[:, -1])) + 1e-12
        self.own = np.log(distances.mean(axis=1) + self.floor)

    def _standard(self, X: np.ndarray) -> np.ndarray:
        return ((X - self.mean) / self.spread).round(6)

    def _neighbours(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances and indices of the k nearest rows, of which none is the row itself."""
        distances, neighbours = self.search.kneighbors(rows)
        itself = (self.rows[neighbours[:, 0]] == rows).all(axis=1)
        first = np.where(itself, 1, 0)[:, None] + np.arange(self.k)
        return np.take_along_axis(distances, first, 1), np.take_along_axis(neighbours, first, 1)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        distances, neighbours = self._neighbours(self._standard(X) @ self.directions)
        return np.log(distances.mean(axis=1) + self.floor) - self.own[neighbours].mean(axis=1)


class Swaps:
    """What networks say that were trained to tell swapped values, each on 70 % of the rows."""

    steps, batch = 200, 128

    def __init__(self, squash: Squash, core: np.ndarray, n_nets: int, seed: int) -> None:
        self.squash = squash
        rng = np.random.default_rng(seed)
        n = min(max(2, int(np.ceil(0.7 * len(core)))), self.steps * self.batch)
        rows = [rng.permutation(len(core))[:n] for _ in range(n_nets)]
        batch = min(n, self.batch)
        nets = [
            SwapDetector(
                latent_dim=64,
                network=Dense(hidden=(), code_activation="silu"),
                epochs=max(1, self.steps // -(-n // batch)),
                batch_size=batch,
                optimizer="adamw",
                weight_decay=1e-4,
                learning_rate=2e-3,
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
        return self.squash(X).clip(-10, 10).astype(np.float32)

    def __call__(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits = np.mean([net.logits(self._inputs(X)) for net in self.nets], axis=0)
        return logits.sum(axis=1), 1 / (1 + np.exp(-logits))

    def of_core(self, core: np.ndarray) -> np.ndarray:
        """Sums for the core's own rows, by nets that did not learn from them if any."""
        sums = np.array([net.logits(self._inputs(core)).sum(axis=1) for net in self.nets])
        votes = np.where(self.unseen.any(axis=0), self.unseen, True)
        return np.asarray((sums * votes).sum(axis=0) / votes.sum(axis=0))
