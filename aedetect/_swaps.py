"""A network that is told which values of a row were swapped for another row's, and learns why."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .autoencoder import Autoencoder, Generators
from .networks import Coder

LEAST, MOST = 0.05, 0.5  # share of a row's values that are swapped
NOISE = 0.3  # standard deviation of what is added to them


class SwapDetector(Autoencoder):
    """Network of an autoencoder's shape whose outputs say how likely each value was swapped.

    In training, each row has a share of its values replaced by those of other rows, with noise;
    the loss is the cross-entropy of telling which (in the manner of Clark et al., 2020, "ELECTRA").
    What does not go with the rest of its row is told apart by what holds between columns, which
    distances do not see.
    """

    _min_features = 1

    def _start(self, X: np.ndarray) -> None:
        """Keep 0 where it is: the usual value of a column that has one."""
        super()._start(X)
        self.mean_, self.scale_ = np.zeros(X.shape[1]), 1.0

    def _loss(self, net: Coder, x: Tensor, generators: Generators) -> Tensor:
        spoiled, swapped = zip(*map(self._swap, x, generators), strict=True)
        logits = net.decode(net.encode(torch.stack(spoiled)))
        told = torch.stack(swapped)
        return functional.binary_cross_entropy_with_logits(logits, told, reduction="none").mean(-1)

    def _swap(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Rows (n, d) with values from other rows, and 1 where that is so."""
        n, d = x.shape
        donors = torch.empty((n, d), dtype=torch.int64).random_(n, generator=generator)
        noise = torch.empty_like(x).normal_(0, NOISE, generator=generator)
        share = torch.empty_like(x[:, :1]).uniform_(LEAST, MOST, generator=generator)
        swapped = torch.empty_like(x).uniform_(generator=generator) < share
        return torch.where(swapped, x.gather(0, donors) + noise, x), swapped.to(x)

    def logits(self, X: np.ndarray) -> np.ndarray:
        """How swapped each value looks, (n, d); X is float and complete."""
        return self._apply(lambda x: net_out(self._net, x), self._frame.enter(X))

    def _row_errors(self, X: np.ndarray) -> np.ndarray:
        return self.logits(X).sum(axis=1)

    def _set_threshold(self, X: np.ndarray) -> None:
        """None is needed."""

    def _warn_if_identity(self, n_features: int) -> None:
        """Nothing is rebuilt."""

    def _did_it_learn(self, *_: Any) -> None:
        """Nothing is rebuilt."""


def net_out(net: Coder, x: Tensor) -> Tensor:
    """Decoded codes."""
    return net.decode(net.encode(x))
