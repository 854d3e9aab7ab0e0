"""Swaps: a network learns to tell which values of a row come from another row."""

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.layers import Coder
from .base import Objective

LEAST, MOST = 0.05, 0.5  # share of a row's values that are swapped
NOISE = 0.3  # standard deviation of the noise added to them


class Swapping(Objective):
    """The network's outputs are the log-odds that each value was swapped.

    In training, a share of each row's values is replaced by values from other rows, with noise, and
    the loss is the cross-entropy of detecting them, as in ELECTRA (Clark et al., 2020). The network
    thus learns relations between columns, and finds values that do not fit the rest of their row
    even where distances are inconspicuous.
    """

    rebuilds = False

    def draw(self, x: Tensor, latent_dim: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Rows (n, d) with values from other rows, and 1 where a value was swapped, else 0."""
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
