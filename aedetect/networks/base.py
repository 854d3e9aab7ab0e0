"""What a network is: a description of layers that can be built."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from ..params import Params
from .layers import Coder


class Network(Params):
    """Description of a network. A new kind overrides `build`.

    Buffers that a state dict would hold, such as the running means of batch norm, are learned like
    parameters. Models of such a network are trained one after another, not as a stack. Rows that
    `early_stopping` holds out are judged by ``net.eval()``, as rows are scored.

    Attributes
    ----------
    replayable : bool, default=False
        Class attribute: a promise that every training step runs the same operations, whatever the
        numbers. Small networks then train several times faster. Dropout, batch norm and buffers
        that are changed in place keep the promise; counting steps in Python, looking at values or
        drawing outside torch breaks it. Training checks: at the third batch of a size, and after 1,
        2, 4, 8, ... more, it also computes the step afresh and compares loss, gradient, buffers and
        generators. A network that breaks the promise gets a warning, and from then on is trained
        like any other. A change that shows only between these checks, through a count kept outside
        the network's modules for instance, goes unnoticed.
    """

    replayable: ClassVar[bool] = False

    def build(
        self,
        n_features: int,
        latent_dim: int,
        generators: Sequence[torch.Generator],
        heads: int = 1,
    ) -> Coder:
        """Return the module that encodes and decodes for ``len(generators)`` models.

        Parameters
        ----------
        n_features, latent_dim : int
            Width of a row and of a code.
        generators : sequence of K torch.Generator
            Each draws the initial weights of one model.
        heads : int, default=1
            The encoder's output is this many times as wide as a code; a variational autoencoder
            needs two.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how it is built.")

    def as_rows(self, X: np.ndarray) -> np.ndarray:
        """Return images or windows (n, ...) as rows (n, n_features)."""
        return X.reshape(len(X), -1)

    def from_rows(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Undo `as_rows`, for an input of the given shape."""
        return rows.reshape(shape)
