"""A detector without settings, whether or not there are anomalies among the training rows."""

from typing import Annotated, Any, Literal

import numpy as np

from ..chance import seeded
from ..models.base import Model, learned
from ..models.parts import Memory, Rows, Swaps, Tails
from ..models.report import of_constant
from ..models.scores import in_blocks
from ..models.surprise import Surprise, SurpriseModel, surprise_of, total
from ..params import Count, Range
from ..rows.linear import column_means, column_medians, deviations, filled
from ..rows.null import null_p_values, null_p_values_of_cells
from ..rows.threshold import some_of
from ..warn import warn_all
from .base import Detector
from .core import RobustCore, smallest

CALIBRATION = 4_000  # rows at most whose values say what is surprising
FEWEST, VALUES = 1_000, 2**24  # of a wide table, rows are drawn until they hold so many values
ASSUMED_TRIM = 0.4  # what trim="auto" leaves out in the second of its two views


class AnomalyDetector(Detector):
    """Score rows by how surprising three measures of them are.

    1. Memory: the distance from a kernel-weighted mean of nearby training rows
       (`KernelAutoencoder`), in columns squashed by asinh.
    2. Tails: how far out the values lie in their columns (Li et al., 2022).
    3. Swaps: networks of an autoencoder's shape, trained as a stack to detect values that were
       swapped in from other rows (in the manner of Clark et al., 2020).

    Each measure is converted to surprise, ``-log(share of normal rows with a larger value)``, so
    that they can be added: the score is ``-(2 m + t + s)`` with the surprise m, t and s of the
    three. Columns need no scaling: scores do not depend on a column's unit or origin.

    Parameters
    ----------
    trim : float or "auto", default="auto"
        Share of training rows not to count as normal: 0 if all are believed to be normal, about 0.4
        if there are anomalies among them. "auto" covers both cases: it keeps two memories, one
        of all rows and one of a trimmed selection, and takes a soft maximum of the surprise m0 at
        the first and 0.4 times the surprise m4 at the second: ``m = log(exp(m0) + exp(0.4 m4))``.
    n_estimators : int, default=4
        Number of networks in the stack.
    max_items : int, default=20000
        Maximum number of rows remembered; the trimmed memory of ``trim="auto"`` has a quarter of
        it. From a table with more than twice as many rows, or with
        more than 2**24 values, rows are drawn at random to learn from: twice `max_items`, or as
        many as hold so many values, but at least 1,000.
    random_state : int, RandomState or None, default=None
        Seed for the networks and the draws.

    Attributes
    ----------
    core_ : ndarray of int
        Indices of training rows that count as normal: those that the networks learned from, at most
        `max_items`, or a quarter as many with ``trim="auto"``, which are drawn at random.
    column_medians_ : ndarray of shape (n_features,)
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
        seed = seeded(self.random_state).initial_seed()
        n, d = X.shape
        drawn = some_of(n, min(2 * self.max_items, max(FEWEST, VALUES // d)), seed)
        medians = column_medians(X[drawn], column_means(X))
        rows = filled(X[drawn], medians).astype(np.float64)
        self._warn_of_constant(deviations(rows) == 0)
        every, some = np.arange(len(rows)), some_of(len(rows), CALIBRATION, seed)

        tails, of_tails = surprise_of(*Tails.of(Rows(rows, every), every), every)
        trims = [0.0, ASSUMED_TRIM] if self.trim == "auto" else [self.trim]
        sizes = self.max_items, self.max_items // 4  # a second memory is of fewer
        views = [
            Rows(rows, self._core(rows, trim, of_tails, size, seed))
            for trim, size in zip(trims, sizes, strict=False)
        ]
        memories: list[Surprise] = []
        of_memories: list[np.ndarray] = []
        for trim, view in zip(trims, views, strict=True):
            parts = Memory.of(view, some, 1.0 if trim else 0.5)
            memory, of_memory = surprise_of(*parts, np.isin(some, view.core))
            memories.append(memory)
            of_memories.append(of_memory)
        core = views[-1].core  # trimmed, if any is
        nets = Swaps.of(views[-1], some, self.n_estimators, seed)
        swaps, of_swaps = surprise_of(*nets, np.isin(some, core))

        self.core_ = drawn[core]
        others = [tails, swaps]
        errors = total(of_memories, [other(rows[some]) for other in others])
        unseen = total(of_memories, [of_tails[some], of_swaps])
        return SurpriseModel(medians, memories, others, errors, unseen)

    def _core(
        self, rows: np.ndarray, trim: float, of_tails: np.ndarray, at_most: int, seed: int
    ) -> np.ndarray:
        """Indices of what counts as normal with a share of rows left out."""
        core = every = np.arange(len(rows))
        if trim > 0:
            first = np.flatnonzero(RobustCore(trim=trim).fit(rows).core_)
            first = first[some_of(len(first), CALIBRATION, seed)]
            _, of_memory = surprise_of(*Memory.of(Rows(rows, first), every, 1.0), first)
            core = np.flatnonzero(smallest(total([of_memory], [of_tails]), 1 - trim))
        return core[some_of(len(core), at_most, seed)]

    def _warn_of_constant(self, constant: np.ndarray) -> None:
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            consequence = "Another value in them counts as a rare one, however far it is."
            warn_all(of_constant(names[constant], len(names), consequence))

    def _training_scores(self, model: Model, X: np.ndarray) -> np.ndarray:
        assert isinstance(model, SurpriseModel)
        return -model.training_errors

    def _unseen_scores(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(-self.model_.unseen_errors)

    column_medians_ = learned("column_medians", "What stands in for missing values.")

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

    def null_p_values(self, X: Any) -> np.ndarray:
        """How probable each row of a table would be if it were like most of them.

        For a table that is both learned from and scored, where scores are ranks. A row is told by
        its distance from the rows nearby, and by its values one by one, each in its column; the
        distribution of either is estimated from the better part of `X` (Efron, 2004).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows that were learned from.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            ``scipy.stats.false_discovery_control(p) <= 0.1`` finds rows that stand out, of which
            about a tenth are normal, or more where the values of normal rows have heavy tails.

        Examples
        --------
        >>> import numpy as np
        >>> from scipy.stats import false_discovery_control
        >>> from aedetect import AnomalyDetector
        >>> X = np.random.default_rng(0).standard_normal((500, 4))
        >>> X[7, 2] = 60
        >>> p = AnomalyDetector(random_state=0).fit(X).null_p_values(X)
        >>> np.flatnonzero(false_discovery_control(p) <= 0.1)
        array([7])
        """
        rows = self._validate(X)
        distances = in_blocks(self.model_, self.model_.distances, rows)
        by_row, by_cell = null_p_values(-np.square(distances)), null_p_values_of_cells(rows)
        return np.minimum(2 * np.minimum(by_row, by_cell), 1)

    @property
    def _units_matter(self) -> bool:
        return False
