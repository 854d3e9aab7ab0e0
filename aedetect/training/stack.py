"""K networks of one shape, trained as one; a single network is a stack of one."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..chance import seeded
from ..networks.base import Network
from ..networks.layers import FLOAT32, Coder, as_in_scoring, buffers_of, put_buffers
from ..objectives.base import Objective, build, draw_all, stacked
from ..params import is_ours
from ..rows.blocks import one_thread
from .by_hand import by_hand, serves
from .loop import EarlyStopping, Flat, Gradient, autograd, make_step, minimise
from .promise import Promise
from .replay import Replayed

WIDE = 2**28  # weights times rows in a step; larger steps are worth several threads

Weights = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Spec:
    """Everything needed to train one network.

    Attributes
    ----------
    network, objective
        The network to train, and what it minimises.
    latent_dim : int
    column_means : ndarray of shape (n_features,), float32
        They stand in for missing values.
    optimizer : str
    learning_rate, weight_decay : float
    epochs, batch_size : int
    n_held_out : int
        Rows that are not learned from; the weights of the epoch that was best on them are kept.
    patience : int
        Epochs without an improvement of more than `tol` after which training stops.
    tol : float
    device : torch.device
    random_state : int, RandomState or None
    unit : float
        Value of a loss of 1 in the data's unit.
    weights : dict of str to ndarray, optional
        Weights to continue from.
    losses, held_out_losses : list of float
        Losses recorded in the epochs before.
    """

    network: Network
    objective: Objective
    latent_dim: int
    column_means: np.ndarray
    optimizer: str
    learning_rate: float
    weight_decay: float
    epochs: int
    batch_size: int
    device: torch.device
    n_held_out: int = 0
    patience: int = 0
    tol: float = 0.0
    random_state: int | np.random.RandomState | None = None
    unit: float = 1.0
    weights: Weights | None = None
    losses: list[float] = field(default_factory=list)
    held_out_losses: list[float] = field(default_factory=list)


class Trained(NamedTuple):
    """The result of training one network."""

    weights: Weights  # and what a network of users keeps in buffers
    losses: list[float]  # of each epoch, in the data's unit
    held_out_losses: list[float]
    kept: np.ndarray  # indices of the rows learned from,
    held_out: np.ndarray  # and of those held out
    failure: str | None  # why there are no usable weights
    best_epoch: int  # from 1, whose weights these are; 0: those it began with


class Progress(NamedTuple):
    """Progress of the first model of a stack."""

    weights: Callable[[], Weights]  # copies them
    losses: list[float]
    held_out: list[float]


Epoch = Callable[[Objective | None], None]  # takes the epoch's objective if it has changed
Around = Callable[[Epoch, Progress], bool | None]  # runs an epoch; True ends training


class _Member:
    """One specification in training."""

    def __init__(self, spec: Spec, n: int) -> None:
        self.spec, self.generator = spec, seeded(spec.random_state)
        order = torch.randperm(n, generator=self.generator, device="cpu")
        self.kept, self.held_out = order[spec.n_held_out :], order[: spec.n_held_out]
        self.losses, self.held_out_losses = [*spec.losses], [*spec.held_out_losses]
        self.trains = True
        self.failure: str | None = None

    def record(self, curve: list[float], loss: float, kind: str) -> None:
        """Note a loss, in the data's unit; one that is not finite ends training."""
        if not self.trains:
            return
        curve.append(loss * self.spec.unit)
        if not np.isfinite(loss):
            self.failure = f"a {kind} loss is {loss:g}"
            self.trains = False

    def trained(self, weights: Weights, buffers: Weights, best_epoch: int) -> Trained:
        finite = all(np.isfinite(weight).all() for weight in weights.values())
        failure = self.failure
        if failure is None and not finite:
            failure = "the last step left weights that are not finite"
        rows = self.kept.numpy(), self.held_out.numpy()
        weights = weights | buffers
        return Trained(weights, self.losses, self.held_out_losses, *rows, failure, best_epoch)


