"""The training loop: K models at once, in one flat buffer, with one optimizer call per step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Rows (K, b) of a batch -> summed loss (K,); leaves the gradient of the mean loss in its Flat.
Gradient = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Flat:
    """All parameters of K models in one buffer, and their gradient in another.

    Attributes
    ----------
    values, gradient : Tensor of shape (K * n_parameters,), or a little more
        Padded to a multiple of 16: kernels may round differently at a ragged end. Parameters of
        which each model has a multiple of 16 come first: BLAS rounding may depend on a matrix's
        alignment in memory, so all of these are aligned alike, in a stack and alone.
    sizes : tuple of int
        Length of each parameter's part of the buffers; a part holds K rows, one per model.
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
        parameters = sorted(net.parameters(), key=lambda p: p[0].numel() % 16 > 0)
        sizes = tuple(p.numel() for p in parameters)
        values = parameters[0].new_zeros(-(-sum(sizes) // 16) * 16, requires_grad=False)
        flat = cls(values, torch.zeros_like(values), sizes, len(parameters[0]))
        for p, value, gradient in zip(
            parameters, flat.parts(values), flat.parts(flat.gradient), strict=True
        ):
            value.copy_(p.detach().reshape(-1))
            p.data, p.grad = value.view(p.shape), gradient.view(p.shape)
        return flat

    def parts(self, buffer: Tensor) -> tuple[Tensor, ...]:
        """Return a view for each parameter of a buffer laid out as these."""
        return buffer[: sum(self.sizes)].split(self.sizes)

    def spread(self, of_each_model: Sequence[float]) -> Tensor:
        """Return each model's number in a buffer laid out as these; one, where all are equal."""
        if len(set(of_each_model)) == 1:
            return torch.tensor(of_each_model[0]).to(self.values)
        buffer = torch.zeros_like(self.values)
        numbers = torch.tensor(of_each_model).to(buffer)[:, None]
        for part in self.parts(buffer):
            part.view(self.n_models, -1).copy_(numbers.expand(-1, part.numel() // self.n_models))
        return buffer

    def copy_models(self, source: Tensor, target: Tensor, which: Tensor) -> None:
        """Copy the models marked in the mask `which` (K,) between buffers laid out as these."""
        for a, b in zip(self.parts(source), self.parts(target), strict=True):
            b.view(len(which), -1)[which] = a.view(len(which), -1)[which]


def make_step(
    name: str, flat: Flat, *, learning_rate: Sequence[float], weight_decay: Sequence[float]
) -> Callable[[], object]:
    """Return the function that moves ``flat.values`` against ``flat.gradient`` once.

    The optimizer's update at rate 1 goes into a buffer, which is added to the parameters, times
    each model's own learning rate. The arithmetic is the same for any number of models.

    Parameters
    ----------
    name : str
        Name of the optimizer.
    flat : Flat
        What to move.
    learning_rate, weight_decay : sequence of K float
        One per model.
    """
    move = torch.zeros_like(flat.values)
    update = _optimizer(name, move, flat.gradient)
    rates, decays = flat.spread(learning_rate), flat.spread(weight_decay)
    decayed, decoupled = bool(decays.any()), name == "adamw"
    kept = 1 - rates * decays

    def step() -> None:
        if decayed and decoupled:  # Loshchilov & Hutter, 2019
            flat.values.mul_(kept)
        elif decayed:
            flat.gradient.addcmul_(flat.values, decays)
        update()
        flat.values.addcmul_(move, rates)

    return step


def _optimizer(name: str, move: Tensor, gradient: Tensor) -> Callable[[], object]:
    """Return the function that sets `move` to the optimizer's update at a rate of 1."""
    if name in ("adam", "adamw") and hasattr(torch, "_fused_adamw_"):
        return _fused_adam(move, gradient)
    move.grad = gradient
    if name == "rmsprop":
        optimizer: torch.optim.Optimizer = torch.optim.RMSprop([move], lr=1)
    elif name == "sgd":
        optimizer = torch.optim.SGD([move], lr=1, momentum=0.9, nesterov=True)
    else:
        optimizer = torch.optim.Adam([move], lr=1)

    def update() -> None:
        move.zero_()
        optimizer.step()

    return update


def _fused_adam(move: Tensor, gradient: Tensor) -> Callable[[], object]:
    """The kernel of torch.optim.AdamW(fused=True) without that class's bookkeeping.

    At these sizes the bookkeeping costs several times as much as the arithmetic. A decay of 1 at a
    rate of 1 cancels what `move` held, leaving only Adam's update (Kingma & Ba, 2015).
    """
    kernel: Callable[..., None] = torch._fused_adamw_
    count = torch.zeros((), device=move.device, dtype=torch.float32)
    moments = [[torch.zeros_like(move)], [torch.zeros_like(move)]]
    options = {"lr": 1.0, "weight_decay": 1.0, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    options |= {"amsgrad": False, "maximize": False}

    def step() -> None:
        count.add_(1)
        kernel([move], [gradient], *moments, [], [count], **options)

    return step


def autograd(rowwise_loss: Callable[[Tensor], Tensor], flat: Flat, X: Tensor) -> "Gradient":
    """Gradient of any differentiable loss, by automatic differentiation.

    Parameters
    ----------
    rowwise_loss : callable
        Maps a batch (K, b, d) to one loss per row (K, b).
    flat : Flat
        Where the gradient goes.
    X : Tensor of shape (n, d)
        All rows.
    """
    unpadded = flat.gradient[: sum(flat.sizes)]

    def gradient(rows: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            unpadded.zero_()
            x = X.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
            losses = rowwise_loss(x)
            share = torch.full(losses.shape, 1 / rows.shape[1], device=X.device, dtype=X.dtype)
            losses.backward(share)
        return losses.detach().sum(-1)

    return gradient


def minimise(
    gradient: Gradient,
    step: Callable[[], object],
    rows: Tensor,
    *,
    generators: Sequence[torch.Generator],
    batch_size: int,
) -> Iterator[Tensor]:
    """Minimise K losses at once by stochastic gradient steps, an epoch at a time.

    This is the only training loop. It never stops by itself; the caller decides how many epochs to
    take. Each model sees its own rows in an order drawn from its own generator, so that K models
    trained together come out the same as when trained alone.

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
        Rows per step.

    Yields
    ------
    Tensor of shape (K,)
        Mean loss over the epoch; if it is not finite, that model is lost, but no other.
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

    def update(self, epoch: int) -> Tensor:
        """Measure after an epoch; return the held-out losses (K,)."""
        loss = self.held_out_loss().detach()
        if self.lowest is None:
            self.lowest = torch.full_like(loss, torch.inf)
            self.stale, self.best_epoch = torch.zeros_like(loss), torch.zeros_like(loss)
        improved = (loss < self.lowest - self.tol) & (self.stale < self.patience)
        self.flat.copy_models(self.flat.values, self.best, improved)
        self.lowest = torch.where(improved, loss, self.lowest)
        self.stale = torch.where(improved, 0, self.stale + 1)
        self.best_epoch = torch.where(improved, epoch, self.best_epoch)
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
    """Treat numbers below 1e-38 as 0 in this thread: late Adam moments get that small, and slow.

    The processor's setting is determined first (torch has no getter) and restored afterwards.
    """
    was_flushed = bool(
        torch.full((2,), 1e-40, dtype=torch.float32, device="cpu").mul(1.0).sum() == 0
    )
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_flushed)
