"""Candidates of a search, trained together before scikit-learn asks for them."""

import logging
from functools import partial
from typing import Any, Self

import numpy as np
from joblib import Parallel
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from ..metrics import (
    OutlierScorer,
    excess_mass,
    mass_volume,
    pca_advantage,
    seed_stability,
    synthetic_auroc,
)
from ..params import check
from .splits import Fold

WITHOUT_LABELS = (excess_mass, mass_volume, pca_advantage, seed_stability, synthetic_auroc)
logger = logging.getLogger("aedetect")


class Shelf:
    """Estimators trained ahead, found by their parameters and the rows they learned from."""

    def __init__(self) -> None:
        self.fitted: dict[Any, tuple[Any, str | None]] = {}

    def put(self, key: Any, trained: Any, failure: str | None) -> None:
        self.fitted[key] = trained, failure

    def take(self, key: Any) -> tuple[Any, str | None] | None:
        return self.fitted.pop(key, None)

    @staticmethod
    def key(estimator: Any, rows: np.ndarray) -> Any:
        parameters = estimator.get_params(deep=True).items()
        return rows.tobytes(), tuple((name, _identity(value)) for name, value in parameters)


class FromShelf:
    """An estimator whose `fit` takes a model trained ahead, and trains only if there is none."""

    def __init__(self, estimator: Any, shelf: Shelf) -> None:
        self.estimator, self.shelf = estimator, shelf

    def __sklearn_clone__(self) -> "FromShelf":
        return FromShelf(clone(self.estimator), self.shelf)

    def set_params(self, **parameters: Any) -> Self:
        self.estimator.set_params(**parameters)
        return self

    def fit(self, X: Any, y: Any = None, rows: Any = None) -> Self:
        trained = None if rows is None else self.shelf.take(Shelf.key(self.estimator, rows))
        if trained is None:
            return self._train(X, y)
        callbacks = getattr(self.estimator, "_skl_callbacks", [])
        self.estimator, failure = trained
        if callbacks:  # handed down by the search, which will take them back
            self.estimator.set_callbacks(*callbacks)
        if failure:
            raise ValueError(failure)
        return self

    def _train(self, X: Any, y: Any) -> Self:
        context = self.__dict__.get("_parent_callback_ctx")
        if context is not None:
            self.estimator._parent_callback_ctx = context
        try:
            self.estimator.fit(X, y)
        finally:
            self.estimator.__dict__.pop("_parent_callback_ctx", None)
        return self

    def __getattr__(self, name: str) -> Any:
        if "estimator" not in self.__dict__:  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.estimator, name)


class Stacks:
    """Trains candidates on all folds, stacking those that can be trained together."""

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        folds: list[Fold],
        max_bytes: int,
        n_jobs: int | None,
        *,
        thresholds: bool,
    ) -> None:
        self.estimator, self.X, self.y, self.folds = estimator, X, y, folds
        self.max_bytes, self.parallel = max_bytes, Parallel(n_jobs)
        self.thresholds, self.shelf = thresholds, Shelf()
        self.prepared: dict[Any, tuple[list[Any], Any]] = {}
        self.seconds: list[np.ndarray] = []  # per candidate and fold, its share of the training

    def train(self, candidates: list[dict[str, Any]]) -> None:
        from ..detectors.base import prepared
        from ..detectors.learning import finish, finish_uncalibrated
        from ..detectors.many import fit_all

        jobs = []
        for i, parameters in enumerate(candidates):
            for fold, (rows, _) in enumerate(self.folds):
                estimator = clone(self.estimator).set_params(**clone(parameters, safe=False))
                key = Shelf.key(estimator, rows)
                try:
                    model, data = self._split(estimator, fold)
                    prepared(model, data)
                except Exception as error:  # raised again when scikit-learn fits it
                    logger.info("Not stacked: %s (%s)", parameters, error)
                    continue
                jobs.append((i, fold, key, estimator, model, data))
        models, data = [job[4] for job in jobs], [job[5] for job in jobs]
        first = len(self.seconds)
        self.seconds += [np.zeros(len(self.folds)) for _ in candidates]
        fitted = fit_all(
            models,
            data,
            self.max_bytes,
            self.parallel,
            end=finish if self.thresholds else finish_uncalibrated,
        )
        for (i, fold, key, estimator, *_), (model, failure, seconds) in zip(
            jobs, fitted, strict=True
        ):
            if isinstance(estimator, Pipeline):
                estimator.steps[-1] = (estimator.steps[-1][0], model)
            else:
                estimator = model
            self.shelf.put(key, estimator, failure)
            self.seconds[first + i][fold] = seconds

    def _split(self, estimator: Any, fold: int) -> tuple[Any, Any]:
        """Return the last step, and the rows it learns from, as transformed by the earlier steps.

        The earlier steps are fitted once for each fold and each setting of their parameters.
        """
        from ..detectors.autoencoder import Autoencoder

        steps = estimator.steps if isinstance(estimator, Pipeline) else [("", estimator)]
        model = steps[-1][1]
        if not isinstance(model, Autoencoder):
            raise TypeError(f"{type(model).__name__} is not trained here")
        if model.warm_start or getattr(model, "_skl_callbacks", None):
            raise TypeError("warm starts and callbacks are a single model's")
        check(model)
        before = repr([(name, _parameters(step)) for name, step in steps[:-1]])
        if (fold, before) not in self.prepared:
            X = _safe_indexing(self.X, self.folds[fold][0])
            y = None if self.y is None else _safe_indexing(self.y, self.folds[fold][0])
            if len(steps) > 1:
                X = estimator[:-1].fit_transform(X, y)
            self.prepared[fold, before] = steps[:-1], X
        fitted_steps, X = self.prepared[fold, before]
        if len(steps) > 1:
            estimator.steps = [*fitted_steps, steps[-1]]
        return model, X


def ranks_only(scoring: Any) -> bool:
    """Return whether a search's scoring is known not to depend on thresholds."""
    if isinstance(scoring, dict):
        return all(map(ranks_only, scoring.values()))
    if isinstance(scoring, list | tuple | set):
        return all(map(ranks_only, scoring))
    if isinstance(scoring, OutlierScorer):
        return scoring.metric != "f1"
    function = scoring.func if isinstance(scoring, partial) else scoring
    return function in (None, "roc_auc", "average_precision", *WITHOUT_LABELS)


def _identity(value: Any) -> str:
    """Return a text that differs for different values of a parameter."""
    return repr(value.get_state() if isinstance(value, np.random.RandomState) else value)


def _parameters(step: Any) -> Any:
    return step.get_params(deep=True) if isinstance(step, BaseEstimator) else step
