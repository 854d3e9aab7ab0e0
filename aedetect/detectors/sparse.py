"""Sparse autoencoder: few units of the code may be active at a time."""

import math
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from ..models.scores import in_blocks
from ..networks.base import Network
from ..networks.layers import Coder, Layered
from ..objectives.base import Objective, Weight
from ..params import NotNegative, Range
from .autoencoder import Autoencoder

ACTIVE = 1e-3  # a unit beyond this counts as active


class Sparse(Objective):
    """``error(x_hat, x) + sparsity * S(z)``, of the code or of all layers of the encoder."""

    penalty: str = "l1"
    sparsity: Weight = 0.1
    target_activation: float = 0.05
    layers: str = "code"

    free = ("sparsity",)

    def loss(self, net: Coder, x: Tensor) -> Tensor:
        activations = self.penalised(net, x)
        error = self.row_error(net.decode(activations[-1]), x)
        return error + self.sparsity * sum(map(self._penalty, activations))

    def penalised(self, net: Coder, x: Tensor) -> list[Tensor]:
        """Return the activations (K, n, units) that are to be few, the code last."""
        if self.layers == "code":
            return [net.encode(x)]
        if not isinstance(net, Layered):
            raise TypeError(
                f"layers='hidden' penalises the layers of a Layered network; the network built is "
                f"a {type(net).__name__}. Set layers='code'."
            )
        return [activation.flatten(2) for activation in net.activations(x)]

    def _penalty(self, z: Tensor) -> Tensor:
        return z.abs().mean(-1) if self.penalty == "l1" else self.divergence(z.mean(-2, True))

    def divergence(self, rate: Tensor) -> Tensor:
        """KL(rho || rate) of Bernoulli variables, summed over units: cross-entropy - entropy."""
        rho, rate = self.target_activation, rate.clamp(1e-6, 1 - 1e-6)
        entropy = -rho * math.log(rho) - (1 - rho) * math.log(1 - rho)
        return (-rho * rate.log() - (1 - rho) * torch.log1p(-rate) - entropy).sum(-1)

    def check(self, network: Network) -> None:
        super().check(network)
        wanted = ["code_activation", *(["activation"] if self.layers == "hidden" else [])]
        for name in wanted if self.penalty == "kl" else []:
            if (given := getattr(network, name, None)) != "sigmoid":
                raise ValueError(
                    f"penalty='kl' compares activations with a rate, so they must lie in (0, 1); "
                    f"the network's {name} is {given!r}, set {name}='sigmoid'."
                )

    @property
    def allows_identity(self) -> bool:
        return bool(self.sparsity == 0)


class SparseAutoencoder(Autoencoder):
    """Autoencoder whose activations are kept few, so that the code may be wide.

    The loss of a row is ``error(x_hat, x) + sparsity * S(z)`` with one of two penalties:

    - "l1": S = mean_j |z_j|;
    - "kl": S = sum_j KL(rho || rho_j) between Bernoulli variables, where rho_j is the mean
      activation of unit j over the batch and rho the target (Ng, 2011).

    Both act on the code, or on all layers of the encoder.

    Parameters
    ----------
    penalty : {"l1", "kl"}, default="l1"
        "kl" needs activations that are rates: ``Dense(code_activation="sigmoid")``.
    sparsity : float, default=0.1
        Weight of the penalty; 0 is the plain `Autoencoder`.
    target_activation : float, default=0.05
        The rate rho that "kl" pulls each unit to.
    layers : {"code", "hidden"}, default="code"
        Penalise the code alone, or the hidden layers of the encoder too.

    Attributes
    ----------
    activation_rates_ : ndarray of shape (latent_dim_,)
        Mean size of each unit of the code over the training rows.
    active_share_ : float
        Share of units whose size exceeds 0.001, over the training rows: the L0 "norm" of the code,
        which has no gradient and is only reported.

    See Also
    --------
    Autoencoder : The other parameters, attributes and methods.

    References
    ----------
    Olshausen & Field, 1996; Ng, "Sparse autoencoder", CS294A lecture notes, 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import Dense, SparseAutoencoder
    >>> X = load_digits().data[:200]
    >>> network = Dense(hidden=(), code_activation="relu")
    >>> model = SparseAutoencoder(latent_dim=100, network=network, epochs=20, random_state=0).fit(X)
    >>> model.active_share_ < 0.5
    True
    """

    penalty: Literal["l1", "kl"] = "l1"
    sparsity: NotNegative = 0.1
    target_activation: Annotated[float, Range(0.001, 0.999)] = 0.05
    layers: Literal["code", "hidden"] = "code"

    objective = Sparse

    def _after_training(self, X: np.ndarray) -> None:
        codes = np.abs(in_blocks(self.model_, self.model_.codes, X))
        self.activation_rates_ = codes.mean(axis=0)
        self.active_share_ = float((codes > ACTIVE).mean())
