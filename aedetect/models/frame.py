"""The map between the data's units and the network's: centre, and divide by one scale."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..rows.blocks import chunks
from ..rows.linear import ROUNDING, column_means

FAR = 1e15  # in the network's frame: farther than any training row, and not too far for float32


@dataclass(frozen=True)
class Frame:
    """``(x - mean) / scale``, with one scale for all columns.

    The shape of the data does not change, only their origin and their unit do; so columns keep
    their weights, and unscaled data train as well as scaled ones.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
    scale : float
    """

    mean: np.ndarray
    scale: float

    @classmethod
    def identity(cls, n_features: int) -> Self:
        """Leave data as they are, for networks whose outputs have a range of their own."""
        return cls(np.zeros(n_features), 1.0)

    @classmethod
    def of(cls, X: np.ndarray, *, centre: bool) -> Self:
        """Column means, if wanted, and the overall standard deviation; of observed values."""
        mean = column_means(X) if centre else np.zeros(X.shape[1])
        squares = observed = 0.0
        for block in chunks(X):
            squares += np.nansum(_squares(block - mean, mean))
            observed += np.count_nonzero(~np.isnan(block))
        return cls(mean, float(np.sqrt(squares / observed)) or 1.0)

    def enter(self, X: np.ndarray) -> Tensor:
        """Rows in the network's frame, float32; what lies far outside is brought nearer."""
        readable = X.dtype == np.float32 and X.flags.writeable  # torch warns if not
        if readable and self._suits_float32:  # quicker
            x = torch.sub(torch.from_numpy(X), torch.from_numpy(self.mean.astype(np.float32)))
            return x.mul_(1 / self.scale).clamp_(-FAR, FAR)
        if not self._suits_float32:
            X = X.astype(np.float64, copy=False)
        with np.errstate(over="ignore"):
            centred = X - self.mean.astype(X.dtype, copy=False)
            centred *= X.dtype.type(1 / self.scale)
        np.clip(centred, -FAR, FAR, out=centred)
        return torch.from_numpy(centred.astype(np.float32, copy=False))

    @property
    def _suits_float32(self) -> bool:
        """Whether mean and scale are numbers that float32 can tell from 0 and infinity."""
        return 1e-30 < self.scale < 1e30 and np.abs(self.mean).max() < 1e30

    def leave(self, X: np.ndarray) -> np.ndarray:
        """Rows in the data's units, float64."""
        return X * self.scale + self.mean

    def training_rows(self, X: np.ndarray) -> Tensor:
        """All rows in the network's frame; in blocks, since `X` may be of another dtype."""
        return torch.cat([self.enter(block) for block in chunks(X)])


def _squares(centred: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Squared distances from the mean; 0 where they may be rounding errors of a constant column."""
    centred[np.abs(centred) <= ROUNDING * np.abs(mean)] = 0
    return np.square(centred, out=centred)
