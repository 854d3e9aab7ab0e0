"""Ensemble: K autoencoders trained as one stack, whose errors are combined."""

from collections.abc import Sequence
from numbers import Integral
from typing import Annotated, Literal, Self

import numpy as np
from sklearn.base import clone

from ..chance import seeded
from ..models.base import learned
from ..models.ensemble import EnsembleModel
from ..models.scores import scores_of
from ..params import STACK_BYTES, Count, Range, check
from ..rows.limits import WORST
from ..rows.linear import column_means
from .autoencoder import Autoencoder
from .base import Detector
from .learning import Ending, finish_uncalibrated, keep_model
from .many import fit_all


class AutoencoderEnsemble(Detector):
    """Score rows by the combined errors of several autoencoders.

    The members differ in their seeds and, optionally, in their rows and columns. They are trained
    as one stack of networks, several times faster than one after another, with the same result as
    if each had been trained alone, including its own best epoch under early stopping.

    Parameters
    ----------
    estimator : Autoencoder or tuple of them, default=None
        Template for the members. If there are several, member k is a copy of
        ``estimator[k % len(estimator)]``, so that widths or objectives may differ. None means a
        plain `Autoencoder`. The random state of a template is not used.
    n_estimators : int, default=8
        Number of members.
    bootstrap : bool, default=False
        Whether each member gets its own bootstrap sample of the rows (Breiman, 1996).
    max_features : int or float, default=1.0
        Number of columns (at least 2) or share of columns drawn for each member (Ho, 1998).
    aggregation : {"mean", "median", "rank", "log_mean"}, default="mean"
        How errors are combined: their mean, their median, the mean share of training rows with a
        smaller error (the same for all rows beyond the worst of them), or the mean logarithm.
    max_stack_bytes : int, default=16777216
        Memory for parameters and activations of one stack; if needed, there are several stacks.
    random_state : int, RandomState or None, default=None
        Seed for the seeds, rows and columns of the members.

    Attributes
    ----------
    estimators_ : list of Autoencoder
        Fitted members.
    features_ : list of ndarray of int
        Columns used by each member.
    training_errors_ : list of ndarray of shape (n_samples,)
        Sorted errors of the training rows, one array per member, with ``aggregation="rank"``.
    mean_ : ndarray of shape (n_features,)
        Column means, which are returned for columns that no member uses.
    offset_ : float
        Threshold on the score.
    calibration_scores_ : ndarray
        Sorted scores of rows by models that did not learn from them. Only with
        ``contamination="auto"`` and at least 20 rows.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    See Also
    --------
    aedetect.model_selection.StackedGridSearchCV : Searches parameters just as fast.

    References
    ----------
    Chen, Sathe, Aggarwal & Turaga, "Outlier detection with autoencoder ensembles", 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import Autoencoder, AutoencoderEnsemble
    >>> X = load_digits().data
    >>> members = Autoencoder(latent_dim=8, epochs=10)
    >>> ensemble = AutoencoderEnsemble(
    ...     estimator=members, n_estimators=4, random_state=0
    ... ).fit(X)
    >>> ensemble.transform(X).shape
    (1797, 32)
    """

    estimator: Autoencoder | tuple[Autoencoder, ...] | None = None
    n_estimators: Count = 8
    bootstrap: bool = False
    max_features: Count | Annotated[float, Range(0, 1, above_low=True)] = 1.0
    aggregation: Literal["mean", "median", "rank", "log_mean"] = "mean"
    max_stack_bytes: Count = STACK_BYTES
    random_state: int | np.random.RandomState | None = None

    def _learn(self, X: np.ndarray) -> EnsembleModel:
        self.estimators_, (model,) = self._ensembles([X], finish_uncalibrated)
        return model

    def _ensembles(
        self, parts: list[np.ndarray], end: Ending
    ) -> tuple[list[Autoencoder], list[EnsembleModel]]:
        """Share the members out among parts of the rows: an ensemble learns from each."""
        rng = np.random.default_rng(seeded(self.random_state).initial_seed())
        n = len(parts)  # member k learns from part k % n; each part has all templates in turn
        members = [self._member(k // n + k % n, rng) for k in range(self.n_estimators)]
        features = [self._some_columns(parts[0].shape[1], rng) for _ in members]
        data = [self._rows_of(parts[k % n], some, rng) for k, some in enumerate(features)]
        fitted = fit_all(members, data, self.max_stack_bytes, end=end)
        for k, (_, failure, _) in enumerate(fitted):
            if failure:
                raise ValueError(f"Member {k}: {failure}")
        members = [member for member, *_ in fitted]
        models = [member.model_ for member in members]
        ensembles = []
        for i, X in enumerate(parts):
            its = models[i::n], features[i::n], column_means(X)
            ensembles.append(EnsembleModel(*its, self.aggregation).knowing(X))
        return members, ensembles

    def _unseen_scores(self, X: np.ndarray) -> np.ndarray:
        folds = self._folds(len(X))[: self.n_estimators]
        _, models = self._ensembles([X[some] for some, _ in folds], keep_model)
        unseen = [X[others] for _, others in folds]
        scores = np.concatenate(list(map(scores_of, models, unseen)))
        return scores[scores > -WORST]  # of rows that members saw something of

    def _member(self, k: int, rng: np.random.Generator) -> Autoencoder:
        template = self._templates[k % len(self._templates)]
        return clone(template).set_params(random_state=int(rng.integers(2**31)), warm_start=False)

    @property
    def _templates(self) -> Sequence[Autoencoder]:
        given = Autoencoder() if self.estimator is None else self.estimator
        templates = given if isinstance(given, Sequence) else [given]
        if not templates:
            raise ValueError("estimator=() is empty; expected an Autoencoder or several.")
        return templates

    def _as_rows(self, X: np.ndarray, reset: bool = False) -> np.ndarray:
        if not reset:
            return self.estimators_[0]._as_rows(X)
        layouts = [template._as_rows(X, reset=True) for template in self._templates]
        if any((layout[:1] != layouts[0][:1]).any() for layout in layouts):
            raise ValueError(
                "Networks of the ensemble take images in different layouts; pass rows."
            )
        return layouts[0]

    def _from_rows(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return self.estimators_[0]._from_rows(rows, shape)

    def _check_params(self) -> Self:
        super()._check_params()
        for template in self._templates:
            check(template)
        return self

    @property
    def _bounded(self) -> bool:
        return any(template.loss == "binary_cross_entropy" for template in self._templates)

    def _some_columns(self, d: int, rng: np.random.Generator) -> np.ndarray:
        wanted = self.max_features
        n = wanted if isinstance(wanted, Integral) else max(2, round(wanted * d))
        if not 2 <= n <= d:
            raise ValueError(
                f"max_features={wanted!r} is {n} of the {d} columns of X; expected 2 to {d}, or a "
                "share like 0.5."
            )
        return np.arange(d) if n == d else np.sort(rng.choice(d, n, replace=False))

    def _rows_of(self, X: np.ndarray, columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What a member learns from; `X` itself where it is all of it, so that it is kept once."""
        if self.bootstrap:
            X = X[rng.integers(len(X), size=len(X))]
        if len(columns) == X.shape[1]:
            return X
        some = np.ascontiguousarray(X[:, columns])
        return some[~np.isnan(some).all(axis=1)]

    @property
    def _units_matter(self) -> bool:
        return any(template._units_matter for template in self._templates)

    features_ = learned("columns", "Columns that each member sees.")

    @property
    def training_errors_(self) -> list[np.ndarray]:
        """Sorted errors of the training rows."""
        if self.aggregation != "rank":
            raise AttributeError('training_errors_ is there with aggregation="rank" only')
        return self.model_.training_errors

    mean_ = learned("column_means", "Column means.")
