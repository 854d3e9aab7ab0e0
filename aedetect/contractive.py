"""Contractive autoencoder: the code should hardly move when the row does."""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ._jacobian import (
    factors_of,
    has_known_slopes,
    jacobian_norm,
    norm_of_product,
    pullback,
    row_times_product,
)
from ._params import NotNegative
from ._training import normal, per_model
from .autoencoder import Autoencoder, Generators
from .networks import Coder


class ContractiveAutoencoder(Autoencoder):
    """Autoencoder whose encoder is flat: nearby rows get nearby codes.

    The loss of a row is ``error(x_hat, x) + contraction * ||dz/dx||^2``, the squared Frobenius norm
    of the encoder's Jacobian. Reconstruction needs the directions along the data; the penalty
    flattens all others (Rifai et al., 2011).

    Parameters
    ----------
    contraction : float, default=0.01
        Weight of the penalty; 0 is the plain `Autoencoder`.
    jacobian : {"exact", "hutchinson"}, default="exact"
        How the norm is found. Exact costs one backward pass a unit of the code. Hutchinson's
        estimate costs one in all: with random u of covariance I, E ||u' dz/dx||^2 is the norm.

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

    _per_model = ("contraction",)

    def _loss(self, net: Coder, x: Tensor, generators: Generators) -> Tensor:
        if has_known_slopes(net):
            factors, z = factors_of(net, x)
            if self.jacobian == "exact":
                norm = norm_of_product(factors)
            else:
                norm = row_times_product(per_model(normal, z, generators), factors)
            return self._row_error(net.decode(z), x) + self.contraction * norm
        with torch.enable_grad():  # the penalty is a derivative, on held-out rows too
            x = x.detach().requires_grad_()
            z = net.encode(x)
            if self.jacobian == "exact":
                norm = jacobian_norm(z, x)
            else:
                norm = pullback(z, x, per_model(normal, z, generators)).square().sum(-1)
            return self._row_error(net.decode(z), x.detach()) + self.contraction * norm

    def _derives_in_rows(self, net: Coder) -> bool:
        return not has_known_slopes(net)

    def _warn_if_identity(self, n_features: int) -> None:
        if self.contraction == 0:
            super()._warn_if_identity(n_features)

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
        x = torch.from_numpy(self._frame.enter(self._validate(X)))[None].requires_grad_()
        with torch.enable_grad():
            return jacobian_norm(self._net.encode(x), x).detach()[0].double().numpy()
