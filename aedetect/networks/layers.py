"""Layers of K models side by side, and what is built from them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional, init

from .activations import ACTIVATIONS

FLOAT32: Any = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are set to


NARROW = 32  # columns


class Affine(nn.Module):
    """K affine maps and an activation: ``activation(x W + b)``.

    Attributes
    ----------
    weight : Parameter of shape (K, n_in + bias, n_out)
        The last of the n_in + 1 rows is the bias, as if x ended in a constant 1.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        n_in: int,
        n_out: int,
        activation: str,
        bias: bool,
    ) -> None:
        super().__init__()
        self.n_in, self.bias, self.activation = n_in, bias, activation
        self.weight = nn.Parameter(torch.zeros((len(generators), n_in + bias, n_out), **FLOAT32))
        gain = ACTIVATIONS[activation].gain
        for weight, generator in zip(self.weight.data, generators, strict=True):
            init.xavier_uniform_(weight[:n_in], gain, generator)

    def forward(self, x: Tensor) -> Tensor:
        maps = _maps(self)
        return ACTIVATIONS[self.activation].function(
            maps(x, self.weight[:, : self.n_in], self.offset)
        )

    @property
    def offset(self) -> Tensor | None:
        """The bias (K, 1, n_out), or None."""
        return self.weight[:, -1:] if self.bias else None


class TransposedAffine(nn.Module):
    """The affine map back through a layer's own weights: ``activation(z W' + c)``."""

    def __init__(self, mirrored: Affine, activation: str) -> None:
        super().__init__()
        self.activation = activation
        self.weight = mirrored.weight  # the same storage, counted once
        k, n_in = len(mirrored.weight), mirrored.n_in
        self.offset = nn.Parameter(torch.zeros((k, 1, n_in), **FLOAT32)) if mirrored.bias else None
        self.n_out = n_in

    def forward(self, z: Tensor) -> Tensor:
        maps = _maps(self)
        return ACTIVATIONS[self.activation].function(
            maps(z, self.weight[:, : self.n_out].mT, self.offset)
        )


def _maps(layer: nn.Module) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    return _affine if layer.training else _affine_alike


def _affine(x: Tensor, weight: Tensor, offset: Tensor | None) -> Tensor:
    """Return x W + b for x (K, n, n_in)."""
    if len(weight) == 1:  # faster than a batch of one
        wx = x[0] @ weight[0] if offset is None else torch.addmm(offset[0], x[0], weight[0])
        return wx[None]
    return torch.bmm(x, weight) if offset is None else torch.baddbmm(offset, x, weight)


def _affine_alike(x: Tensor, weight: Tensor, offset: Tensor | None) -> Tensor:
    """Return x W + b as computed in scoring."""
    return product(x, weight) if offset is None else product(x, weight) + offset


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x W for x (K, n, n_in), with equal rows rounded alike.

    In a narrow product, BLAS may round a row according to its position; in a wide one it does not.
    """
    return (x @ widened(weight))[..., : weight.shape[-1]]


def widened(weight: Tensor) -> Tensor:
    """Pad a narrow matrix with zeros to 16 or 32 columns."""
    width = weight.shape[-1]
    return functional.pad(weight, (0, -width % 16)) if width < NARROW else weight


def widened_all(weights: Sequence[Tensor]) -> list[Tensor]:
    """Pad narrow matrices."""
    return [widened(weight) for weight in weights]


class Coder(nn.Module):
    """K autoencoders side by side: what a network builds and an objective uses.

    Attributes
    ----------
    complete : bool
        Whether rows are known to have no gaps.
    column_means : Tensor of shape (n_features,)
        In the network's frame; they stand in for missing values.
    """

    column_means: Tensor
    complete = False

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("column_means", torch.zeros((), **FLOAT32), persistent=False)

    def fill(self, x: Tensor) -> Tensor:
        """Put the column mean where a value is missing."""
        if self.complete or x.sum().isfinite():  # far quicker than checking each value
            return x
        return self.put_means(x)

    def put_means(self, x: Tensor) -> Tensor:
        """Do what `fill` does, without first checking whether anything is missing."""
        return torch.where(x.isnan(), self.column_means, x)

    def encode(self, x: Tensor) -> Tensor:
        """Codes (K, n, latent_dim) of rows (K, n, n_features), which may have gaps (NaN)."""
        raise NotImplementedError(f"{type(self).__name__} must say how it encodes.")

    def decode(self, z: Tensor) -> Tensor:
        """Rows (K, n, n_features) rebuilt from codes (K, n, latent_dim)."""
        raise NotImplementedError(f"{type(self).__name__} must say how it decodes.")


def buffers_of(net: Coder) -> dict[str, Tensor]:
    """What a network keeps beside its parameters, such as running means; those of ours nothing."""
    kept = net.state_dict()
    return {name: buffer for name, buffer in net.named_buffers() if name in kept}


def put_buffers(net: Coder, weights: Mapping[str, np.ndarray]) -> None:
    """Have a network keep what `buffers_of` found."""
    for name, buffer in buffers_of(net).items():
        buffer.data = torch.tensor(weights[name], device=buffer.device)


@contextmanager
def as_in_scoring(net: Coder) -> Iterator[None]:
    """Let dropout and the like be off for a while."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


class Layered(Coder):
    """Layers down to the code, layers up.

    Attributes
    ----------
    encoder, decoder : Sequential
        Rows (K, n, n_features) to codes (K, n, latent_dim), and back.
    """

    def __init__(self, encoder: Sequence[nn.Module], decoder: Sequence[nn.Module]) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(self.fill(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def activations(self, x: Tensor) -> list[Tensor]:
        """Outputs of the encoder's layers, the code last."""
        outputs, x = [], self.fill(x)
        for layer in self.encoder:
            x = layer(x)
            if any(True for _ in layer.parameters()):  # a reshape is not a layer
                outputs.append(x)
        return outputs


def dense_layers(
    generators: Sequence[torch.Generator],
    widths: Sequence[int],
    activations: Sequence[str],
    bias: bool,
) -> list[Affine]:
    """Affine maps from width to width."""
    return [
        Affine(generators, n_in, n_out, activation, bias)
        for n_in, n_out, activation in zip(widths, widths[1:], activations, strict=False)
    ]
