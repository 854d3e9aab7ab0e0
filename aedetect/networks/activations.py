"""Activations: all that is known of each, in one record."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

ActivationName = Literal["relu", "silu", "elu", "tanh", "sigmoid", "identity"]

_aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """An elementwise function, its slope, and both written in place.

    Attributes
    ----------
    function : callable
        The activation as autograd knows it.
    gain : float
        Of the initial weights before it: He et al. (2015) for the rectifiers, Glorot & Bengio
        (2010) for the others; a sigmoid's slope is 1/4 at 0, so its gain is 4 (an eight-layer net
        stalls otherwise).
    forward : callable
        The same function of ``(pre-activation, out=)``.
    backward_ : callable
        Takes ``(gradient, saved)`` back through it, in the gradient's place.
    saves_input : bool
        Whether `saved` is the pre-activation, not the output.
    slope : callable, optional
        Of the output, where it is a function of that; it returns None for a slope of 1.
    """

    function: Callable[[Tensor], Tensor]
    gain: float
    forward: Callable[..., object]
    backward_: Callable[[Tensor, Tensor], object]
    saves_input: bool = False
    slope: Callable[[Tensor], Tensor | None] | None = None


def _identity(h: Tensor, out: Tensor) -> None:
    if out is not h:
        out.copy_(h)


ACTIVATIONS = {
    "identity": Activation(
        function=lambda x: x,
        gain=1.0,
        forward=_identity,
        backward_=lambda d, _: d,
        slope=lambda _: None,
    ),
    "relu": Activation(
        function=torch.relu,
        gain=math.sqrt(2),
        forward=lambda h, out: torch.clamp_min(h, 0, out=out),
        backward_=lambda d, h: _aten.threshold_backward.grad_input(d, h, 0, grad_input=d),
        slope=lambda h: h.detach().sign(),
    ),
    "silu": Activation(
        function=functional.silu,
        gain=math.sqrt(2),
        forward=lambda h, out: _aten.silu.out(h, out=out),
        backward_=lambda d, h: _aten.silu_backward.grad_input(d, h, grad_input=d),
        saves_input=True,
    ),
    "elu": Activation(
        function=functional.elu,
        gain=math.sqrt(2),
        forward=lambda h, out: _aten.elu.out(h, out=out),
        backward_=lambda d, h: _aten.elu_backward.grad_input(d, 1, 1, 1, True, h, grad_input=d),
        slope=lambda h: torch.where(h > 0, 1, h + 1),
    ),
    "tanh": Activation(
        function=torch.tanh,
        gain=5 / 3,
        forward=torch.tanh,
        backward_=lambda d, h: _aten.tanh_backward.grad_input(d, h, grad_input=d),
        slope=lambda h: 1 - h.square(),
    ),
    "sigmoid": Activation(
        function=torch.sigmoid,
        gain=4.0,
        forward=torch.sigmoid,
        backward_=lambda d, h: _aten.sigmoid_backward.grad_input(d, h, grad_input=d),
        slope=lambda h: h * (1 - h),
    ),
}
