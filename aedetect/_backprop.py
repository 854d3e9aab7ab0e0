"""Backpropagation written out for dense stacks: a tenth of the time autograd takes on small nets.

Autograd rebuilds a graph and allocates every intermediate on each step. A dense autoencoder's
gradient is the same few matrix products every time, so they are run here on fixed buffers:

    forward    h_l = f_l([h_{l-1}, 1] W_l)
    backward   D_l = dL/dh_l * f_l'      dL/dW_l = [h_{l-1}, 1]' D_l      dL/dh_{l-1} = D_l W_l'

with the bias as the last row of W. Tests hold it equal to autograd.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .losses import Loss
from .networks import Affine, Coder, Layered

_aten = torch.ops.aten


class _Derivative(NamedTuple):
    """An activation, and a gradient taken back through it in place."""

    forward: Callable[..., object]  # (pre-activation, out=)
    backward_: Callable[[Tensor, Tensor], object]  # (gradient, saved)
    saves_input: bool = False  # whether `saved` is the pre-activation, not the output


def _identity(h: Tensor, out: Tensor) -> None:
    if out is not h:
        out.copy_(h)


_DERIVATIVES = {
    "identity": _Derivative(_identity, lambda d, _: d),
    "relu": _Derivative(
        lambda h, out: torch.clamp_min(h, 0, out=out),
        lambda d, h: _aten.threshold_backward.grad_input(d, h, 0, grad_input=d),
    ),
    "tanh": _Derivative(
        torch.tanh, lambda d, h: _aten.tanh_backward.grad_input(d, h, grad_input=d)
    ),
    "sigmoid": _Derivative(
        torch.sigmoid, lambda d, h: _aten.sigmoid_backward.grad_input(d, h, grad_input=d)
    ),
    "elu": _Derivative(
        lambda h, out: _aten.elu.out(h, out=out),
        lambda d, h: _aten.elu_backward.grad_input(d, 1, 1, 1, True, h, grad_input=d),
    ),
    "silu": _Derivative(
        lambda h, out: _aten.silu.out(h, out=out),
        lambda d, h: _aten.silu_backward.grad_input(d, h, grad_input=d),
        saves_input=True,
    ),
}


class _Layer(NamedTuple):
    """One layer's buffers and views for a batch of b rows; without the axis K where K = 1."""

    derivative: _Derivative
    weight: Tensor  # (K, n_in + bias, n_out)
    gradient: Tensor  # of the weight
    weight_t: Tensor  # (K, n_out, n_in), without the bias
    inputs: Tensor  # (K, b, n_in + bias)
    inputs_t: Tensor
    products: Tensor  # (K, b, n_out), contiguous where K > 1: bmm is slow to write elsewhere
    outputs: Tensor  # (K, b, n_out)
    saved: Tensor  # what the activation's derivative needs
    delta: Tensor  # (K, b, n_out), the gradient at the outputs
    delta_below: Tensor | None  # the layer below's delta


class _Batch(NamedTuple):
    """The buffers of all layers, and the places the loss reads."""

    layers: list[_Layer]
    gathered: Tensor  # (K b, n_features + 1), the first layer's inputs
    x: Tensor  # (K, b, n_features)
    x_hat: Tensor


def serves(net: Coder) -> bool:
    """Say whether `Backprop` knows every layer of `net`."""
    return isinstance(net, Layered) and all(
        type(layer) is Affine for layer in (*net.encoder, *net.decoder)
    )


class Backprop:
    """Gradient of the mean reconstruction error of K dense autoencoders.

    Parameters
    ----------
    net : Layered
        Its parameters have a ``grad``, which is where the gradient goes.
    loss : Loss
        The reconstruction error.
    rows : Tensor of shape (n, n_features + 1)
        All rows, each with a 1 behind it.
    """

    def __init__(self, net: Layered, loss: Loss, rows: Tensor) -> None:
        self.affines: list[Affine] = [*net.encoder, *net.decoder]
        self.k, self.loss, self.rows = len(self.affines[0].weight), loss, rows
        self.n_features = rows.shape[1] - 1
        self.bias = int(self.affines[0].bias)
        self.matmul = torch.mm if self.k == 1 else torch.bmm
        self.batches: dict[int, _Batch] = {}

    def __call__(self, rows: Tensor) -> Tensor:
        """Summed loss (K,) of the rows (K, b); the mean loss's gradient is left in place."""
        batch = self.batches.get(rows.shape[1]) or self._new_batch(rows.shape[1])
        matmul = self.matmul
        torch.index_select(self.rows, 0, rows.reshape(-1), out=batch.gathered)
        for layer in batch.layers:
            matmul(layer.inputs, layer.weight, out=layer.products)
            layer.derivative.forward(layer.products, out=layer.outputs)

        total = self.loss.error(batch.x_hat, batch.x).sum((-1, -2))
        slope = self.loss.slope(batch.x_hat, batch.x)
        torch.mul(slope, 1 / (rows.shape[1] * self.n_features), out=layer.delta)

        for layer in reversed(batch.layers):
            layer.derivative.backward_(layer.delta, layer.saved)
            matmul(layer.inputs_t, layer.delta, out=layer.gradient)
            if layer.delta_below is not None:
                matmul(layer.delta, layer.weight_t, out=layer.delta_below)
        return total.div_(self.n_features)

    def _new_batch(self, b: int) -> _Batch:
        """Allocate for batches of b rows, take all views once, and keep them."""
        widths = [self.n_features, *(affine.weight.shape[-1] for affine in self.affines)]
        ones = [self._matrix(b, width + 1).fill_(1) for width in widths[:-1]]  # [h_l, 1]
        ones.append(self._matrix(b, widths[-1]))
        inputs = [h[..., : width + self.bias] for h, width in zip(ones, widths, strict=True)]
        deltas = [self._matrix(b, width) for width in widths]
        layers = []
        for i, affine in enumerate(self.affines):
            derivative = _DERIVATIVES[affine.activation]
            weight, gradient = affine.weight.detach(), affine.weight.grad
            assert gradient is not None
            if self.k == 1:
                weight, gradient = weight[0], gradient[0]
            outputs = ones[i + 1][..., : widths[i + 1]]
            apart = derivative.saves_input or not (self.k == 1 or outputs.is_contiguous())
            products = self._matrix(b, widths[i + 1]) if apart else outputs
            layers.append(
                _Layer(
                    derivative=derivative,
                    weight=weight,
                    gradient=gradient,
                    weight_t=weight[..., : widths[i], :].mT,
                    inputs=inputs[i],
                    inputs_t=inputs[i].mT,
                    products=products,
                    outputs=outputs,
                    saved=products if derivative.saves_input else outputs,
                    delta=deltas[i + 1],
                    delta_below=deltas[i] if i else None,
                )
            )
        gathered, x = ones[0].view(-1, self.n_features + 1), ones[0][..., : self.n_features]
        self.batches[b] = _Batch(layers, gathered, x, layers[-1].outputs)
        return self.batches[b]

    def _matrix(self, *shape: int) -> Tensor:
        return self.rows.new_empty(shape if self.k == 1 else (self.k, *shape))
