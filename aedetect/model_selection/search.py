"""Parameter searches that train their candidates together."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from joblib import parallel_config
from sklearn import config_context
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import check_scoring
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    check_cv,
)
from sklearn.pipeline import Pipeline
from sklearn.utils import indexable

from ..params import STACK_BYTES
from .splits import n_rows
from .stacks import FromShelf, Stacks, logger, ranks_only


class _StackedSearch:
    """Makes a scikit-learn search train its candidates together."""

    def fit(self: Any, X: Any, y: Any = None, **params: Any) -> Any:
        """Search.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), optional
            Labels for the scorer and the splitter.
        **params : dict
            ``groups`` for the splitter. With others, for the estimator's ``fit``, nothing stacks.

        Returns
        -------
        self
        """
        others = set(params) - {"groups"}
        if others or getattr(self, "resource", None) == "n_samples":
            reason = f"fit gets {', '.join(others)}" if others else "folds change with n_samples"
            logger.info("Nothing is stacked: %s.", reason)
            return super().fit(X, y, **params)  # type: ignore[misc]
        X, y = indexable(X, y)
        resolved = self._resolved()
        given = {name: getattr(self, name) for name in ("estimator", "cv", "n_jobs", *resolved)}
        rows, splits = np.arange(n_rows(X)), check_cv(self.cv, y).split(X, y, params.get("groups"))
        folds = [(rows[train], rows[test]) for train, test in splits]  # lists and masks as well
        data, limits = (X, y, folds), (self.max_stack_bytes, self.n_jobs)
        thresholds = not ranks_only(self.scoring)
        stacks = Stacks(clone(self.estimator), *data, *limits, thresholds=thresholds)
        self._stacks = stacks
        try:
            self.estimator, self.cv = FromShelf(self.estimator, stacks.shelf), folds
            self.n_jobs = 1  # what is left to do is scoring, here
            self.__dict__.update(resolved)
            with config_context(enable_metadata_routing=False), parallel_config("sequential"):
                super().fit(X, y, rows=rows)  # type: ignore[misc]
        finally:
            del self._stacks
            self.__dict__.update(given)
        self.cv_results_["mean_fit_time"] += np.mean(stacks.seconds, axis=1)
        if self.scoring is None:
            self.scorer_ = check_scoring(self.estimator)
        if hasattr(self, "best_estimator_"):
            self.best_estimator_ = self.best_estimator_.estimator
        return self

    def _resolved(self) -> dict[str, Any]:
        """Parameters that replace others while the search runs."""
        return {}

    def _run_search(
        self: Any, evaluate_candidates: Callable[..., Any], *, callback_ctx: Any = None
    ) -> None:
        """Train candidates ahead, whenever scikit-learn is about to evaluate some."""

        def train_and_evaluate(
            candidates: Iterable[dict[str, Any]], cv: Any = None, **options: Any
        ) -> Any:
            candidates = list(candidates)
            if hasattr(self, "_stacks"):
                self._stacks.train(candidates)
            return evaluate_candidates(candidates, cv, **options)

        super()._run_search(train_and_evaluate, callback_ctx=callback_ctx)  # type: ignore[misc]


class StackedGridSearchCV(_StackedSearch, GridSearchCV):
    """Grid search that trains all candidates on all folds together, as stacks of networks.

    A drop-in replacement for scikit-learn's ``GridSearchCV`` if the estimator is a trained one from
    this package, or a Pipeline that ends in one. The results are those of ``GridSearchCV`` up to
    float32 rounding: a row's scores agree to a relative 1e-5 after 50 training steps. Training
    amplifies rounding errors: after hundreds of steps they may differ as between two processors.

    Candidates share a stack if they differ only in learning rate, weight decay, seed, or the
    weights of penalties and noise; networks of other shapes form stacks of their own. What cannot
    be stacked is fitted one by one by scikit-learn, and the logger "aedetect" says so at level
    INFO. Earlier steps of a pipeline are fitted once for each fold and setting.

    Parameters
    ----------
    estimator : estimator
        Estimator whose parameters are searched.
    param_grid : dict or list of dict
        Values to try.
    scoring, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As in ``sklearn.model_selection.GridSearchCV``.
    n_jobs : int, default=None
        Number of stacks trained at the same time, with joblib. Results do not depend on it.
    max_stack_bytes : int, default=16777216
        Memory for parameters and activations of one stack.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_
        As in ``GridSearchCV``; ``mean_fit_time`` holds a candidate's share of its stack's time.

    See Also
    --------
    StackedRandomizedSearchCV : Samples candidates instead of trying all of them.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import Autoencoder
    >>> from aedetect.model_selection import StackedGridSearchCV
    >>> X = load_digits().data[:300]
    >>> grid = {"latent_dim": [2, 8], "learning_rate": [1e-3, 3e-3]}
    >>> search = StackedGridSearchCV(Autoencoder(epochs=5, random_state=0), grid, cv=2).fit(X)
    >>> search.best_params_["latent_dim"]
    8
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: Any = np.nan,
        return_train_score: bool = False,
        max_stack_bytes: int = STACK_BYTES,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.max_stack_bytes = max_stack_bytes


