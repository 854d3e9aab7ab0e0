"""The training loop: K models at once, in one flat buffer, with one optimizer call a step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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
    """

    values: Tensor
    gradient: Tensor
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, net: nn.Module) -> "Flat":
        """Move the parameters of `net`, each (K, ...), into one buffer and leave views of it."""
        parameters = list(net.parameters())
        values = torch.cat([p.detach().reshape(-1) for p in parameters])
        flat = cls(values, torch.zeros_like(values), tuple(p.numel() for p in parameters))
        for p, value, gradient in zip(
            parameters, values.split(flat.sizes), flat.gradient.split(flat.sizes), strict=True
        ):
            p.data, p.grad = value.view(p.shape), gradient.view(p.shape)
        return flat

    def copy_models(self, source: Tensor, target: Tensor, which: Tensor) -> None:
        """Copy the models marked in the mask `which` (K,) between buffers laid out as these."""
        for a, b in zip(source.split(self.sizes), target.split(self.sizes), strict=True):
            b.view(len(which), -1)[which] = a.view(len(which), -1)[which]


class _FlatAdam:
    """Adam (Kingma & Ba, 2015) or AdamW (Loshchilov & Hutter, 2019) on one buffer.

    The same kernel as ``torch.optim.Adam(fused=True)`` without that class's bookkeeping, which
    at these sizes costs several times the arithmetic.
    """

    def __init__(self, flat: Flat, *, lr: float, weight_decay: float, decoupled: bool) -> None:
        self.kernel: Callable[..., None] = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self.count = torch.zeros((), device=flat.values.device, dtype=torch.float32)
        moments = (torch.zeros_like(flat.values) for _ in range(2))
        self.buffers = [[flat.values], [flat.gradient], *([m] for m in moments), [], [self.count]]
        self.lr, self.weight_decay = lr, weight_decay

    def step(self) -> None:
        self.count.add_(1)
        self.kernel(
            *self.buffers,
            lr=self.lr,
            weight_decay=self.weight_decay,
            beta1=0.9,
            beta2=0.999,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


def make_step(
    name: str, flat: Flat, *, learning_rate: float, weight_decay: float
) -> Callable[[], object]:
    """Return the function that moves ``flat.values`` against ``flat.gradient`` once."""
    options = {"lr": learning_rate, "weight_decay": weight_decay}
    if name in ("adam", "adamw") and hasattr(torch, f"_fused_{name}_"):
        return _FlatAdam(flat, decoupled=name == "adamw", **options).step
    flat.values.grad = flat.gradient
    optimizers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "sgd": lambda p, **kw: torch.optim.SGD(p, momentum=0.9, nesterov=True, **kw),
    }
    return optimizers[name]([flat.values], **options).step


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


def per_model(
    function: Callable[[Tensor, torch.Generator], Tensor],
    x: Tensor,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Apply a random function to each model's part of `x` (K, ...), each with its own generator."""
    return torch.stack([function(*pair) for pair in zip(x, generators, strict=True)])


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
        Mean loss over the epoch.

    Raises
    ------
    FloatingPointError
        If a loss is no longer finite.
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
        if not total.isfinite().all():
            raise FloatingPointError(f"a mean loss is {total[~total.isfinite()][0]:g}")
        yield total / n


class EarlyStopping:
    """Keep each model's best weights on held-out rows; be done when none has improved lately.

    Parameters
    ----------
    flat : Flat
        The parameters in training.
    held_out_loss : callable
        Returns the mean loss (K,) on each model's held-out rows.
    patience : int
        Epochs without an improvement of more than `tol` after which a model is done.
    tol : float
        Smallest improvement that counts.
    """

    def __init__(
        self, flat: Flat, held_out_loss: Callable[[], Tensor], *, patience: int, tol: float
    ) -> None:
        self.flat, self.held_out_loss, self.patience, self.tol = flat, held_out_loss, patience, tol
        self.best = flat.values.clone()
        self.lowest: Tensor | None = None

    def update(self) -> Tensor:
        """Measure after an epoch; return the held-out losses (K,)."""
        loss = self.held_out_loss().detach()
        if not loss.isfinite().all():
            raise FloatingPointError(f"a held-out loss is {loss[~loss.isfinite()][0]:g}")
        if self.lowest is None:
            self.lowest = torch.full_like(loss, torch.inf)
            self.stale = torch.zeros_like(loss)
        improved = (loss < self.lowest - self.tol) & (self.stale < self.patience)
        self.flat.copy_models(self.flat.values, self.best, improved)
        self.lowest = torch.where(improved, loss, self.lowest)
        self.stale = torch.where(improved, 0, self.stale + 1)
        return loss

    @property
    def done(self) -> bool:
        """Whether no model can improve any more."""
        return bool((self.stale >= self.patience).all())

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
