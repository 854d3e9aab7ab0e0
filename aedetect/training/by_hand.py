"""Backpropagation written out for dense stacks: a tenth of the time autograd takes on small nets.

Autograd rebuilds a graph and allocates every intermediate on each step. A dense autoencoder's
gradient is the same few matrix products every time, so they are run here on fixed buffers:

    forward    h_l = f_l([h_{l-1}, 1] W_l)
    backward   D_l = dL/dh_l * f_l'      dL/dW_l = [h_{l-1}, 1]' D_l      dL/dh_{l-1} = D_l W_l'

with the bias as the last row of W. Tests check that it equals autograd.
"""

import threading
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor, nn

from ..networks.activations import ACTIVATIONS, Activation
from ..networks.layers import Affine, Coder, Layered, widened_all


class _Layer(NamedTuple):
    """One layer's buffers and views for a batch of b rows; without the axis K where K = 1."""

    activation: Activation
    weight: Tensor  # (K, n_in + bias, n_out); for scoring `widened`
    gradient: Tensor | None  # of the weight
    weight_t: Tensor  # (K, n_out, n_in), without the bias
    inputs: Tensor  # (K, b, n_in + bias)
    inputs_t: Tensor
    products: Tensor  # inputs W, contiguous if K > 1: bmm is slow on other outputs
    summed: Tensor  # (K, b, n_out), the same without the columns that `widened` adds
    outputs: Tensor  # (K, b, n_out)
    saved: Tensor  # what the activation's backward pass needs
    delta: Tensor  # (K, b, n_out), the gradient at the outputs
    delta_below: Tensor  # the layer below's delta, (K, b, n_in)


class _Batch(NamedTuple):
    """The buffers of all layers, and where values enter and leave them."""

    layers: list[_Layer]
    x: Tensor  # (K, b, n_in), the inputs
    delta_x: Tensor  # the gradient there
    delta: Tensor  # (K, b, n_out), the gradient at the outputs


class Chain:
    """Dense layers one after another, K models of each, on buffers kept for each batch size.

    Parameters
    ----------
    affines : sequence of Affine
        Their weights have a ``grad``, which is where the gradient goes, if one is asked for.
    for_scoring : bool, default=False
        Copy narrow weights, `widened`; there is no backward pass then.
    """

    def __init__(self, affines: Sequence[Affine], *, for_scoring: bool = False) -> None:
        self.affines, self.k = affines, len(affines[0].weight)
        self.matmul = torch.mm if self.k == 1 else torch.bmm  # equal up to rounding
        self.weights = [affine.weight.detach() for affine in affines]
        if for_scoring:
            self.weights = widened_all(self.weights)

    def forward(self, batch: _Batch) -> Tensor:
        for layer in batch.layers:
            self.matmul(layer.inputs, layer.weight, out=layer.products)
            if layer.activation.forward is not None:
                layer.activation.forward(layer.summed, out=layer.outputs)
            elif layer.summed is not layer.outputs:
                layer.outputs.copy_(layer.summed)
        return batch.layers[-1].outputs

    def backward(self, batch: _Batch, *, to_inputs: bool) -> None:
        """Propagate the last layer's delta back, adding to the weights' gradient."""
        for layer in reversed(batch.layers):
            activation, delta = layer.activation, layer.delta
            if activation.backward is not None:
                activation.backward(delta, *activation.between, layer.saved, grad_input=delta)
            assert layer.gradient is not None
            if self.k == 1:
                layer.gradient.addmm_(layer.inputs_t, layer.delta)
            else:
                layer.gradient.baddbmm_(layer.inputs_t, layer.delta)
            if to_inputs or layer is not batch.layers[0]:
                self.matmul(layer.delta, layer.weight_t, out=layer.delta_below)

    def new_batch(self, b: int) -> _Batch:
        """Allocate for batches of b rows, and take all views once."""
        widths = [self.affines[0].n_in, *(affine.weight.shape[-1] for affine in self.affines)]
        ones = [self._matrix(b, width + 1).fill_(1) for width in widths[:-1]]  # [h_l, 1]
        ones.append(self._matrix(b, widths[-1]))
        ends = [affine.n_in + affine.bias for affine in self.affines]
        inputs = [h[..., :end] for h, end in zip(ones, ends, strict=False)]
        deltas = [self._matrix(b, width) for width in widths]
        layers = []
        for i, affine in enumerate(self.affines):
            activation = ACTIVATIONS[affine.activation]
            weight, gradient = self.weights[i], affine.weight.grad
            if self.k == 1:
                weight, gradient = weight[0], None if gradient is None else gradient[0]
            outputs = ones[i + 1][..., : widths[i + 1]]
            in_place = self.k == 1 or outputs.is_contiguous()
            apart = activation.saves_input or not in_place or weight.shape[-1] > widths[i + 1]
            products = self._matrix(b, weight.shape[-1]) if apart else outputs
            summed = products[..., : widths[i + 1]]
            layers.append(
                _Layer(
                    activation=activation,
                    weight=weight,
                    gradient=gradient,
                    weight_t=weight[..., : widths[i], :].mT,
                    inputs=inputs[i],
                    inputs_t=inputs[i].mT,
                    products=products,
                    summed=summed,
                    outputs=outputs,
                    saved=summed if activation.saves_input else outputs,
                    delta=deltas[i + 1],
                    delta_below=deltas[i],
                )
            )
        return _Batch(layers, ones[0][..., : widths[0]], deltas[0], deltas[-1])

    def _matrix(self, *shape: int) -> Tensor:
        return self.affines[0].weight.new_empty(
            shape if self.k == 1 else (self.k, *shape), requires_grad=False
        )


