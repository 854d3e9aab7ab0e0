"""Errors of a rebuilt value: how far it is from the observed one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Error:
    """An elementwise error and its unit.

    Attributes
    ----------
    of : callable
        ``of(x_hat, x)``, same shape as both.
    degree : int
        The error's unit is the data's unit to this power; 0 where the data have none.
    """

    of: Callable[[Tensor, Tensor], Tensor]
    degree: int


def absolute(x_hat: Tensor, x: Tensor) -> Tensor:
    """|x_hat - x|."""
    return (x_hat - x).abs()


def binary_cross_entropy(x_hat: Tensor, x: Tensor) -> Tensor:
    """-x log x_hat - (1 - x) log(1 - x_hat), with log 0 taken as log 1e-30."""
    return -x * x_hat.clamp_min(1e-30).log() - (1 - x) * (1 - x_hat).clamp_min(1e-30).log()


# Huber (1964): with r = x_hat - x, r^2 / 2 where |r| <= 1, |r| - 1/2 beyond.
ERRORS = {
    "squared_error": Error(partial(functional.mse_loss, reduction="none"), degree=2),
    "absolute_error": Error(absolute, degree=1),
    "huber": Error(partial(functional.huber_loss, reduction="none"), degree=2),
    "binary_cross_entropy": Error(binary_cross_entropy, degree=0),
}
