"""Activations, with everything known about each in one record."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
        Gain of the initial weights of the layer before: He et al. (2015) for the rectifiers, Glorot
        & Bengio (2010) for the others; a sigmoid's slope is 1/4 at 0, so its gain is 4 (an
        eight-layer net stalls otherwise).
    forward : callable or None
        Kernel called with ``(pre-activation, out=)``; None for the identity.
    backward : callable or None
        Its backward kernel, in place: ``(gradient, *between, saved, grad_input=gradient)``.
    between : tuple
        Constants of the backward kernel.
    saves_input : bool
        Whether `saved` is the pre-activation, not the output.
    slope : callable, optional
        Slope as a function of the output, if it is one; it returns None for a slope of 1.
    """

    function: Callable[[Tensor], Tensor]
    gain: float
    forward: Callable[..., object] | None = None
    backward: Callable[..., object] | None = None
    between: tuple[object, ...] = ()
    saves_input: bool = False
    slope: Callable[[Tensor], Tensor | None] | None = None


ACTIVATIONS = {
    "identity": Activation(function=lambda x: x, gain=1.0, slope=lambda _: None),
    "relu": Activation(
        function=torch.relu,
        gain=math.sqrt(2),
        forward=partial(torch.clamp_min, min=0),
        backward=partial(_aten.threshold_backward.grad_input, threshold=0),
        slope=lambda h: h.detach().sign(),
    ),
    "silu": Activation(
        function=functional.silu,
        gain=math.sqrt(2),
        forward=_aten.silu.out,
        backward=_aten.silu_backward.grad_input,
        saves_input=True,
    ),
    "elu": Activation(
        function=functional.elu,
        gain=math.sqrt(2),
        forward=_aten.elu.out,
        backward=_aten.elu_backward.grad_input,
        between=(1, 1, 1, True),
        slope=lambda h: torch.where(h > 0, 1, h + 1),
    ),
    "tanh": Activation(
        function=torch.tanh,
        gain=5 / 3,
        forward=torch.tanh,
        backward=_aten.tanh_backward.grad_input,
        slope=lambda h: 1 - h.square(),
    ),
    "sigmoid": Activation(
        function=torch.sigmoid,
        gain=4.0,
        forward=torch.sigmoid,
        backward=_aten.sigmoid_backward.grad_input,
        slope=lambda h: h * (1 - h),
    ),
}
