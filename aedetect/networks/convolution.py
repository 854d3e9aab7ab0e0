"""Convolutional networks for images and series, K models at a time."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional, init

from ..params import Count
from .activations import ACTIVATIONS, ActivationName
from .base import Network
from .layers import FLOAT32, Affine, Layered


class _Reshape(nn.Module):
    """Reshape the axes after (K, n)."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], *self.shape)


class _Convolution(nn.Module):
    """K convolutions with stride 2 down, or transposed up, and an activation.

    The K models are the groups of one grouped convolution.

    Attributes
    ----------
    weight : Parameter of shape (K, channels out, channels in, *kernel)
        Transposed: (K, channels in, channels out, *kernel).
    offset : Parameter of shape (K, channels out)
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        n_in: int,
        n_out: int,
        kernel: tuple[int, ...],
        activation: str,
        size: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.activation, self.size = activation, size  # a size to reach makes it transposed
        k, fan = len(generators), math.prod(kernel)
        shape = (n_out, n_in) if size is None else (n_in, n_out)
        self.weight = nn.Parameter(torch.empty((k, *shape, *kernel), **FLOAT32))
        self.offset = nn.Parameter(torch.zeros((k, n_out), **FLOAT32))
        bound = ACTIVATIONS[activation].gain * math.sqrt(6 / (fan * (n_in + n_out)))
        if size is not None:
            bound *= 2 ** (len(kernel) / 2)  # only every second tap meets a value, along each axis
        for weight, generator in zip(self.weight.data, generators, strict=True):
            init.uniform_(weight, -bound, bound, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (K, n, channels, *size) to the same with other channels and size."""
        k, n = x.shape[:2]
        grouped = x.transpose(0, 1).reshape(n, -1, *x.shape[3:])  # (n, K channels, *size)
        weight, offset = self.weight.flatten(0, 1), self.offset.flatten()
        padding = [(side - 1) // 2 for side in self.weight.shape[3:]]
        if self.size is None:
            convolve = _DOWN[len(padding)]
            y = convolve(grouped, weight, offset, 2, padding, 1, k)
        else:
            sides = zip(self.size, x.shape[3:], strict=True)
            extra = [wanted - (2 * given - 1) for wanted, given in sides]
            y = _UP[len(padding)](grouped, weight, offset, 2, padding, extra, k)
        y = ACTIVATIONS[self.activation].function(y)
        return y.view(n, k, -1, *y.shape[2:]).transpose(0, 1)


_DOWN: dict[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d}
_UP: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
}


