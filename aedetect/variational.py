"""Variational autoencoder: codes are distributions, kept close to a standard normal one."""

import math
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ._params import Count, NotNegative, Range
from ._posterior import PosteriorTools, divergences
from ._training import normal, per_model, seeded
from .autoencoder import Generators
from .networks import FLOAT32, Coder


class VariationalAutoencoder(PosteriorTools):
    """Autoencoder with a probabilistic code (Kingma & Welling, 2014; beta: Higgins et al., 2017).

    The encoder gives a normal distribution q(z|x) with mean m and variance v; the loss of a row is
    ``(-log p(x|z) + beta * KL(q(z|x) || N(0, I))) / n_features`` with z = m + sqrt(v) * e and e
    drawn anew for every batch. -log p is the sum of the loss over columns, in the network's frame:
    for the squared error a normal distribution of variance 1/2 (constants left out).

    Parameters
    ----------
    beta : float, default=1
        Weight of the KL term. 0 gives narrow posteriors, far from each other.
    warmup : int, default=0
        Epochs over which the weight rises from 0 to `beta`.
    variance : {"fixed", "learned"}, default="fixed"
        "learned" fits a variance for each column, with the squared error; p(x|z) is then normal
        with all its constants.
    score_method : {"reconstruction", "elbo", "reconstruction_probability"}, \
            default="reconstruction"
        What scores a row: the error of decoding m; the evidence lower bound; or the expected
        log p(x|z) (An & Cho, 2015). The last two average over fixed draws, the same for every row,
        and are divided by the number of columns.
    n_draws : int, default=16
        Number of those draws.

    Attributes
    ----------
    unit_divergences_ : ndarray of shape (latent_dim_,)
        Mean KL term of each unit over at most 1,000 training rows, in nats; a unit below 0.01 tells
        nothing of the row, and where all are, the posterior has collapsed, which warns.

    See Also
    --------
    Autoencoder : The other parameters, attributes and methods.

    References
    ----------
    Kingma & Welling, "Auto-encoding variational Bayes", 2014; Higgins et al., "beta-VAE", 2017;
    An & Cho, "Variational autoencoder based anomaly detection using reconstruction probability",
    2015.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import VariationalAutoencoder
    >>> X = load_digits().data[:200] / 16
    >>> model = VariationalAutoencoder(latent_dim=4, epochs=20, random_state=0).fit(X)
    >>> model.sample(3, random_state=0).shape
    (3, 64)
    """

    beta: NotNegative = 1.0
    warmup: Annotated[int, Range(0)] = 0
    variance: Literal["fixed", "learned"] = "fixed"
    score_method: Literal["reconstruction", "elbo", "reconstruction_probability"] = "reconstruction"
    n_draws: Count = 16

    _shaping = (*PosteriorTools._shaping, "variance")
    _per_model = ("beta",)

    def _loss(self, net: Coder, x: Tensor, generators: Generators) -> Tensor:
        mean, log_variance = self._posterior(net, x)
        z = torch.addcmul(mean, (log_variance / 2).exp(), per_model(normal, mean, generators))
        bound = self._surprise(net, z, x) + self._weight * divergences(mean, log_variance).sum(-1)
        return bound / self._n_observed(x)

    def _posterior(self, net: Coder, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = net.encode(x).chunk(2, -1)
        return mean, functional.hardtanh(log_variance, -12, 12)

    def _codes(self, net: Coder, x: Tensor) -> Tensor:
        return self._posterior(net, x)[0]

    def _surprise(self, net: Coder, z: Tensor, x: Tensor) -> Tensor:
        x_hat = net.decode(z)
        if not hasattr(net, "log_noise"):
            return self._observed_error(x_hat, x).sum(-1)
        log_variance = net.get_parameter("log_noise").clamp(-12, 12)
        squares = self._observed_error(x_hat, x) * (-log_variance).exp()
        constants = (log_variance + math.log(2 * math.pi)) * ~x.isnan()
        return 0.5 * (squares + constants).sum(-1)

    @property
    def _weight(self) -> float:
        """Weight of the KL term in the current epoch; held-out rows get the full weight."""
        if not torch.is_grad_enabled():
            return self.beta
        return self.beta * self._warmth

    @property
    def _warmth(self) -> float:
        """How much of the KL term counts by now, from 0 to 1."""
        return min(1.0, (self._epochs_done + 1) / max(self.warmup, 1))

    @property
    def _phase(self) -> object:
        return super()._phase, self._warmth

    def _build(self, n_features: int, latent_dim: int, generators: Generators) -> Coder:
        net = self.network_.build(n_features, latent_dim, generators, heads=2)
        fitted = getattr(self, "weights_", None)
        if self.variance == "learned" if fitted is None else "log_noise" in fitted:
            if self.loss_ != "squared_error":
                raise ValueError(
                    f"variance='learned' belongs to loss='squared_error', not loss={self.loss!r}."
                )
            net.log_noise = nn.Parameter(torch.zeros((len(generators), 1, n_features), **FLOAT32))
        return net

    def _row_errors(self, X: np.ndarray) -> np.ndarray:
        if self.score_method == "reconstruction":
            return super()._row_errors(X)
        return self._apply(self._bound, self._frame.enter(X))

    def _bound(self, x: Tensor) -> Tensor:
        """Negative bound or expected surprise a column, over draws that are the same for all."""
        mean, log_variance = self._posterior(self._net, x)
        draws = torch.randn((self.n_draws, 1, mean.shape[-1]), generator=seeded(0), **FLOAT32)
        z = mean[0] + (log_variance[0] / 2).exp() * draws  # (draws, n, latent_dim)
        surprise = torch.stack([self._surprise(self._net, one[None], x) for one in z]).mean(0)
        if self.score_method == "elbo":
            surprise = surprise + self.beta * divergences(mean, log_variance).sum(-1)
        return surprise.double() / (~x.isnan()).sum(-1)