@torch.inference_mode(mode=False)
def fit_stack(
    specs: Sequence[Spec],
    rows: Sequence[Tensor],
    around: Around = lambda epoch, _: epoch(None),
) -> list[Trained]:
    """Train networks together; each ends as if trained alone.

    Parameters
    ----------
    specs : sequence of K Spec
        Alike except for rates, weights of penalties and whatever else `Objective.free` names.
    rows : sequence of K Tensor of shape (n, d)
        What each learns from, in its network's frame; they may share one tensor.
    around : callable
        Called for each epoch; True ends training.

    Returns
    -------
    list of K Trained
    """
    members = [_Member(spec, len(x)) for spec, x in zip(specs, rows, strict=True)]
    with one_thread():
        stack = _Stack(members, rows)
    if len(specs) > 1 and stack.buffers:  # of which nobody knows whether models share them
        pairs = zip(specs, rows, strict=True)
        return [trained for spec, x in pairs for trained in fit_stack([spec], [x], around)]
    first = members[0]
    progress = Progress(stack.weights_of_first, first.losses, first.held_out_losses)
    for _ in range(specs[0].epochs):
        if around(stack.epoch, progress) or not any(member.trains for member in members):
            break
    return stack.end()


class _Stack:
    """Members, their network and its optimizer."""

    def __init__(self, members: list[_Member], rows: Sequence[Tensor]) -> None:
        self.members, self.spec = members, members[0].spec
        self.objectives = [member.spec.objective for member in members]
        self.generators = [member.generator for member in members]
        self.draws = type(self.objectives[0]).draw is not Objective.draw
        self.objective = self.objectives[0]
        if len(members) > 1:
            self.objective = stacked(self.objectives, self.spec.device)
        self.known = all(objective.is_known for objective in self.objectives)
        self.n_done = len(self.spec.losses)
        self.phase: object = None  # what determines a training step; None if steps differ
        self.net = self._network().to(self.spec.device)
        self.buffers = self._buffers()  # those of the best epoch
        flat = Flat.of(self.net)
        x, kept, held_out = _joined(members, rows, self.spec.device)
        specs = [member.spec for member in members]
        step = make_step(
            self.spec.optimizer,
            flat,
            learning_rate=[spec.learning_rate for spec in specs],
            weight_decay=[spec.weight_decay for spec in specs],
        )
        self.epochs = minimise(
            self._gradient(flat, x),
            step,
            kept,
            generators=self.generators,
            batch_size=self.spec.batch_size,
        )
        self.stopping = self._stopping(flat, x, held_out) if held_out.shape[1] else None
        if self.stopping is not None and self.n_done:  # the weights it starts with may be the best
            self.stopping.update(0)
        wide = flat.values.numel() * self.spec.batch_size >= WIDE
        self.threads = nullcontext if wide else one_thread

    def _stopping(self, flat: Flat, x: Tensor, held_out: Tensor) -> EarlyStopping:
        ours = is_ours(self.spec.network, self.net)  # the same in training and in scoring

        def loss() -> Tensor:
            with nullcontext() if ours else as_in_scoring(self.net):
                return self._loss(self.objective, self.objectives, self.net, x[held_out]).mean(-1)

        return EarlyStopping(
            flat,
            torch.no_grad()(loss),
            patience=self.spec.patience,
            tol=torch.tensor([member.spec.tol for member in self.members]).to(self.spec.device),
        )

    def _network(self) -> Coder:
        """Build all networks, each with the initial weights it would have alone."""
        spec, means = self.spec, [member.spec.column_means for member in self.members]
        args = spec.network, self.objective, len(spec.column_means), spec.latent_dim
        net = build(*args, self.generators)
        net.column_means = torch.from_numpy(np.stack(means))[:, None]
        for k, member in enumerate(self.members):
            if (weights := member.spec.weights) is not None:
                for name, parameter in net.named_parameters():
                    parameter.data[k] = torch.from_numpy(weights[name])
                put_buffers(net, weights)
        return net

    def _buffers(self) -> Weights:
        return {name: b.detach().cpu().numpy().copy() for name, b in buffers_of(self.net).items()}

    def _loss(
        self, objective: Objective, drawn_by: Sequence[Objective], net: Coder, x: Tensor
    ) -> Tensor:
        if not self.draws:
            return objective.loss(net, x)
        drawn = draw_all(drawn_by, x, self.spec.latent_dim, self.generators)
        return objective.loss(net, *drawn)

    def _gradient(self, flat: Flat, x: Tensor) -> Gradient:
        """Automatic differentiation; dense layers by hand, replayed if steps are all the same."""
        net, network, objective = self.net, self.spec.network, self.objective
        trained = copy(net)
        trained.complete = not objective.gaps
        if objective.gaps and type(net).fill is Coder.fill:
            trained.fill = trained.put_means  # type: ignore[method-assign]
        ours = is_ours(network, net)
        self.promise = None if ours else Promise(network, trained)
        if serves(trained) and not objective.derives_in_rows(net):
            trained = by_hand(trained)  # its buffers are no part of what the network promises
        gradient = autograd(lambda x: self._loss(self.now, self.drawn_by, trained, x), flat, x)
        self.repeats = ours or network.replayable
        return Replayed(gradient, self, self.promise)

    def epoch(self, objective: Objective | None = None) -> None:
        """Learn from all rows once; a single model may be given another objective."""
        if objective is not None:
            self.objective, self.objectives = objective, [objective]
            self.known = objective.is_known
        self.now, self.phase = self.objective.at(self.n_done), None
        self.drawn_by = [objective.at(self.n_done) for objective in self.objectives]
        if self.repeats and self.known:
            settings, kept = self.objective.settings, self.promise and self.promise.kept()
            self.phase = self.now, self.drawn_by, settings, kept
        with self.threads():
            for member, loss in zip(self.members, next(self.epochs).tolist(), strict=True):
                member.record(member.losses, loss, "mean")
            if self.stopping is not None:
                self._judge(self.stopping)
        self.n_done += 1

    def _judge(self, stopping: EarlyStopping) -> None:
        """Continue only with models that may still improve on held-out rows."""
        losses = stopping.update(self.n_done + 1).tolist()
        if stopping.best_epoch[0] == self.n_done + 1:
            self.buffers = self._buffers()
        for member, loss in zip(self.members, losses, strict=True):
            member.record(member.held_out_losses, loss, "held-out")
        for member, improving in zip(self.members, stopping.improving.tolist(), strict=True):
            member.trains &= improving

    def weights_of_first(self) -> Weights:
        named = self.net.named_parameters()
        return {name: p[0].detach().cpu().numpy().copy() for name, p in named} | self._buffers()

    def end(self) -> list[Trained]:
        """Return what each model has learned."""
        best = [self.n_done] * len(self.members)
        if self.stopping is None:
            self.buffers = self._buffers()
        else:
            self.stopping.restore()
            best = [int(epoch) for epoch in self.stopping.best_epoch]
        named = {name: p.detach().cpu().numpy() for name, p in self.net.named_parameters()}
        return [
            member.trained({name: p[k].copy() for name, p in named.items()}, self.buffers, best[k])
            for k, member in enumerate(self.members)
        ]