class StackedRandomizedSearchCV(_StackedSearch, RandomizedSearchCV):
    """Randomized search that trains all candidates on all folds together.

    See `StackedGridSearchCV` for what can be stacked, and
    ``sklearn.model_selection.RandomizedSearchCV`` for the parameters.

    Parameters
    ----------
    estimator : estimator
        Estimator whose parameters are searched.
    param_distributions : dict or list of dict
        Values or distributions to draw from.
    n_iter : int, default=10
        Candidates drawn.
    scoring, refit, cv, verbose, pre_dispatch, random_state, error_score, return_train_score
        As in ``RandomizedSearchCV``.
    n_jobs : int, default=None
        Number of stacks trained at the same time, with joblib.
    max_stack_bytes : int, default=16777216
        Memory for parameters and activations of one stack.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_
        As in ``RandomizedSearchCV``.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import Autoencoder
    >>> from aedetect.model_selection import StackedRandomizedSearchCV
    >>> search = StackedRandomizedSearchCV(
    ...     Autoencoder(epochs=2, random_state=0),
    ...     {"learning_rate": loguniform(1e-4, 1e-2)},
    ...     n_iter=4,
    ...     cv=2,
    ...     random_state=0,
    ... ).fit(load_digits().data[:300])
    >>> len(search.cv_results_["params"])
    4
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_iter: int = 10,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        max_stack_bytes: int = STACK_BYTES,
    ) -> None:
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.max_stack_bytes = max_stack_bytes


class StackedHalvingGridSearchCV(_StackedSearch, HalvingGridSearchCV):
    """Grid search by successive halving over epochs, with each round trained together.

    All candidates are trained for a few epochs, then the best third from scratch for three times as
    many, and so on (Jamieson & Talwalkar, 2016). See `StackedGridSearchCV` for what can be stacked,
    and ``sklearn.model_selection.HalvingGridSearchCV`` for the other parameters.

    Parameters
    ----------
    estimator : estimator
        Estimator whose parameters are searched.
    param_grid : dict or list of dict
        Values to try.
    factor : int or float, default=3
        One in `factor` candidates goes on to the next round, with `factor` times the epochs.
    resource : str, default="epochs"
        What increases from round to round: an integer parameter of the estimator. For a Pipeline,
        "epochs" means that of its last step.
    max_resources : int or "auto", default="auto"
        The most that a candidate is given; "auto": the estimator's own value.
    min_resources, aggressive_elimination, cv, scoring, refit, error_score, random_state, verbose
        As in ``HalvingGridSearchCV``.
    return_train_score : bool, default=False
        Whether training folds are scored too.
    n_jobs : int, default=None
        Number of stacks trained at the same time, with joblib.
    max_stack_bytes : int, default=16777216
        Memory for parameters and activations of one stack.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, n_resources_, \
    n_candidates_, n_iterations_
        As in ``HalvingGridSearchCV``.

    Raises
    ------
    ValueError
        If the resource is not a parameter of the estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import Autoencoder
    >>> from aedetect.model_selection import StackedHalvingGridSearchCV
    >>> grid = {"latent_dim": [2, 4, 8], "learning_rate": [1e-4, 1e-3, 3e-3]}
    >>> model = Autoencoder(epochs=9, random_state=0)
    >>> search = StackedHalvingGridSearchCV(model, grid, cv=2).fit(load_digits().data[:300])
    >>> search.n_candidates_, search.n_resources_
    ([9, 3, 1], [1, 3, 9])
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        factor: float = 3,
        resource: str = "epochs",
        max_resources: int | str = "auto",
        min_resources: int | str = "exhaust",
        aggressive_elimination: bool = False,
        cv: Any = 5,
        scoring: Any = None,
        refit: Any = True,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        max_stack_bytes: int = STACK_BYTES,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            factor=factor,
            resource=resource,
            max_resources=max_resources,
            min_resources=min_resources,
            aggressive_elimination=aggressive_elimination,
            cv=cv,
            scoring=scoring,
            refit=refit,
            error_score=error_score,
            return_train_score=return_train_score,
            random_state=random_state,
            n_jobs=n_jobs,
            verbose=verbose,
        )
        self.max_stack_bytes = max_stack_bytes

    def _resolved(self) -> dict[str, Any]:
        resource, most = self.resource, self.max_resources
        if resource == "epochs" and isinstance(self.estimator, Pipeline):
            resource = f"{self.estimator.steps[-1][0]}__epochs"
        known = self.estimator.get_params()
        if resource not in known:
            raise ValueError(
                f"resource={self.resource!r} is no parameter of {type(self.estimator).__name__}; "
                "expected one that is a whole number, such as 'epochs'."
            )
        return {"resource": resource, "max_resources": known[resource] if most == "auto" else most}
