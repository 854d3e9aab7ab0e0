"""The training loop: K models at once, in one flat buffer, with one optimizer call a step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def seeded(random_state: int | np.random.RandomState | None) -> torch.Generator:
    """Return a generator of its own; the global random state is neither read nor written.

    None takes fresh entropy from the operating system; a ``RandomState`` is drawn from once.
    """
    generator = torch.Generator(device="cpu")
    if random_state is None:
        generator.seed()
    elif isinstance(random_state, np.random.RandomState):
        generator.manual_seed(int(random_state.randint(2**31 - 1)))
    else:
        generator.manual_seed(int(random_state))
    return generator


@dataclass(frozen=True)
class Flat:
    """All parameters of K models in one buffer, and their gradient in another.

    Attributes
    ----------
    values, gradient : Tensor of shape (K * n_parameters,)
    sizes : tuple of int
        Length of each parameter's part of the buffers; a part holds K rows, one a model.
    n_models : int
        K.
    """

    values: Tensor
    gradient: Tensor
    sizes: tuple[int, ...]
    n_models: int

    @classmethod
    def of(cls, net: nn.Module) -> "Flat":
        """Move the parameters of `net`, each (K, ...), into one buffer and leave views of it."""
        parameters = list(net.parameters())
        values = torch.cat([p.detach().reshape(-1) for p in parameters])
        sizes = tuple(p.numel() for p in parameters)
        flat = cls(values, torch.zeros_like(values), sizes, len(parameters[0]))
        for p, value, gradient in zip(
            parameters, values.split(flat.sizes), flat.gradient.split(flat.sizes), strict=True
        ):
            p.data, p.grad = value.view(p.shape), gradient.view(p.shape)
        return flat

    def parts(self, buffer: Tensor, models: slice) -> list[Tensor]:
        """Views of a buffer laid out as these, of some models; the whole of it for all."""
        if models == slice(0, self.n_models):
            return [buffer.detach()]
        return [part.view(self.n_models, -1)[models].view(-1) for part in buffer.split(self.sizes)]

    def copy_models(self, source: Tensor, target: Tensor, which: Tensor) -> None:
        """Copy the models marked in the mask `which` (K,) between buffers laid out as these."""
        for a, b in zip(source.split(self.sizes), target.split(self.sizes), strict=True):
            b.view(len(which), -1)[which] = a.view(len(which), -1)[which]


class _FlatAdam:
    """Adam (Kingma & Ba, 2015) or AdamW (Loshchilov & Hutter, 2019) on one buffer.

    The same kernel as ``torch.optim.Adam(fused=True)`` without that class's bookkeeping, which
    at these sizes costs several times the arithmetic.
    """

    def __init__(self, flat: Flat, groups: list[dict[str, Any]], *, decoupled: bool) -> None:
        self.kernel: Callable[..., None] = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self.count = torch.zeros((), device=flat.values.device, dtype=torch.float32)
        moments = [torch.zeros_like(flat.values) for _ in range(2)]
        self.groups = []
        for group in groups:
            buffers = [
                flat.parts(buffer, group["models"])
                for buffer in (flat.values, flat.gradient, *moments)
            ]
            counts = [self.count] * len(buffers[0])
            self.groups.append(([*buffers, [], counts], group["lr"], group["weight_decay"]))

    def step(self) -> None:
        self.count.add_(1)
        for buffers, lr, weight_decay in self.groups:
            self.kernel(
                *buffers,
                lr=lr,
                weight_decay=weight_decay,
                beta1=0.9,
                beta2=0.999,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )


def make_step(
    name: str, flat: Flat, *, learning_rate: Sequence[float], weight_decay: Sequence[float]
) -> Callable[[], object]:
    """Return the function that moves ``flat.values`` against ``flat.gradient`` once.

    Learning rates and decays are one a model; neighbours with equal ones are moved together.
    """
    groups: list[dict[str, Any]] = []
    settings = zip(learning_rate, weight_decay, strict=True)
    for (lr, decay), run in groupby(enumerate(settings), key=itemgetter(1)):
        which = [k for k, _ in run]
        models = slice(which[0], which[-1] + 1)
        groups.append({"models": models, "lr": lr, "weight_decay": decay})
    if name in ("adam", "adamw") and hasattr(torch, f"_fused_{name}_"):
        return _FlatAdam(flat, groups, decoupled=name == "adamw").step
    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "sgd": lambda p: torch.optim.SGD(p, momentum=0.9, nesterov=True),
    }
    for group in groups:
        group["params"] = flat.parts(flat.values, group["models"])
        gradients = flat.parts(flat.gradient, group.pop("models"))
        for values, gradient in zip(group["params"], gradients, strict=True):
            values.grad = gradient
    return optimizers[name](groups).step


def autograd(rowwise_loss: Callable[[Tensor], Tensor], flat: Flat, X: Tensor) -> "Gradient":
    """Gradient of any differentiable loss, by automatic differentiation.

    Parameters
    ----------
    rowwise_loss : callable
        Maps a batch (K, b, d) to one loss a row (K, b).
    flat : Flat
        Where the gradient goes.
    X : Tensor of shape (n, d)
        All rows.
    """

    def gradient(rows: Tensor) -> Tensor:
        with torch.inference_mode(False):
            flat.gradient.zero_()
            losses = rowwise_loss(X[rows])
            losses.mean(-1).sum().backward()
        return losses.detach().sum(-1)

    return gradient


RandomFunction = Callable[[Tensor, torch.Generator], Tensor]


def per_model(
    function: RandomFunction | Sequence[RandomFunction],
    x: Tensor,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Apply random functions, one or K, to the parts of `x` (K, ...), each with its generator."""
    functions = function if isinstance(function, Sequence) else [function] * len(x)
    return torch.stack([f(*part) for f, *part in zip(functions, x, generators, strict=True)])