class _Convolutional(Network):
    """What `Conv1d` and `Conv2d` share: halve each side, widen the channels, and back."""

    _axes: ClassVar[int]

    shape: tuple[Count, ...]
    channels: tuple[Count, ...] = (16, 32)
    kernel_size: Count = 3
    activation: ActivationName = "relu"
    code_activation: ActivationName = "identity"
    output_activation: ActivationName = "identity"

    def build(
        self,
        n_features: int,
        latent_dim: int,
        generators: Sequence[torch.Generator],
        heads: int = 1,
    ) -> Layered:
        self._check_shape(n_features)
        sizes = [tuple(self.shape[1:])]
        for _ in self.channels:
            sizes.append(tuple((side + 1) // 2 for side in sizes[-1]))
        channels = (self.shape[0], *self.channels)
        flat = channels[-1] * math.prod(sizes[-1])
        kernel = (self.kernel_size,) * self._axes
        down = [
            _Convolution(generators, n_in, n_out, kernel, self.activation)
            for n_in, n_out in itertools.pairwise(channels)
        ]
        activations = [self.activation] * (len(down) - 1) + [self.output_activation]
        up = [
            _Convolution(generators, n_in, n_out, kernel, activation, size)
            for n_in, n_out, activation, size in zip(
                channels[:0:-1], channels[-2::-1], activations, sizes[-2::-1], strict=True
            )
        ]
        if self.output_activation == "identity":  # start near the mean row
            up[-1].weight.data.mul_(0.1)
        code = Affine(generators, flat, heads * latent_dim, self.code_activation, bias=True)
        back = Affine(generators, latent_dim, flat, self.activation, bias=True)
        return Layered(
            [_Reshape(*self.shape), *down, _Reshape(flat), code],
            [back, _Reshape(channels[-1], *sizes[-1]), *up, _Reshape(n_features)],
        )

    def as_rows(self, X: np.ndarray) -> np.ndarray:
        self._check_axes()
        if X.shape[1:] == tuple(self.shape):
            self._refuse_last()
        if self._channels_last(X.shape):
            X = np.moveaxis(X, -1, 1)
        elif X.shape[1:] != tuple(self.shape) and (1, *X.shape[1:]) != tuple(self.shape):
            first, last = tuple(self.shape), (*self.shape[1:], self.shape[0])
            raise ValueError(
                f"An item of X has shape {X.shape[1:]}; {type(self).__name__}(shape={first}) takes "
                f"rows, {first} or {last}."
            )
        return np.ascontiguousarray(X).reshape(len(X), -1)

    def from_rows(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if self._channels_last(shape):
            return np.moveaxis(rows.reshape(len(rows), *self.shape), 1, -1)
        return rows.reshape(shape)

    def _channels_last(self, shape: tuple[int, ...]) -> bool:
        channels, *sides = self.shape
        return shape[1:] == (*sides, channels) != tuple(self.shape)

    def _check_axes(self) -> None:
        if len(self.shape) != 1 + self._axes:
            raise ValueError(
                f"{type(self).__name__}(shape={tuple(self.shape)}); expected channels and "
                f"{self._axes} side(s)."
            )

    def _refuse_last(self) -> None:
        """Raise if items of exactly this shape look as if their channels came last."""
        channels, *sides, last = self.shape
        if last <= 4 < min([channels, *sides]):
            raise ValueError(
                f"{type(self).__name__}(shape={tuple(self.shape)}) is {channels} channels of "
                f"{' x '.join(map(str, (*sides, last)))}; the channels come first. Set "
                f"shape={(last, channels, *sides)}, or pass rows."
            )

    def _check_shape(self, n_features: int) -> None:
        self._check_axes()
        name = f"{type(self).__name__}(shape={tuple(self.shape)})"
        if math.prod(self.shape) != n_features:
            raise ValueError(
                f"{name} holds {math.prod(self.shape)} values, X has {n_features} features."
            )
        if not self.channels:
            raise ValueError(f"{type(self).__name__}: channels=() leaves nothing to convolve.")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"{type(self).__name__}: kernel_size={self.kernel_size} must be odd.")


class Conv2d(_Convolutional):
    """Convolutions for images: each layer halves height and width, the decoder doubles them.

    A row holds an image's values channel by channel, each line by line; arrays of images
    (n, channels, height, width), (n, height, width, channels), or (n, height, width) for one
    channel, are accepted too, and rebuilt images have the same layout. Sides may be odd.

    Parameters
    ----------
    shape : tuple of three int
        Channels, height and width of an image.
    channels : tuple of int, default=(16, 32)
        Width of each layer of the encoder; its length is the number of halvings.
    kernel_size : int, default=3
        Side of a filter, odd.
    activation, code_activation, output_activation : str
        As in `Dense`.

    References
    ----------
    Masci, Meier, Ciresan & Schmidhuber, "Stacked convolutional auto-encoders", 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import Autoencoder, Conv2d
    >>> X = load_digits().data[:100]
    >>> model = Autoencoder(latent_dim=4, network=Conv2d(shape=(1, 8, 8)), epochs=9)
    >>> model.fit(X).transform(X).shape
    (100, 4)
    """

    _axes = 2


class Conv1d(_Convolutional):
    """Convolutions for series: each layer halves the length, the decoder doubles it.

    A row holds a window channel by channel, each in order of time; arrays of windows
    (n, length, channels) are accepted too, and rebuilt windows have the same layout. The length may
    be odd.

    Parameters
    ----------
    shape : tuple of two int
        Channels and length of a window.
    channels : tuple of int, default=(16, 32)
        Width of each layer of the encoder; its length is the number of halvings.
    kernel_size : int, default=3
        Length of a filter, odd.
    activation, code_activation, output_activation : str
        As in `Dense`.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import Autoencoder, Conv1d
    >>> X = np.sin(np.arange(50)[:, None] + np.linspace(0, 6, 40))
    >>> model = Autoencoder(latent_dim=2, network=Conv1d(shape=(1, 40)), epochs=20, random_state=0)
    >>> model.fit(X).reconstruct(X).shape
    (50, 40)
    """

    _axes = 1
