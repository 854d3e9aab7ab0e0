"""Swaps: a network learns which values of a row were swapped for another row's."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.layers import Coder
from .base import Objective

LEAST, MOST = 0.05, 0.5  # share of a row's values that are swapped
NOISE = 0.3  # standard deviation of what is added to them


@dataclass(frozen=True, eq=False)
class Swapping(Objective):
    """The network's outputs say how likely each value was swapped.

    In training, each row has a share of its values replaced by those of other rows, with noise;
    the loss is the cross-entropy of telling which (in the manner of Clark et al., 2020, "ELECTRA").
    Values that do not go with the rest of their row break the dependence between columns, which
    distances do not see.
    """

    rebuilds = False

    def draw(self, x: Tensor, latent_dim: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Rows (n, d) with values from other rows, and a mask that is 1 at those values."""
        donors = torch.empty(x.shape, dtype=torch.int64).random_(len(x), generator=generator)
        noise = torch.empty_like(x).normal_(0, NOISE, generator=generator)
        share = torch.empty_like(x[:, :1]).uniform_(LEAST, MOST, generator=generator)
        swapped = torch.empty_like(x).uniform_(generator=generator) < share
        return torch.where(swapped, x.gather(0, donors) + noise, x), swapped.to(x)

    def loss(self, net: Coder, x: Tensor, swapped: Tensor) -> Tensor:  # type: ignore[override]
        logits = net.decode(net.encode(x))
        errors = functional.binary_cross_entropy_with_logits(logits, swapped, reduction="none")
        return errors.mean(-1)

    @property
    def allows_identity(self) -> bool:
        return False
