"""Backpropagation written out for dense stacks: a tenth of the time autograd takes on small nets.

Autograd rebuilds a graph and allocates every intermediate on each step. A dense autoencoder's
gradient is the same few matrix products every time, so they are run here on fixed buffers:

    forward    h_l = f_l([h_{l-1}, 1] W_l)
    backward   D_l = dL/dh_l * f_l'      dL/dW_l = [h_{l-1}, 1]' D_l      dL/dh_{l-1} = D_l W_l'

with the bias as the last row of W. Tests hold it equal to autograd.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ._training import Flat
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
    delta_below: Tensor  # the layer below's delta, (K, b, n_in)


class _Batch(NamedTuple):
    """The buffers of all layers, and the ends where values go in and come out."""

    layers: list[_Layer]
    gathered: Tensor  # (K b, n_in + 1), the first layer's inputs with a 1 behind each
    x: Tensor  # (K, b, n_in), a part of it
    delta_x: Tensor  # (K, b, n_in), the gradient at the inputs


class Chain:
    """Dense layers one after another, K models of each, on buffers kept for each batch size.

    Parameters
    ----------
    affines : sequence of Affine
        Their weights have a ``grad``, which is where the gradient goes.
    """

    def __init__(self, affines: Sequence[Affine]) -> None:
        self.affines, self.k = affines, len(affines[0].weight)
        self.matmul = torch.mm if self.k == 1 else torch.bmm  # equal to the last bit

    def forward(self, batch: _Batch) -> Tensor:
        for layer in batch.layers:
            self.matmul(layer.inputs, layer.weight, out=layer.products)
            layer.derivative.forward(layer.products, out=layer.outputs)
        return batch.layers[-1].outputs

    def backward(self, batch: _Batch, *, add: bool = False, to_inputs: bool = False) -> None:
        """Take the last layer's delta back; write the weights' gradient, or add to it."""
        for layer in reversed(batch.layers):
            layer.derivative.backward_(layer.delta, layer.saved)
            if add and self.k == 1:
                layer.gradient.addmm_(layer.inputs_t, layer.delta)
            elif add:
                layer.gradient.baddbmm_(layer.inputs_t, layer.delta)
            else:
                self.matmul(layer.inputs_t, layer.delta, out=layer.gradient)
            if to_inputs or layer is not batch.layers[0]:
                self.matmul(layer.delta, layer.weight_t, out=layer.delta_below)

    def new_batch(self, b: int) -> _Batch:
        """Allocate for batches of b rows, and take all views once."""
        bias = int(self.affines[0].bias)
        widths = [self.affines[0].n_in, *(affine.weight.shape[-1] for affine in self.affines)]
        ones = [self._matrix(b, width + 1).fill_(1) for width in widths[:-1]]  # [h_l, 1]
        ones.append(self._matrix(b, widths[-1]))
        inputs = [h[..., : width + bias] for h, width in zip(ones, widths, strict=True)]
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
                    delta_below=deltas[i],
                )
            )
        gathered = ones[0].view(-1, widths[0] + 1)
        return _Batch(layers, gathered, ones[0][..., : widths[0]], deltas[0])

    def _matrix(self, *shape: int) -> Tensor:
        return self.affines[0].weight.new_empty(
            shape if self.k == 1 else (self.k, *shape), requires_grad=False
        )


def serves(net: Coder) -> bool:
    """Say whether every layer of `net` is of the kind written out here."""
    return type(net) is Layered and all(
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
        self.chain = Chain([*net.encoder, *net.decoder])
        self.loss, self.rows, self.n_features = loss, rows, rows.shape[1] - 1
        self.batches: dict[int, _Batch] = {}

    def __call__(self, rows: Tensor) -> Tensor:
        """Summed loss (K,) of the rows (K, b); the mean loss's gradient is left in place."""
        b = rows.shape[1]
        batch = self.batches.get(b) or self.batches.setdefault(b, self.chain.new_batch(b))
        torch.index_select(self.rows, 0, rows.reshape(-1), out=batch.gathered)
        x_hat = self.chain.forward(batch)
        total = self.loss.error(x_hat, batch.x).sum((-1, -2))
        slope = self.loss.slope(x_hat, batch.x)
        torch.mul(slope, 1 / (b * self.n_features), out=batch.layers[-1].delta)
        self.chain.backward(batch)
        return total.div_(self.n_features)