def serves(net: Coder) -> TypeGuard[Layered]:
    """Say whether every layer of `net` is of the kind written out here."""
    return type(net) is Layered and all(
        type(layer) is Affine for layer in (*net.encoder, *net.decoder)
    )


class Forward:
    """Rows through all layers of one dense autoencoder, on buffers that each thread keeps."""

    def __init__(self, net: Layered) -> None:
        self.chain = Chain([*net.encoder, *net.decoder], for_scoring=True)
        self.of_this_thread = threading.local()

    def __call__(self, x: Tensor) -> Tensor:
        """Return the rebuilt rows x_hat (n, d), which the next call overwrites."""
        batches = self._batches
        if len(x) not in batches:
            batches[len(x)] = self.chain.new_batch(len(x))
        batch = batches[len(x)]
        batch.x.copy_(x)
        return self.chain.forward(batch)

    def release(self) -> None:
        """Release the buffers."""
        self._batches.clear()

    @property
    def _batches(self) -> dict[int, _Batch]:
        return self.of_this_thread.__dict__.setdefault("batches", {})


def by_hand(net: Layered) -> Layered:
    """Return the same network with its layers as one autograd operation of known gradient.

    Weights are shared; their gradient is added to their ``grad``. Second derivatives are not
    available: asking for one is a ValueError.
    """
    twin = copy(net)
    twin._modules = dict(net._modules)
    twin.encoder, twin.decoder = _ByHand(*net.encoder), _ByHand(*net.decoder)
    return twin


class _ByHand(nn.Sequential):
    """Layers that run as a `Chain`, or one by one for callers that need what lies between."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.chain = Chain([*layers])  # type: ignore[list-item]
        self.unused: dict[int, list[_Batch]] = {}

    def __iter__(self) -> Iterator[nn.Module]:
        if "singles" not in self.__dict__:
            self.__dict__["singles"] = [_ByHand(layer) for layer in self.children()]
        return iter(self.__dict__["singles"])

    def forward(self, x: Tensor) -> Tensor:
        unused = self.unused.setdefault(x.shape[1], [])
        batch = unused.pop() if unused else self.chain.new_batch(x.shape[1])
        return _Run.apply(x, self.chain.affines[0].weight, self.chain, batch, unused)


class _Run(torch.autograd.Function):
    """A chain as autograd sees it. The buffers are free again when the gradient has passed."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, _: Tensor, chain: Chain, batch: _Batch, unused: list[_Batch]
    ) -> Tensor:
        ctx.chain, ctx.batch, ctx.unused = chain, batch, unused
        batch.x.copy_(x.view_as(batch.x))
        return chain.forward(batch).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, delta: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # as for create_graph=True
            raise ValueError(
                "The loss takes derivatives of a gradient; let the objective's derives_in_rows "
                "return True."
            )
        to_inputs = ctx.needs_input_grad[0]
        ctx.batch.delta.copy_(delta.view_as(ctx.batch.delta))
        ctx.chain.backward(ctx.batch, to_inputs=to_inputs)
        ctx.unused.append(ctx.batch)
        delta_x = ctx.batch.delta_x.view(*delta.shape[:-1], -1) if to_inputs else None
        return delta_x, None, None, None, None
