"""Many estimators fitted together, those that can be as one stack."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import chain
from time import perf_counter
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from torch import Tensor

from ..training.stack import bytes_of, fit_stack
from .autoencoder import Autoencoder
from .base import prepared
from .learning import Ending, Plan, finish, plan_of

FREE = {"random_state", "learning_rate", "weight_decay", "contamination", "tol"}


class Fitted(NamedTuple):
    """A model that was given to `fit_all`."""

    model: Autoencoder
    failure: str | None  # why it could not be fitted
    seconds: float  # its share of the time its stack took


def stack_key(model: Autoencoder, X: np.ndarray) -> Hashable:
    """Return what two models must have in common to be trained in one stack."""
    free = FREE | set(model.objective.free)
    parameters = model.get_params(deep=True).items()
    fixed = [(name, repr(value)) for name, value in parameters if name.split("__")[0] not in free]
    return type(model), X.shape, X.dtype, tuple(fixed)


def fit_all(
    models: Sequence[Autoencoder],
    data: Sequence[np.ndarray],
    max_stack_bytes: int,
    parallel: Parallel | None = None,
    *,
    end: Ending = finish,
) -> list[Fitted]:
    """Fit models, those that can be together, in stacks of bounded size.

    Parameters
    ----------
    models : sequence of Autoencoder
        To be fitted; each ends as by its own ``fit``.
    data : sequence of ndarray
        What each learns from. Models that are given one array share its rows.
    max_stack_bytes : int
        What parameters and activations of a stack may take; a single model always fits.
    parallel : joblib.Parallel, optional
        Trains the stacks; by default as joblib is told to at the time.
    end : callable, default=finish
        What is done with each after training, which may raise ValueError.
    """
    known: dict[Hashable, np.ndarray] = {}
    rows: list[np.ndarray] = []
    groups: dict[Hashable, list[int]] = {}
    for i, (model, X) in enumerate(zip(models, data, strict=True)):
        layout = repr(model.network) if np.ndim(X) > 2 else ""  # says how images become rows
        rows.append(known.setdefault((id(X), layout), prepared(model, X)))
        groups.setdefault(stack_key(model, rows[i]), []).append(i)
    stacks = []
    for group in groups.values():
        size = max(1, max_stack_bytes // _bytes_of(models[group[0]], rows[group[0]]))
        stacks += [group[i : i + size] for i in range(0, len(group), size)]
    results = (parallel or Parallel())(
        delayed(_fit_some)([models[i] for i in some], [rows[i] for i in some], end)
        for some in stacks
    )
    fitted = dict(zip(chain(*stacks), chain(*results), strict=True))
    return [fitted[i] for i in range(len(models))]


def _bytes_of(model: Autoencoder, X: np.ndarray) -> int:
    try:
        return bytes_of(plan_of(model, X).spec, X.shape)
    except (TypeError, ValueError):  # told when it is trained
        return 1


def _fit_some(models: list[Autoencoder], data: list[np.ndarray], end: Ending) -> list[Fitted]:
    start = perf_counter()
    known: dict[int, Tensor] = {}
    plans: list[Plan] = []
    try:
        for model, X in zip(models, data, strict=True):
            plan = plan_of(model, X)
            plans.append(replace(plan, rows=known.setdefault(id(X), plan.rows)))
        trained = fit_stack([plan.spec for plan in plans], [plan.rows for plan in plans])
    except (TypeError, ValueError) as error:  # what they have in common is impossible
        return [Fitted(model, str(error), 0.0) for model in models]
    failures: list[str | None] = []
    for model, plan, one, X in zip(models, plans, trained, data, strict=True):
        try:
            end(model, plan, one, X)
            failures.append(None)
        except ValueError as error:
            failures.append(str(error))
    seconds = (perf_counter() - start) / len(models)
    return [Fitted(*pair, seconds) for pair in zip(models, failures, strict=True)]