class Tape:
    """Gradient of any loss of K dense autoencoders: autograd for the loss, `Chain` for the layers.

    The loss is computed on a net whose encoder and decoder are run by hand and hand over leaves of
    autograd's graph. So autograd meets only what an objective adds, and each layer's part in the
    gradient is taken back by hand. Derivatives with respect to the rows are not available.

    Parameters
    ----------
    rowwise_loss : callable
        Maps a net and a batch (K, b, d) to one loss a row (K, b).
    net : Layered
        Its parameters have a ``grad``.
    flat : Flat
        Where the gradient goes.
    rows : Tensor of shape (n, d)
        All rows, without gaps.
    """

    def __init__(
        self,
        rowwise_loss: Callable[[Coder, Tensor], Tensor],
        net: Layered,
        flat: Flat,
        rows: Tensor,
    ) -> None:
        self.rowwise_loss, self.flat, self.rows = rowwise_loss, flat, rows
        self.calls: list[tuple[Tensor, Tensor, Chain, _Batch]] = []
        self.shares: dict[torch.Size, Tensor] = {}
        self.net = copy(net)
        self.net._modules = dict(net._modules)
        self.net.encoder = _Taped(net.encoder, self)
        self.net.decoder = _Taped(net.decoder, self)
        self.net.fill = lambda x: x  # type: ignore[method-assign]

    def __call__(self, rows: Tensor) -> Tensor:
        """Summed loss (K,) of the rows (K, b); the mean loss's gradient is left in place."""
        self.calls.clear()
        with torch.inference_mode(False), torch.enable_grad():
            self.flat.gradient.zero_()
            x = self.rows.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
            losses = self.rowwise_loss(self.net, x)
            # The graph is kept: codes are gone back through once more, below.
            losses.backward(self._share(losses), retain_graph=True)
            for x, out, chain, batch in reversed(self.calls):
                if out.grad is not None:
                    self._take_back(x, out.grad, chain, batch)
        return losses.detach().sum(-1)

    def _share(self, losses: Tensor) -> Tensor:
        """What each row's loss is worth in the means over rows."""
        if losses.shape not in self.shares:
            self.shares[losses.shape] = torch.full_like(losses, 1 / losses.shape[-1]).detach()
        return self.shares[losses.shape]

    def _take_back(self, x: Tensor, delta: Tensor, chain: Chain, batch: _Batch) -> None:
        batch.layers[-1].delta.copy_(delta.view_as(batch.layers[-1].delta))
        chain.backward(batch, add=True, to_inputs=x.requires_grad)
        if not x.requires_grad:
            return
        delta_x = batch.delta_x.view_as(x)
        if not x.is_leaf:
            x.backward(delta_x)
        elif x.grad is None:
            x.grad = delta_x
        else:
            x.grad.add_(delta_x)


class _Taped(nn.Sequential):
    """Layers that are run by hand and write on a tape."""

    def __init__(self, layers: nn.Sequential, tape: Tape) -> None:
        super().__init__(*layers)
        self.tape, self.chain = [tape], Chain([*layers])  # in a list: the tape is no module
        self.batches: dict[tuple[int, int], _Batch] = {}

    def __iter__(self) -> Iterator[nn.Module]:
        singles = self.__dict__.setdefault("singles", [])
        if not singles:
            singles += [_Taped(nn.Sequential(layer), self.tape[0]) for layer in self.children()]
        return iter(singles)

    def forward(self, x: Tensor) -> Tensor:
        tape = self.tape[0]
        key = x.shape[1], sum(chain is self.chain for _, _, chain, _ in tape.calls)
        batch = self.batches.get(key) or self.batches.setdefault(key, self.chain.new_batch(key[0]))
        with torch.no_grad():
            batch.x.copy_(x.view_as(batch.x))
            out = self.chain.forward(batch).view(*x.shape[:-1], -1).detach().requires_grad_()
        tape.calls.append((x, out, self.chain, batch))
        return out
