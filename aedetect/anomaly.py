"""The detector to begin with: no settings, whether the training rows are clean or a mixed bag."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np

from ._detector import Detector, in_chunks
from ._linear import column_means, deviations, filled
from ._params import Count, Range
from ._parts import BLOCK, Local, Memory, Part, Scale, Surprise, Swaps, Tails, effective_share
from ._report import warn_of_constant
from ._training import seeded
from .core import RobustCore, smallest

ASSUMED_TRIM = 0.4  # what trim="auto" leaves out in the second of its two views,
CAUTION = 0.64  # and what that view counts for


class AnomalyDetector(Detector):
    """Score rows by how surprising they are in four views, added up.

    1. Memory: the distance from a kernel-weighted mean of the training rows around
       (`KernelAutoencoder`), in columns squashed by asinh, and in columns scaled by their range.
    2. Tails: how far out the values lie in their columns (Li et al., 2022).
    3. Locality: how much farther the nearest rows are than those have theirs (Breunig et al.,
       2000).
    4. Swaps: networks of an autoencoder's shape, trained as a stack to tell values that were
       swapped in from other rows.

    Where rows are trimmed, locality and the memory of ranges say little and are left out.

    Each view's values become surprise, ``-log(share of normal rows with a larger value)``, so that
    they can be added. Columns need no scaling: scores do not change with a column's unit or origin.

    Parameters
    ----------
    trim : float or "auto", default="auto"
        Share of training rows to be left out of what counts as normal: 0 where they are believed
        normal, about 0.4 where they are a mixed bag. "auto" does not guess which: it fits both and
        takes, softly, the larger one of half the surprise s0 without trimming and a third of the
        other, s4: the score is ``-log(exp(0.5 s0) + exp(0.32 s4))``.
    n_estimators : int, default=4
        Networks in the stack.
    max_items : int, default=20000
        Rows remembered at most; of tables with more than twice as many rows, that many are drawn at
        random to learn from, and for the threshold.
    contamination : float or "auto", default="auto"
        Share of training rows, from 0 to 0.5, that the threshold puts outside; "auto" takes rows
        beyond Tukey's fence of the surprise, and at least the worst one. With a `trim`, the fence
        lies beyond most of the trimmed rows: say a share.
    random_state : int, RandomState or None, default=None
        Of the networks and of the draws.

    Attributes
    ----------
    core_ : ndarray of int
        Indices of the training rows that count as normal.
    column_means_ : ndarray of shape (n_features,)
        They stand in for missing values.
    offset_ : float
        Threshold on the score.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    Warns
    -----
    UserWarning
        If a named column of a table is constant. Another value in it counts as a rare one, however
        far it is.

    See Also
    --------
    RobustCore : The trimming.
    KernelAutoencoder : The memory.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from aedetect import AnomalyDetector
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> detector = AnomalyDetector(random_state=0).fit(X[y == 1][:250])
    >>> bool((detector.predict(X[y == 0]) == -1).mean() > 0.6)
    True
    """

    trim: Literal["auto"] | Annotated[float, Range(0, 0.9)] = "auto"
    n_estimators: Count = 4
    max_items: Annotated[int, Range(10)] = 20_000
    random_state: int | np.random.RandomState | None = None

    _block_size = BLOCK
    _min_features = 1

    def _fit(self, X: np.ndarray, y: Any) -> None:
        with self._one_task(X, y):
            rng = np.random.default_rng(seeded(self.random_state).initial_seed())
            self.column_means_ = column_means(X)
            drawn = _some(len(X), 2 * self.max_items, rng)
            rows = filled(X[drawn], self.column_means_).astype(np.float64)
            names = getattr(self, "feature_names_in_", None)
            if names is not None:
                consequence = "Another value in them counts as a rare one, however far it is."
                constant = names[deviations(rows) == 0]
                warn_of_constant(constant, len(names), consequence)
            seed = int(rng.integers(2**31))
            trims = [0.0, ASSUMED_TRIM] if self.trim == "auto" else [self.trim]
            self._views = [self._view(rows, trim, seed) for trim in trims]
            self._drawn, self.core_ = drawn, drawn[self._views[-1].core]

    def _view(self, rows: np.ndarray, trim: float, seed: int) -> "_View":
        """What counts as normal with a share of rows left out."""
        core = np.arange(len(rows))
        if trim > 0:
            core = np.flatnonzero(RobustCore(trim=trim).fit(rows).core_)
            first = _View(rows, self._capped(core, seed), {"memory": 2, "tails": 1}, 1.0, 0, seed)
            core = np.flatnonzero(smallest(first.totals, 1 - trim))
        weights, bandwidth = self._weights(rows, trim), 1.0 if trim else 0.5
        return _View(rows, self._capped(core, seed), weights, bandwidth, self.n_estimators, seed)

    def _weights(self, rows: np.ndarray, trim: float) -> dict[str, float]:
        """What each part counts for."""
        if trim > 0:
            return {"memory": 1, "tails": 1, "swaps": 1}
        independence = min(1.0, 2 * effective_share(rows))  # else a tail counts many times
        return {"memory": 1, "ranges": 0.5, "tails": independence, "local": 1, "swaps": 1}

    def _capped(self, core: np.ndarray, seed: int) -> np.ndarray:
        return core[_some(len(core), self.max_items, np.random.default_rng(seed))]

    def _training_scores(self, X: np.ndarray) -> np.ndarray:
        return -self._mixed([view.totals for view in self._views])

    def _row_errors(self, X: np.ndarray) -> np.ndarray:
        X = self._complete(X)
        return self._mixed([view.total(X) for view in self._views])

    def _mixed(self, totals: list[np.ndarray]) -> np.ndarray:
        """Of two views, softly the larger surprise."""
        if len(totals) == 1:
            return totals[0]
        clean, trimmed = totals
        return np.logaddexp(0.5 * clean, 0.5 * CAUTION * trimmed)

    def _feature_errors(self, X: np.ndarray) -> np.ndarray:
        complete = self._complete(X)
        shares = np.sum([view.contributions(complete) for view in self._views], axis=0)
        shares[np.isnan(X)] = 0
        shares += 1e-12 * ~np.isnan(X)
        shares *= (self._row_errors(X) / shares.sum(axis=1))[:, None]
        shares[np.isnan(X)] = np.nan
        return shares

    def _complete(self, X: np.ndarray) -> np.ndarray:
        return filled(X, self.column_means_).astype(np.float64)

    def _encode(self, X: np.ndarray) -> np.ndarray:
        memory = self._views[-1].memory
        return memory.kernel._encode(memory.scale(self._complete(X)))

    def _decode(self, Z: np.ndarray) -> np.ndarray:
        return self._views[-1].memory.scale.back(Z.astype(np.float64))

    def score_features(self, X: Any) -> np.ndarray:
        """What each value contributes to the surprise.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float64
            Not negative; NaN where `X` is. A row's sum is minus its score.
        """
        return super().score_features(X)

    @property
    def _units_matter(self) -> bool:
        return False

    @property
    def _logarithmic(self) -> bool:
        return True

    @property
    def _n_features_out(self) -> int:
        return self.n_features_in_


class _View:
    """The parts of the score, fitted to one choice of normal rows.

    Attributes
    ----------
    core : ndarray of int
        Which rows count as normal.
    totals : ndarray of shape (n,)
        Weighted sum of the surprises, of the training rows.
    """

    def __init__(
        self,
        rows: np.ndarray,
        core: np.ndarray,
        weights: Mapping[str, float],
        bandwidth: float,
        n_nets: int,
        seed: int,
    ) -> None:
        self.core, self.weights = core, weights
        normal = rows[core]
        robust = Scale.robust(normal)
        self.memory = Memory(robust, normal, bandwidth, seed)
        make: dict[str, Callable[[], Part]] = {
            "memory": lambda: self.memory,
            "ranges": lambda: Memory(Scale.range(normal), normal, bandwidth, seed),
            "tails": lambda: Tails(rows),
            "local": lambda: Local(normal),
            "swaps": lambda: Swaps(robust, normal, n_nets, seed),
        }
        self.parts = {name: make[name]() for name in weights}
        values = self._values(rows)
        of_core = {name: value[core] for name, value in values.items()}
        if isinstance(swaps := self.parts.get("swaps"), Swaps):
            of_core["swaps"] = swaps.of_core(normal)
        self.surprise = {name: Surprise(value) for name, value in of_core.items()}
        self.totals = self._sum(values)

    def total(self, X: np.ndarray) -> np.ndarray:
        """Weighted sum of the surprises."""
        return self._sum(self._values(X))

    def contributions(self, X: np.ndarray) -> np.ndarray:
        """The same, divided among the columns."""
        total = np.zeros(X.shape)
        for name, part in self.parts.items():
            share = part.columns(X)
            share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
            total += (self.weights[name] * self.surprise[name](part(X)))[:, None] * share
        return total

    def _values(self, X: np.ndarray) -> dict[str, np.ndarray]:
        return {name: in_chunks(part, X, BLOCK) for name, part in self.parts.items()}

    def _sum(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        surprises = [self.weights[name] * self.surprise[name](values[name]) for name in values]
        return np.sum(surprises, axis=0)


def _some(n: int, at_most: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of all rows, or of as many as allowed, drawn at random."""
    return np.arange(n) if n <= at_most else np.sort(rng.choice(n, at_most, replace=False))
