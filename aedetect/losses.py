"""Reconstruction errors: how far a rebuilt value is from the observed one."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Loss:
    """An elementwise error and its unit.

    Attributes
    ----------
    error : callable
        ``error(x_hat, x)``, same shape as both.
    degree : int
        The error's unit is the data's unit to this power; 0 where the data have none.
    """

    error: Callable[[Tensor, Tensor], Tensor]
    degree: int


def squared(x_hat: Tensor, x: Tensor) -> Tensor:
    """(x_hat - x)^2."""
    return functional.mse_loss(x_hat, x, reduction="none")


def absolute(x_hat: Tensor, x: Tensor) -> Tensor:
    """|x_hat - x|."""
    return (x_hat - x).abs()


def huber(x_hat: Tensor, x: Tensor) -> Tensor:
    """r^2 / 2 where |r| <= 1, |r| - 1/2 beyond (Huber, 1964), with r = x_hat - x."""
    return functional.huber_loss(x_hat, x, reduction="none")


def binary_cross_entropy(x_hat: Tensor, x: Tensor) -> Tensor:
    """-x log x_hat - (1 - x) log(1 - x_hat), with log 0 taken as log 1e-30."""
    return -x * x_hat.clamp_min(1e-30).log() - (1 - x) * (1 - x_hat).clamp_min(1e-30).log()


LOSSES = {
    "squared_error": Loss(squared, degree=2),
    "absolute_error": Loss(absolute, degree=1),
    "huber": Loss(huber, degree=2),
    "binary_cross_entropy": Loss(binary_cross_entropy, degree=0),
}
