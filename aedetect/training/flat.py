"""All parameters of K models in one buffer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Flat:
    """All parameters of K models in one buffer, and their gradient in another.

    Attributes
    ----------
    values, gradient : Tensor of shape (K * n_parameters,), or a little more
        Padded to a multiple of 16: kernels may round differently at a ragged end. Parameters of
        which each model has a multiple of 16 come first: BLAS may round by where in memory a matrix
        begins, and so all of these begin alike, in a stack and alone.
    sizes : tuple of int
        Length of each parameter's part of the buffers; a part holds K rows, one a model.
    n_models : int
        K.
    """

    values: Tensor
    gradient: Tensor
    sizes: tuple[int, ...]
    n_models: int

    @classmethod
    def of(cls, net: nn.Module) -> "Flat":
        """Move the parameters of `net`, each (K, ...), into one buffer and leave views of it."""
        parameters = sorted(net.parameters(), key=lambda p: p[0].numel() % 16 > 0)
        sizes = tuple(p.numel() for p in parameters)
        values = parameters[0].new_zeros(-(-sum(sizes) // 16) * 16, requires_grad=False)
        flat = cls(values, torch.zeros_like(values), sizes, len(parameters[0]))
        for p, value, gradient in zip(
            parameters, flat.parts(values), flat.parts(flat.gradient), strict=True
        ):
            value.copy_(p.detach().reshape(-1))
            p.data, p.grad = value.view(p.shape), gradient.view(p.shape)
        return flat

    def parts(self, buffer: Tensor) -> tuple[Tensor, ...]:
        """Return a view for each parameter of a buffer laid out as these."""
        return buffer[: sum(self.sizes)].split(self.sizes)

    def spread(self, of_each_model: Sequence[float]) -> Tensor:
        """Return each model's number in a buffer laid out as these; one, where all are equal."""
        if len(set(of_each_model)) == 1:
            return torch.tensor(of_each_model[0]).to(self.values)
        buffer = torch.zeros_like(self.values)
        numbers = torch.tensor(of_each_model).to(buffer)[:, None]
        for part in self.parts(buffer):
            part.view(self.n_models, -1).copy_(numbers.expand(-1, part.numel() // self.n_models))
        return buffer

    def copy_models(self, source: Tensor, target: Tensor, which: Tensor) -> None:
        """Copy the models marked in the mask `which` (K,) between buffers laid out as these."""
        for a, b in zip(self.parts(source), self.parts(target), strict=True):
            b.view(len(which), -1)[which] = a.view(len(which), -1)[which]
