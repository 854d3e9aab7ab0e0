"""Denoising autoencoder: rebuild the clean row from a corrupted one."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from ._inputs import readable
from ._params import NotNegative, is_ours
from ._training import per_model
from .autoencoder import Autoencoder, Generators
from .corruption import Corruption, GaussianNoise
from .networks import Coder


class DenoisingAutoencoder(Autoencoder):
    """Autoencoder that sees corrupted rows in training and is held to the clean ones.

    The loss of a row is ``error(decode(encode(x~)), x) + sparsity * mean_j |z_j|`` with a new draw
    of x~ from ``corruption`` for every batch. Undoing noise means moving towards where rows are
    common, so even an over-complete network does not learn the identity (Vincent et al., 2008;
    Alain & Bengio, 2014). Nothing is corrupted in scoring.

    Parameters
    ----------
    corruption : Corruption or callable, default=None
        ``corruption(x, generator)`` returns the corrupted rows (n, n_features) of a batch, in the
        data's units, drawing only from the ``torch.Generator`` it gets. None is `GaussianNoise`
        with its default scale, which suits standardised columns.
    sparsity : float, default=0
        Weight of an L1 penalty on the code.

    See Also
    --------
    Autoencoder : The other parameters, attributes and methods.

    References
    ----------
    Vincent, Larochelle, Bengio & Manzagol, 2008; Alain & Bengio, "What regularized auto-encoders
    learn from the data-generating distribution", 2014.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import DenoisingAutoencoder, MaskingNoise
    >>> X = load_digits().data[:200]
    >>> model = DenoisingAutoencoder(
    ...     corruption=MaskingNoise(rate=0.3), epochs=20, random_state=0
    ... ).fit(X)
    >>> model.denoise(X).shape
    (200, 64)
    """

    corruption: Corruption | Callable[..., Any] | None = None
    sparsity: NotNegative = 0.0

    _per_model = ("corruption", "sparsity")
    _corrupted: ClassVar[Any] = None

    def _loss(self, net: Coder, x: Tensor, generators: Generators) -> Tensor:
        clean, corrupted = self._pair(net, x, generators)
        z = net.encode(corrupted)
        return self._row_error(net.decode(z), clean) + self.sparsity * z.abs().mean(-1)

    def _pair(self, net: Coder, x: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
        """Clean and corrupted rows, in the network's frame."""
        if x.shape[-1] == 2 * self.n_features_in_:  # the corrupted rows came with the clean ones
            clean, corrupted = x.chunk(2, -1)
            return clean, corrupted
        corrupt: Any = self.corruption  # a list where models of a stack differ
        if isinstance(corrupt, list):
            corrupt = [one or GaussianNoise() for one in corrupt]
        mean, scale = (torch.as_tensor(unit).to(x) for unit in (self.mean_, self.scale_))
        spoiled = per_model(corrupt or GaussianNoise(), net.fill(x) * scale + mean, generators)
        return x, (spoiled - mean) / scale

    def fit(self, X: Any, y: Any = None, *, X_corrupted: Any = None) -> Self:
        """Learn to undo a corruption.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Clean training rows.
        y : ignored
            Nothing is learned from it; callbacks that score get it.
        X_corrupted : array-like of shape (n_samples, n_features), optional
            The same rows, corrupted: used instead of ``corruption``.

        Returns
        -------
        self
        """
        self.__dict__["_corrupted"] = X_corrupted  # for the time of this call
        try:
            return super().fit(X, y)
        finally:
            self.__dict__.pop("_corrupted")

    def _network_rows(self, X: np.ndarray) -> Tensor:
        rows = super()._network_rows(X)
        if self._corrupted is None:
            return rows
        pairs = self._validate(self._corrupted)
        if len(pairs) != len(X):
            raise ValueError(f"X_corrupted has {len(pairs)} rows, X has {len(X)}; expected pairs.")
        return torch.cat([rows, torch.from_numpy(self._frame.training_rows(pairs))], dim=1)

    def _replays(self, net: Coder) -> bool:
        corruptions = self.corruption if isinstance(self.corruption, list) else [self.corruption]
        return all(c is None or is_ours(c) for c in corruptions) and super()._replays(net)

    def _warn_if_identity(self, n_features: int) -> None:
        """Say nothing: the identity does not undo noise."""

    def denoise(self, X: Any) -> np.ndarray:
        """Rows without their noise: another name of `reconstruct`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        return self.reconstruct(X)

    def travel(self, X: Any) -> np.ndarray:
        """Displacement of each row towards where rows are common.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            ``reconstruct(X) - X``; for small noise proportional to the gradient of the logarithmic
            density.
        """
        return self.reconstruct(X) - np.asarray(readable(X))
