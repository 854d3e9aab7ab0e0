"""Denoising autoencoder: rebuild the clean row from a corrupted one."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from ..models.frame import Frame
from ..networks.layers import Coder
from ..objectives.base import Objective, Weight
from ..objectives.corruption import Corruption, GaussianNoise
from ..params import NotNegative, check, is_ours
from ..rows.inputs import readable
from .autoencoder import Autoencoder


class Denoising(Objective):
    """``error(decode(encode(x~)), x) + sparsity * mean_j |z_j|``, x~ a corruption of x.

    Attributes
    ----------
    frame : Frame
        Leads to the data's units, which corruptions know.
    column_means : ndarray of shape (n_features,)
        Where a value is missing.
    paired : bool
        Whether rows come as (clean, corrupted), side by side, and nothing is drawn.
    """

    corruption: Corruption | Callable[..., Any] | None = None
    sparsity: Weight = 0.0
    frame: Frame | None = None
    column_means: np.ndarray | None = None
    paired: bool = False

    free = ("corruption", "sparsity", "frame", "column_means")

    def draw(self, x: Tensor, latent_dim: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        if self.paired:
            return x.chunk(2, -1)
        mean, scale, means = (unit.to(x) for unit in self._units)
        complete = torch.where(x.isnan(), means, x) if self.gaps else x
        spoiled = (self.corruption or GaussianNoise())(complete * scale + mean, generator)
        if spoiled.shape != x.shape:
            raise ValueError(
                f"corruption={self.corruption!r} made {tuple(spoiled.shape)} of rows "
                f"{tuple(x.shape)}; expected the same shape."
            )
        return x, (spoiled - mean) / scale

    def loss(self, net: Coder, x: Tensor, corrupted: Tensor) -> Tensor:  # type: ignore[override]
        z = net.encode(corrupted)
        return self.row_error(net.decode(z), x) + self.sparsity * z.abs().mean(-1)

    @cached_property
    def _units(self) -> list[Tensor]:
        """Mean and scale of the frame, and the column means in it."""
        assert self.frame is not None
        assert self.column_means is not None
        means = self.frame.enter(self.column_means[None])[0]
        return [*(torch.as_tensor(u).float() for u in (self.frame.mean, self.frame.scale)), means]

    @property
    def is_known(self) -> bool:
        return super().is_known and (self.corruption is None or is_ours(self.corruption))

    @property
    def allows_identity(self) -> bool:
        return False  # which does not undo noise


class DenoisingAutoencoder(Autoencoder):
    """Autoencoder that is trained to rebuild clean rows from corrupted ones.

    The loss of a row is ``error(decode(encode(x~)), x) + sparsity * mean_j |z_j|`` with a new draw
    of x~ from ``corruption`` for every batch. Undoing noise means moving towards regions where rows
    are common, so even an over-complete network does not learn the identity (Vincent et al., 2008;
    Alain & Bengio, 2014). Rows are not corrupted in scoring.

    Parameters
    ----------
    corruption : Corruption or callable, default=None
        ``corruption(x, generator)`` returns the corrupted rows (n, n_features) of a batch, in the
        data's units, and draws only from the given ``torch.Generator``. None means `GaussianNoise`
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

    objective = Denoising
    _corrupted: ClassVar[Any] = None

    def fit(self, X: Any, y: Any = None, *, X_corrupted: Any = None) -> Self:
        """Learn to undo a corruption.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Clean training rows.
        y : ignored
            Not used for learning, but passed to callbacks that compute scores.
        X_corrupted : array-like of shape (n_samples, n_features), optional
            Corrupted versions of the same rows, used instead of ``corruption``.

        Returns
        -------
        self
        """
        self.__dict__["_corrupted"] = X_corrupted  # for the time of this call
        try:
            return super().fit(X, y)
        finally:
            self.__dict__.pop("_corrupted")

    def _check_params(self) -> Self:
        super()._check_params()
        if isinstance(self.corruption, Corruption):
            check(self.corruption)
        return self

    def _of_rows(self, X: np.ndarray, frame: Frame, means: np.ndarray) -> dict[str, Any]:
        return {"frame": frame, "column_means": means, "paired": self._corrupted is not None}

    def _network_rows(self, X: np.ndarray, frame: Frame) -> Tensor:
        rows = super()._network_rows(X, frame)
        if self._corrupted is None:
            return rows
        pairs = self._validate(self._corrupted)
        if len(pairs) != len(X):
            raise ValueError(f"X_corrupted has {len(pairs)} rows, X has {len(X)}; expected pairs.")
        return torch.cat([rows, super()._network_rows(pairs, frame)], dim=1)

    def denoise(self, X: Any) -> np.ndarray:
        """Remove noise from rows; an alias of `reconstruct`.

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
        """Displacement of each row towards regions where rows are common.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            ``reconstruct(X) - X``; for small noise, it is proportional to the gradient of the
            logarithmic density.
        """
        return self.reconstruct(X) - np.asarray(readable(X))
