"""A detector without settings, whether or not there are anomalies among the training rows."""

from typing import Annotated, Any, Literal

import numpy as np

from ..chance import seeded
from ..models.base import Model, learned
from ..models.parts import Rows, effective_share
from ..models.report import of_constant
from ..models.surprise import SurpriseModel, View, mixed, view_of
from ..params import Count, Range
from ..rows.linear import column_means, deviations, filled
from ..rows.threshold import evenly
from ..warn import warn_all
from .base import Detector
from .core import RobustCore, smallest

ASSUMED_TRIM = 0.4  # what trim="auto" leaves out in the second of its two views


class AnomalyDetector(Detector):
    """Score rows by the sum of their surprise in four views.

    1. Memory: the distance from a kernel-weighted mean of nearby training rows
       (`KernelAutoencoder`), in columns squashed by asinh, and in columns scaled by their range.
    2. Tails: how far out the values lie in their columns (Li et al., 2022).
    3. Locality: how much farther away the nearest rows are than their own nearest rows (Breunig et
       al., 2000).
    4. Swaps: networks of an autoencoder's shape, trained as a stack to detect values that were
       swapped in from other rows.

    If rows are trimmed, locality and the memory of ranges tell little and are left out.

    The values of each view are converted to surprise, ``-log(share of normal rows with a larger
    value)``, so that they can be added. Columns need no scaling: scores do not depend on a column's
    unit or origin.

    Parameters
    ----------
    trim : float or "auto", default="auto"
        Share of training rows not to count as normal: 0 if all are believed to be normal, about 0.4
        if there are anomalies among them. "auto" does not guess which: it fits both and takes a
        soft maximum of half the surprise s0 without trimming and a third of the surprise s4 with
        trimming: the score is ``-log(exp(0.5 s0) + exp(0.32 s4))``.
    n_estimators : int, default=4
        Number of networks in the stack.
    max_items : int, default=20000
        Maximum number of rows remembered. From a table with more than twice as many rows, twice as
        many are drawn at random for learning and for the threshold.
    random_state : int, RandomState or None, default=None
        Seed for the networks and the draws.

    Attributes
    ----------
    core_ : ndarray of int
        Indices of the training rows that count as normal.
    column_means_ : ndarray of shape (n_features,)
        Replacements for missing values.
    offset_ : float
        Threshold on the score.
    calibration_scores_ : ndarray
        Sorted scores of rows by models that did not learn from them. Only with
        ``contamination="auto"`` and at least 20 rows.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    Warns
    -----
    UserWarning
        If a named column of a table is constant. Any other value in it counts as rare, however far
        away it is.

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

    _min_features = 1

    def _learn(self, X: np.ndarray) -> SurpriseModel:
        rng = np.random.default_rng(seeded(self.random_state).initial_seed())
        means = column_means(X)
        drawn = _some(len(X), 2 * self.max_items, rng)
        rows = filled(X[drawn], means).astype(np.float64)
        self._warn_of_constant(deviations(rows) == 0)
        seed = int(rng.integers(2**31))
        trims = [0.0, ASSUMED_TRIM] if self.trim == "auto" else [self.trim]
        cores = [self._core(rows, trim, seed) for trim in trims]
        views = [self._view(Rows(rows, c), t, seed) for c, t in zip(cores, trims, strict=True)]
        self.core_ = drawn[cores[-1]]
        return SurpriseModel(means, [view for view, _ in views], mixed([of for _, of in views]))

    def _core(self, rows: np.ndarray, trim: float, seed: int) -> np.ndarray:
        """Indices of what counts as normal with a share of rows left out."""
        core = np.arange(len(rows))
        if trim > 0:
            core = np.flatnonzero(RobustCore(trim=trim).fit(rows).core_)
            first = Rows(rows, self._capped(core, seed))
            _, totals = view_of(first, {"memory": 2, "tails": 1}, 1.0, 0, seed)
            core = np.flatnonzero(smallest(totals, 1 - trim))
        return self._capped(core, seed)

    def _view(self, rows: Rows, trim: float, seed: int) -> tuple[View, np.ndarray]:
        weights, bandwidth = self._weights(rows.all, trim), 1.0 if trim else 0.5
        return view_of(rows, weights, bandwidth, self.n_estimators, seed)

    def _weights(self, rows: np.ndarray, trim: float) -> dict[str, float]:
        """What each part counts for."""
        if trim > 0:
            return {"memory": 1, "tails": 1, "swaps": 1}
        independence = min(1.0, 2 * effective_share(rows))  # else a tail counts many times
        return {"memory": 1, "ranges": 0.5, "tails": independence, "local": 1, "swaps": 1}

    def _capped(self, core: np.ndarray, seed: int) -> np.ndarray:
        return core[_some(len(core), self.max_items, np.random.default_rng(seed))]

    def _warn_of_constant(self, constant: np.ndarray) -> None:
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            consequence = "Another value in them counts as a rare one, however far it is."
            warn_all(of_constant(names[constant], len(names), consequence))

    def _training_scores(self, model: Model, X: np.ndarray) -> np.ndarray:
        assert isinstance(model, SurpriseModel)
        return -model.training_errors

    def _unseen_scores(self, X: np.ndarray) -> np.ndarray:
        scores = self._training_scores(self.model_, X)  # no row is compared with itself
        return evenly(scores)

    column_means_ = learned("column_means", "What stands in for missing values.")

    def score_features(self, X: Any) -> np.ndarray:
        """Contribution of each value to the surprise.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float64
            Nonnegative; NaN where `X` is NaN. The sum over a row is minus its score.
        """
        return super().score_features(X)

    @property
    def _units_matter(self) -> bool:
        return False


def _some(n: int, at_most: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of all rows, or of as many as allowed, drawn at random."""
    return np.arange(n) if n <= at_most else np.sort(rng.choice(n, at_most, replace=False))
