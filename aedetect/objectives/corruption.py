"""Corruptions: ways to spoil a row that a denoising autoencoder learns to undo."""

import math
from abc import ABC, abstractmethod
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from ..chance import normal
from ..params import Count, NotNegative, Params, Range

Share = Annotated[float, Range(0, 1)]


class Corruption(Params, ABC):
    """Base of corruptions: called with rows (n, d) in the data's units and a generator."""

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return corrupted rows of the same shape."""


def _uniform(x: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.empty(x.shape, dtype=x.dtype, device="cpu")
    return drawn.uniform_(generator=generator).to(x.device)


class GaussianNoise(Corruption):
    """Add normal noise (Vincent et al., 2008).

    Parameters
    ----------
    scale : float, default=0.5
        Its standard deviation, in the data's unit.

    Examples
    --------
    >>> import torch
    >>> from aedetect import GaussianNoise
    >>> GaussianNoise(scale=0.1)(torch.zeros(2, 3), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """

    scale: NotNegative = 0.5

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x + self.scale * normal(x, generator)


class MaskingNoise(Corruption):
    """Set values to zero, each with the same probability.

    A dropout mask that does not rescale: kept values stay as they are (``torch.nn.Dropout``
    multiplies them by 1 / (1 - rate)).

    Parameters
    ----------
    rate : float, default=0.3
        Share of values set to zero.

    Examples
    --------
    >>> import torch
    >>> from aedetect import MaskingNoise
    >>> MaskingNoise(rate=1.0)(torch.ones(1, 2), torch.Generator())
    tensor([[0., 0.]])
    """

    rate: Share = 0.3

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x * (_uniform(x, generator) >= self.rate)


class SaltAndPepper(Corruption):
    """Set values to the batch's smallest or largest one, with equal chance.

    Parameters
    ----------
    rate : float, default=0.1
        Share of values set.

    Examples
    --------
    >>> import torch
    >>> from aedetect import SaltAndPepper
    >>> x = torch.tensor([[0.0, 0.4, 1.0]])
    >>> bool((SaltAndPepper(rate=1.0)(x, torch.Generator()) != 0.4).all())
    True
    """

    rate: Share = 0.1

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        u = _uniform(x, generator)
        return torch.where(u < self.rate / 2, x.min(), torch.where(u < self.rate, x.max(), x))


class SwapNoise(Corruption):
    """Replace values by the same column's value in another row of the batch.

    Keeps each column's distribution and breaks the dependence between columns.

    Parameters
    ----------
    rate : float, default=0.15
        Share of values replaced.

    Examples
    --------
    >>> import torch
    >>> from aedetect import SwapNoise
    >>> x = torch.arange(6.0).reshape(3, 2)
    >>> swapped = SwapNoise(rate=1.0)(x, torch.Generator().manual_seed(0))
    >>> bool(torch.isin(swapped[:, 0], x[:, 0]).all())
    True
    """

    rate: Share = 0.15

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        other = torch.randint(len(x), x.shape, generator=generator).to(x.device)
        return torch.where(_uniform(x, generator) < self.rate, x.gather(0, other), x)


class _ImageCorruption(Corruption):
    """Base of corruptions that treat a row as an image.

    Parameters
    ----------
    shape : tuple of three int
        Channels, height and width.
    """

    shape: tuple[Count, ...]

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if len(self.shape) != 3 or math.prod(self.shape) != x.shape[1]:
            raise ValueError(
                f"{type(self).__name__}: shape={self.shape} holds {math.prod(self.shape)} values "
                f"(channels, height, width), rows have {x.shape[1]}."
            )
        return self._spoil(x.reshape(-1, *self.shape), generator).reshape(x.shape)

    @abstractmethod
    def _spoil(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return corrupted images (n, channels, height, width)."""


class Downsample(_ImageCorruption):
    """Average blocks of pixels, and enlarge again by bicubic interpolation.

    Parameters
    ----------
    shape : tuple of three int
        Channels, height and width of an image.
    factor : int, default=2
        Side of a block.

    Examples
    --------
    >>> import torch
    >>> from aedetect import Downsample
    >>> Downsample(shape=(1, 4, 4))(torch.ones(1, 16), torch.Generator()).unique()
    tensor([1.])
    """

    factor: Count = 2

    def _spoil(self, images: Tensor, generator: torch.Generator) -> Tensor:
        small = functional.avg_pool2d(images, self.factor, ceil_mode=True)
        return functional.interpolate(
            small, size=images.shape[2:], mode="bicubic", align_corners=False
        )


class Grayscale(_ImageCorruption):
    """Replace each channel by the mean over channels.

    Parameters
    ----------
    shape : tuple of three int
        Channels, height and width of an image.

    Examples
    --------
    >>> import torch
    >>> from aedetect import Grayscale
    >>> Grayscale(shape=(2, 1, 1))(torch.tensor([[0.0, 1.0]]), torch.Generator())
    tensor([[0.5000, 0.5000]])
    """

    def _spoil(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return images.mean(1, keepdim=True).expand_as(images)


class Patch(_ImageCorruption):
    """Cover a square at a random place with the image's mean value.

    Parameters
    ----------
    shape : tuple of three int
        Channels, height and width of an image.
    size : int, default=4
        Side of the square.

    Examples
    --------
    >>> import torch
    >>> from aedetect import Patch
    >>> x = torch.arange(16.0)[None]
    >>> int((Patch(shape=(1, 4, 4), size=2)(x, torch.Generator()) != x).sum())
    4
    """

    size: Count = 4

    def _spoil(self, images: Tensor, generator: torch.Generator) -> Tensor:
        n, _, height, width = images.shape
        covered = images.new_ones(n, 1, 1, 1, dtype=torch.bool)
        for axis, side in ((2, height), (3, width)):
            start = torch.randint(max(side - self.size, 0) + 1, (n,), generator=generator)
            place = torch.arange(side)
            inside = (place >= start[:, None]) & (place < start[:, None] + self.size)
            shape = (n, 1, side, 1) if axis == 2 else (n, 1, 1, side)
            covered = covered & inside.view(shape).to(images.device)
        return torch.where(covered, images.mean((1, 2, 3), keepdim=True), images)
