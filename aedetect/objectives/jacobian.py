"""Norms of an encoder's Jacobian: by automatic differentiation, and as a product of matrices."""

from typing import Any

import torch
from torch import Tensor

from ..networks.activations import ACTIVATIONS
from ..networks.layers import Affine, Coder, Layered


def jacobian_norm(z: Tensor, x: Tensor) -> Tensor:
    """Squared Frobenius norm (K, n) of dz/dx for z (K, n, m) and x (K, n, d), row by row."""
    units = torch.eye(z.shape[-1], device=z.device, dtype=z.dtype)
    rows = (pullback(z, x, unit.expand_as(z)).square().sum(-1) for unit in units)
    return torch.stack(list(rows)).sum(0)


def pullback(z: Tensor, x: Tensor, u: Tensor) -> Tensor:
    """u' dz/dx, row by row, itself differentiable."""
    return torch.autograd.grad(z, x, u, create_graph=True)[0]


def has_known_slopes(net: Coder) -> bool:
    """Whether the Jacobian is a product of matrices known from the layers' outputs."""
    return isinstance(net, Layered) and all(
        isinstance(layer, Affine) and ACTIVATIONS[layer.activation].slope is not None
        for layer in net.encoder.children()
    )


Factors = list[tuple[Tensor, Tensor | None]]  # weights (K, n_in, n_out), slopes (K, n, n_out)


def factors_of(net: Any, x: Tensor) -> tuple[Factors, Tensor]:
    """Weights and slopes of the encoder's layers, whose product is the Jacobian; and the code."""
    layers, outputs = net.encoder.children(), net.activations(x)
    slopes: list[Any] = [ACTIVATIONS[layer.activation].slope for layer in net.encoder.children()]
    factors = [
        (layer.weight[:, : layer.n_in], slope(h))
        for layer, slope, h in zip(layers, slopes, outputs, strict=True)
    ]
    return factors, outputs[-1]


def norm_of_product(factors: Factors) -> Tensor:
    """||W_1 S_1 W_2 S_2 ...||^2 row by row, S the diagonal matrix of a layer's slopes.

    The product is multiplied out for each row only if there is no shortcut. The result has a single
    column if it is the same for all rows.
    """
    (weight, slope), *others = factors
    if not others:  # ||W S||^2 = sum_j s_j^2 ||w_j||^2 (Rifai et al., 2011)
        return _scaled(_scaled(weight.square().sum(-2, keepdim=True), slope), slope).sum(-1)
    last, slope_of_code = others[-1]
    if len(others) == 1 and slope is not None and slope_of_code is None:
        pairs = (weight.mT @ weight) * (last @ last.mT)  # ||V S W||^2 = s' (V'V * WW') s
        return ((slope @ pairs) * slope).sum(-1)
    product = _with_scaled_columns(weight[:, None], slope)  # (K, n, n_features, units)
    for weight, slope in others:
        product = _with_scaled_columns(product @ weight[:, None], slope)
    return product.square().sum((-1, -2))


def row_times_product(u: Tensor, factors: Factors) -> Tensor:
    """||u' (W_1 S_1 W_2 S_2 ...)'||^2, row by row."""
    for weight, slope in reversed(factors):
        u = _scaled(u, slope) @ weight.mT
    return u.square().sum(-1)


def _scaled(x: Tensor, slope: Tensor | None) -> Tensor:
    return x if slope is None else x * slope


def _with_scaled_columns(matrices: Tensor, slope: Tensor | None) -> Tensor:
    return matrices if slope is None else matrices * slope[:, :, None]