def _joined(
    members: list[_Member], rows: Sequence[Tensor], device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """All rows, each array once; and the rows each member learns from and holds out."""
    blocks: list[Tensor] = []
    begins: dict[int, int] = {}
    n = 0
    for x in rows:
        if id(x) not in begins:
            begins[id(x)] = n
            blocks.append(x)
            n += len(x)
    kept = [member.kept + begins[id(x)] for member, x in zip(members, rows, strict=True)]
    held_out = [member.held_out + begins[id(x)] for member, x in zip(members, rows, strict=True)]
    joined = torch.cat(blocks) if len(blocks) > 1 else blocks[0]
    return joined.to(device), torch.stack(kept).to(device), torch.stack(held_out).to(device)


def bytes_of(spec: Spec, shape: tuple[int, int]) -> int:
    """Approximate memory for training one model: parameters, Adam, activations and slopes."""
    try:
        args = spec.network, spec.objective, len(spec.column_means), spec.latent_dim
        net = build(*args, [seeded(0)])
    except (TypeError, ValueError):  # reported when it is trained
        return 1
    sizes: list[int] = []
    for module in net.modules():
        module.register_forward_hook(lambda *args: sizes.append(args[2].numel()))
    with torch.no_grad():
        spec.objective.rebuilt(net, torch.zeros((1, 1, len(spec.column_means)), **FLOAT32))
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return 4 * (5 * parameters + 2 * spec.batch_size * (shape[1] + sum(sizes)))
