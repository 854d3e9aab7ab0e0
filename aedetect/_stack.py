"""K autoencoders of one shape, trained as one; a single estimator is a stack of one."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from numbers import Real
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import Tensor

from ._backprop import by_hand, serves
from ._params import is_ours
from ._promise import Promise
from ._replay import Replayed
from ._threads import one_thread
from ._training import EarlyStopping, Flat, Gradient, autograd, make_step, minimise, seeded
from .networks import Coder, Layered

FREE = {"random_state", "learning_rate", "weight_decay", "contamination", "tol"}

WIDE = 2**28  # weights times rows in a step; larger steps are worth several threads

# Runs the epoch it is given, with callbacks around it; True ends training.
Around = Callable[[Callable[[], None], Coder], bool | None]


def stack_key(model: Any, X: np.ndarray) -> Hashable:
    """Return what two models must have in common to be trained in one stack."""
    free = FREE | set(model._per_model)
    parameters = model.get_params(deep=True).items()
    fixed = [(name, repr(value)) for name, value in parameters if name.split("__")[0] not in free]
    return type(model), X.shape, X.dtype, tuple(fixed)


class Fitted(NamedTuple):
    """A model that was given to `fit_all`."""

    model: Any
    failure: str | None  # why it could not be fitted
    seconds: float  # its share of the time its stack took


def fit_all(
    models: Sequence[Any],
    data: Sequence[np.ndarray],
    max_stack_bytes: int,
    parallel: Parallel | None = None,
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
    """
    known: dict[Hashable, np.ndarray] = {}
    rows: list[np.ndarray] = []
    groups: dict[Hashable, list[int]] = {}
    for i, (model, X) in enumerate(zip(models, data, strict=True)):
        layout = repr(model.network) if np.ndim(X) > 2 else ""  # says how images become rows
        rows.append(known.setdefault((id(X), layout), model._prepared(X)))
        groups.setdefault(stack_key(model, rows[i]), []).append(i)
    stacks = []
    for group in groups.values():
        size = max(1, max_stack_bytes // _bytes_of(models[group[0]], rows[group[0]]))
        stacks += [group[i : i + size] for i in range(0, len(group), size)]
    results = (parallel or Parallel())(
        delayed(_fit_stack)([models[i] for i in some], [rows[i] for i in some]) for some in stacks
    )
    fitted = dict(zip(chain(*stacks), chain(*results), strict=True))
    return [fitted[i] for i in range(len(models))]


def _fit_stack(models: list[Any], data: list[np.ndarray]) -> list[Fitted]:
    start = perf_counter()
    try:
        failures = train_stack(models, data)
    except (TypeError, ValueError) as error:  # what they have in common is impossible
        return [Fitted(model, str(error), 0.0) for model in models]
    for model, X, failure in zip(models, data, failures, strict=True):
        if failure is None:
            model._set_threshold(X)
    seconds = (perf_counter() - start) / len(models)
    return [Fitted(*pair, seconds) for pair in zip(models, failures, strict=True)]


def _bytes_of(model: Any, X: np.ndarray) -> int:
    """What one model takes in training, about: parameters and Adam, activations and slopes."""
    model = copy(model)
    try:
        model._start(X)
        net = model._built([seeded(0)])
    except (TypeError, ValueError):  # told when it is trained
        return 1
    sizes: list[int] = []
    for module in net.modules():
        module.register_forward_hook(lambda *args: sizes.append(args[2].numel()))
    with torch.no_grad():
        model._rebuild(net, torch.zeros((1, 1, X.shape[1]), dtype=torch.float32))
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return 4 * (5 * parameters + 2 * model._batch_size(len(X)) * (X.shape[1] + sum(sizes)))


@dataclass
class _Member:
    """What one model brings into a stack."""

    model: Any
    X: np.ndarray
    generator: torch.Generator
    kept: Tensor  # indices of the rows of X that are learned from,
    held_out: Tensor  # and of those that are not
    trains: bool = True
    failure: str | None = None


@torch.inference_mode(mode=False)
def train_stack(
    models: Sequence[Any],
    data: Sequence[np.ndarray],
    around: Around = lambda epoch, _: epoch(),
) -> list[str | None]:
    """Train models with equal `stack_key` together; each ends as if trained alone.

    Parameters
    ----------
    models : sequence of K Autoencoder
        Their parameters and data must have been validated.
    data : sequence of K ndarray of shape (n, n_features)
        What each learns from; may be the same array.
    around : callable
        Called for each epoch.

    Returns
    -------
    list of K str or None
        What to tell of a model that diverged; the others are fitted, but for their threshold.
    """
    members = [_Member(model, X, *model._begin(X)) for model, X in zip(models, data, strict=True)]
    _train(members, around)
    with one_thread():
        for member in members:
            if member.failure is None:
                member.model._finish(member.X, member.kept, member.held_out)
    return [member.failure and member.model._diverged(member.failure) for member in members]


def _train(members: list[_Member], around: Around) -> None:
    """Minimise the losses of all members."""
    models = [member.model for member in members]
    generators = [member.generator for member in members]
    with one_thread():
        device = models[0]._device()
        template = _template(models, device)
        net = _network(template, members).to(device)
        flat = Flat.of(net)
        rows, kept, held_out = _rows(members, device)
        gaps = bool(rows.isnan().any())
        epochs = minimise(
            _gradient(template, net, flat, rows, generators, gaps),
            make_step(
                template.optimizer,
                flat,
                learning_rate=[model.learning_rate for model in models],
                weight_decay=[model.weight_decay for model in models],
            ),
            kept,
            generators=generators,
            batch_size=template._batch_size(kept.shape[1]),
        )
        stopping = EarlyStopping(
            flat,
            torch.no_grad()(lambda: template._loss(net, rows[held_out], generators).mean(-1)),
            patience=template.n_iter_no_change,
            tol=torch.tensor([m.model.tol * m.model._mean_row_loss(m.X) for m in members]).to(
                device
            ),
        )
    stops_early = held_out.shape[1] > 0
    if stops_early and models[0].loss_curve_:  # what a warm start begins with may be the best
        stopping.update()

    work = flat.values.numel() * template._batch_size(kept.shape[1])
    threads = one_thread if work < WIDE else nullcontext

    def epoch() -> None:
        with threads(), _complete(template, not gaps):
            _record(members, next(epochs), "loss_curve_")
            if stops_early:
                _record(members, stopping.update(), "validation_loss_curve_")
        if stops_early:
            for member, improving in zip(members, stopping.improving.tolist(), strict=True):
                member.trains &= improving
        template._epochs_done += 1

    for _ in range(template.epochs):
        if around(epoch, net) or not any(member.trains for member in members):
            break
    if stops_early:
        stopping.restore()
    _hand_out(members, net)


@contextmanager
def _complete(template: Any, value: bool) -> Iterator[None]:
    """Tell the loss whether rows have gaps, but nobody who scores other rows between epochs."""
    template._complete = value
    try:
        yield
    finally:
        del template._complete


def _template(models: list[Any], device: torch.device) -> Any:
    """Return an estimator whose `_loss` serves all models: what differs is a tensor over them."""
    if len(models) == 1:
        return models[0]
    template = object.__new__(type(models[0]))
    vars(template).update(vars(models[0]))
    for name in models[0]._per_model:
        values = [getattr(model, name) for model in models]
        if any(repr(value) != repr(values[0]) for value in values):
            if all(isinstance(value, Real) for value in values):
                column = torch.tensor([[float(value)] for value in values], dtype=torch.float32)
                template.__dict__[name] = column.to(device)
            else:
                template.__dict__[name] = values
    return template


def _network(template: Any, members: list[_Member]) -> Coder:
    """Build all models, each with the initial weights it would have alone."""
    net: Coder = template._built([member.generator for member in members])
    models = [member.model for member in members]
    net.column_means = torch.stack([model._built_means() for model in models])
    for k, model in enumerate(models):
        for name, weight in getattr(model, "weights_", {}).items():  # a warm start
            net.get_parameter(name).data[k] = torch.from_numpy(weight)
    if len(models) > 1:
        template.mean_ = torch.from_numpy(np.stack([m.mean_ for m in models])).float()[:, None]
        scales = torch.tensor([m.scale_ for m in models], dtype=torch.float32)
        template.scale_ = scales[:, None, None]
    return net


def _rows(members: list[_Member], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """All rows, each array once; and the rows each member learns from and holds out."""
    blocks, begins, n = [], {}, 0
    for member in members:
        if id(member.X) not in begins:
            blocks.append(member.model._network_rows(member.X))
            begins[id(member.X)] = n
            n += len(member.X)
    kept = [member.kept + begins[id(member.X)] for member in members]
    held_out = [member.held_out + begins[id(member.X)] for member in members]
    rows = torch.cat(blocks) if len(blocks) > 1 else blocks[0]
    return rows.to(device), torch.stack(kept).to(device), torch.stack(held_out).to(device)


def _gradient(
    template: Any,
    net: Coder,
    flat: Flat,
    rows: Tensor,
    generators: Sequence[torch.Generator],
    gaps: bool,
) -> Gradient:
    """Automatic differentiation; dense layers by hand, and replayed if steps are all the same."""
    trained = copy(net)
    if type(net).fill is Coder.fill:  # whether rows have gaps is known, and need not be looked up
        trained.fill = trained.put_means if gaps else lambda x: x  # type: ignore[method-assign]
    if isinstance(trained, Layered) and serves(trained) and not template._derives_in_rows(trained):
        trained = by_hand(trained)
    gradient = autograd(lambda x: template._loss(trained, x, generators), flat, rows)
    is_known = is_ours(template.network_) and is_ours(net)
    promise = None if is_known else Promise(template.network_, trained)

    @lru_cache(maxsize=1)
    def phase_in(_epoch: int) -> object:
        return (template._phase, promise and promise.kept()) if template._replays(net) else None

    return Replayed(gradient, lambda: phase_in(template._epochs_done), promise)


def _record(members: list[_Member], losses: Tensor, curve: str) -> None:
    """Note each model's loss, in the data's unit; one that is not finite ends its training."""
    for member, loss in zip(members, losses.tolist(), strict=True):
        if member.trains:
            getattr(member.model, curve).append(loss * member.model._unit)
            if not np.isfinite(loss):
                kind = "held-out" if "validation" in curve else "mean"
                member.failure = f"a {kind} loss is {loss:g}"
                member.trains = False


def _hand_out(members: list[_Member], net: Coder) -> None:
    """Give each model its weights."""
    named = {name: p.detach().cpu().numpy() for name, p in net.named_parameters()}
    for k, member in enumerate(members):
        member.model.weights_ = {name: p[k].copy() for name, p in named.items()}
        finite = all(np.isfinite(weight).all() for weight in member.model.weights_.values())
        if not finite and member.failure is None:
            member.failure = "the last step left weights that are not finite"
