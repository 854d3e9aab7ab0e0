"""The training loop: K models at once, in one flat buffer, with one optimizer call a step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from .flat import Flat


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
