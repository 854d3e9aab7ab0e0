"""Contractive autoencoder: the code should hardly move when the row does."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..chance import normal
from ..networks.layers import Coder
from ..objectives.base import Objective, Weight
from ..objectives.jacobian import (
    factors_of,
    has_known_slopes,
    jacobian_norm,
    norm_of_product,
    pullback,
    row_times_product,
)
from ..params import NotNegative
from .autoencoder import Autoencoder


class Contractive(Objective):
    """``error(x_hat, x) + contraction * ||dz/dx||^2``."""

    contraction: Weight = 0.01
    jacobian: str = "exact"

    free = ("contraction",)

    def draw(self, x: Tensor, latent_dim: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        if self.jacobian == "exact":
            return (x,)
        return x, normal(x.new_empty(len(x), latent_dim), generator)

    def loss(self, net: Coder, x: Tensor, u: Tensor | None = None) -> Tensor:
        if has_known_slopes(net):
            factors, z = factors_of(net, x)
            norm = norm_of_product(factors) if u is None else row_times_product(u, factors)
            return self.row_error(net.decode(z), x) + self.contraction * norm
        with torch.enable_grad():  # the penalty is a derivative, on held-out rows too
            x = x.detach().requires_grad_()
            z = net.encode(x)
            norm = jacobian_norm(z, x) if u is None else pullback(z, x, u).square().sum(-1)
            return self.row_error(net.decode(z), x.detach()) + self.contraction * norm

    def derives_in_rows(self, net: Coder) -> bool:
        return not has_known_slopes(net)

    @property
    def allows_identity(self) -> bool:
        return bool(self.contraction == 0)


class ContractiveAutoencoder(Autoencoder):
    """Autoencoder whose encoder is flat: nearby rows get nearby codes.

    The loss of a row is ``error(x_hat, x) + contraction * ||dz/dx||^2``, the squared Frobenius norm
    of the encoder's Jacobian. Reconstruction needs the directions along the data; the penalty
    flattens all others (Rifai et al., 2011).

    Parameters
    ----------
    contraction : float, default=0.01
        Weight of the penalty; 0 gives a plain `Autoencoder`.
    jacobian : {"exact", "hutchinson"}, default="exact"
        How to compute the norm. "exact" needs one backward pass per unit of the code. Hutchinson's
        estimate needs one in all: for random u of covariance I, the norm is E ||u' dz/dx||^2.

    See Also
    --------
    Autoencoder : The other parameters, attributes and methods.

    References
    ----------
    Rifai, Vincent, Muller, Glorot & Bengio, "Contractive auto-encoders", 2011;
    Hutchinson, 1990.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import ContractiveAutoencoder
    >>> X = load_digits().data[:200] / 16
    >>> model = ContractiveAutoencoder(latent_dim=4, epochs=20, random_state=0).fit(X)
    >>> model.jacobian_norms(X).shape
    (200,)
    """

    contraction: NotNegative = 0.01
    jacobian: Literal["exact", "hutchinson"] = "exact"

    objective = Contractive

    def jacobian_norms(self, X: Any) -> np.ndarray:
        """Squared Frobenius norm of the encoder's Jacobian at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            In the network's frame: change of the code for a change of a row by one overall standard
            deviation.
        """
        x = self.model_.frame.enter(self._validate(X))[None].requires_grad_()
        with torch.enable_grad():
            return jacobian_norm(self.model_.net.encode(x), x).detach()[0].double().numpy()