def normal(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw standard normal values in the shape of `x`."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device="cpu").to(x.device)


# Rows (K, b) of a batch -> summed loss (K,); leaves the gradient of the mean loss in its Flat.
Gradient = Callable[[Tensor], Tensor]


def minimise(
    gradient: Gradient,
    step: Callable[[], object],
    rows: Tensor,
    *,
    generators: Sequence[torch.Generator],
    batch_size: int,
) -> Iterator[Tensor]:
    """Minimise K losses at once by stochastic gradient steps, an epoch at a time.

    This is the only training loop. It has no end: whoever takes epochs from it stops asking.
    Each model sees its own rows in an order drawn from its own generator, so that K models
    trained together are the K models trained alone.

    Parameters
    ----------
    gradient : callable
        Loss and gradient on a batch of rows.
    step : callable
        Moves the parameters once.
    rows : Tensor of shape (K, n)
        The rows each model learns from.
    generators : sequence of K torch.Generator
        Sources of the shuffles.
    batch_size : int
        Rows a step.

    Yields
    ------
    Tensor of shape (K,)
        Mean loss over the epoch; where it is not finite, that model is lost, but no other.
    """
    n = rows.shape[1]
    while True:
        with flushed_denormals(), torch.inference_mode():
            total = torch.zeros(len(rows), device=rows.device, dtype=torch.float32)
            shuffles = [torch.randperm(n, generator=generator) for generator in generators]
            order = rows.gather(1, torch.stack(shuffles).to(rows.device))
            for batch in order.split(batch_size, dim=1):
                total += gradient(batch)
                step()
        yield total / n


class EarlyStopping:
    """Keep each model's best weights on held-out rows.

    Parameters
    ----------
    flat : Flat
        The parameters in training.
    held_out_loss : callable
        Returns the mean loss (K,) on each model's held-out rows.
    patience : int
        Epochs without an improvement of more than `tol` after which a model is done.
    tol : Tensor of shape (K,)
        Smallest improvement that counts.
    """

    def __init__(
        self, flat: Flat, held_out_loss: Callable[[], Tensor], *, patience: int, tol: Tensor
    ) -> None:
        self.flat, self.held_out_loss, self.patience, self.tol = flat, held_out_loss, patience, tol
        self.best = flat.values.clone()
        self.lowest: Tensor | None = None

    def update(self) -> Tensor:
        """Measure after an epoch; return the held-out losses (K,)."""
        loss = self.held_out_loss().detach()
        if self.lowest is None:
            self.lowest = torch.full_like(loss, torch.inf)
            self.stale = torch.zeros_like(loss)
        improved = (loss < self.lowest - self.tol) & (self.stale < self.patience)
        self.flat.copy_models(self.flat.values, self.best, improved)
        self.lowest = torch.where(improved, loss, self.lowest)
        self.stale = torch.where(improved, 0, self.stale + 1)
        return loss

    @property
    def improving(self) -> Tensor:
        """Which models (K,) may still improve."""
        return self.stale < self.patience

    def restore(self) -> None:
        """Put the best weights back."""
        self.flat.values.copy_(self.best)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat numbers below 1e-38 as 0 in this thread: late Adam moments are that small and slow.

    The processor's setting is found out (torch has no getter) and restored.
    """
    was_flushed = bool(
        torch.full((2,), 1e-40, dtype=torch.float32, device="cpu").mul(1.0).sum() == 0
    )
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_flushed)
