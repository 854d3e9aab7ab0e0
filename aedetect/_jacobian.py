"""Norms of an encoder's Jacobian: by automatic differentiation, and as a product of matrices."""

from typing import Any

import torch
from torch import Tensor

from .networks import SLOPES, Affine, Coder, Layered


def jacobian_norm(z: Tensor, x: Tensor) -> Tensor:
    """Squared Frobenius norm (K, n) of dz/dx for z (K, n, m) and x (K, n, d), row by row."""
    units = torch.eye(z.shape[-1], device=z.device, dtype=z.dtype)
    rows = (pullback(z, x, unit.expand_as(z)).square().sum(-1) for unit in units)
    return torch.stack(list(rows)).sum(0)


def pullback(z: Tensor, x: Tensor, u: Tensor) -> Tensor:
    """u' dz/dx, row by row, itself differentiable."""
    return torch.autograd.grad(z, x, u, create_graph=True)[0]


def has_known_slopes(net: Coder) -> bool:
    return isinstance(net, Layered) and all(
        isinstance(layer, Affine) and layer.activation in SLOPES for layer in net.encoder.children()
    )


def factors_of(net: Any, x: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Weights and slopes of the encoder's layers, whose product is the Jacobian; and the code."""
    layers, outputs = net.encoder.children(), net.activations(x)
    factors = [
        (layer.weight[:, : layer.n_in], SLOPES[layer.activation](h))
        for layer, h in zip(layers, outputs, strict=True)
    ]
    return factors, outputs[-1]


def norm_of_product(factors: list[tuple[Tensor, Tensor]]) -> Tensor:
    """||W_1 S_1 W_2 S_2 ...||^2 row by row, S the diagonal matrix of a layer's slopes."""
    *before, (weight, slope) = factors
    if not before:  # sum_j s_j^2 ||w_j||^2 (Rifai et al., 2011)
        return (slope.square() * weight.square().sum(-2, keepdim=True)).sum(-1)
    product = before[0][0][:, None]
    for (_, s), (w, _) in zip(before, factors[1:], strict=True):
        product = (product * s[:, :, None]) @ w[:, None]
    return (product * slope[:, :, None]).square().sum((-1, -2))


def row_times_product(u: Tensor, factors: list[tuple[Tensor, Tensor]]) -> Tensor:
    """||u' (W_1 S_1 W_2 S_2 ...)'||^2, row by row."""
    for weight, slope in reversed(factors):
        u = (u * slope) @ weight.mT
    return u.square().sum(-1)
