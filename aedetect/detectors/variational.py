"""Variational autoencoder: codes are distributions, kept close to a standard normal one."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional

from ..chance import normal, seeded
from ..networks.base import Network
from ..networks.layers import FLOAT32, Coder
from ..objectives.base import Objective, Weight
from ..params import Count, NotNegative, Range
from .autoencoder import Autoencoder
from .posterior import PosteriorTools, divergences


class Variational(Objective):
    """``(-log p(x|z) + beta * KL(q(z|x) || N(0, I))) / n_features``, z drawn from q(z|x)."""

    beta: Weight = 1.0
    warmup: int = 0
    variance: str = "fixed"
    score_method: str = "reconstruction"
    n_draws: int = 16

    heads = 2
    free = ("beta",)

    def draw(self, x: Tensor, latent_dim: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        return x, normal(x.new_empty(len(x), latent_dim), generator)

    def loss(self, net: Coder, x: Tensor, e: Tensor) -> Tensor:  # type: ignore[override]
        mean, log_variance = self.posterior(net, x)
        z = torch.addcmul(mean, (log_variance / 2).exp(), e)
        bound = self.surprise(net, z, x) + self.beta * divergences(mean, log_variance).sum(-1)
        return bound / self.n_observed(x)

    def at(self, epoch: int) -> Objective:
        warmth = min(1.0, (epoch + 1) / max(self.warmup, 1))
        return self if warmth == 1 else replace(self, beta=self.beta * warmth)

    def posterior(self, net: Coder, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each (K, n, latent_dim)."""
        mean, log_variance = net.encode(x).chunk(2, -1)
        return mean, functional.hardtanh(log_variance, -12, 12)

    def codes(self, net: Coder, x: Tensor) -> Tensor:
        return self.posterior(net, x)[0]

    def surprise(self, net: Coder, z: Tensor, x: Tensor) -> Tensor:
        """-log p(x|z) (K, n), summed over columns."""
        x_hat = net.decode(z)
        if self.variance == "fixed":
            return self.observed_error(x_hat, x).sum(-1)
        log_variance = net.get_parameter("log_noise").clamp(-12, 12)
        squares = self.observed_error(x_hat, x) * (-log_variance).exp()
        constants = (log_variance + math.log(2 * math.pi)) * ~x.isnan()
        return 0.5 * (squares + constants).sum(-1)

    def parameters(
        self, n_features: int, latent_dim: int, generators: Sequence[torch.Generator]
    ) -> dict[str, Tensor]:
        if self.variance == "fixed":
            return {}
        return {"log_noise": torch.zeros((len(generators), 1, n_features), **FLOAT32)}

    def check(self, network: Network) -> None:
        super().check(network)
        if self.variance == "learned" and self.criterion != "squared_error":
            raise ValueError(
                f"variance='learned' belongs to loss='squared_error', not loss={self.criterion!r}."
            )

    def row_scores(self, net: Coder, x: Tensor) -> Tensor | None:
        """Negative bound or expected surprise a column, over draws that are the same for all."""
        if self.score_method == "reconstruction":
            return None
        ours = replace(self, gaps=True)  # other rows may have some
        mean, log_variance = self.posterior(net, x)
        draws = _draws(self.n_draws, mean.shape[-1])
        z = mean[0] + (log_variance[0] / 2).exp() * draws  # (draws, n, latent_dim)
        surprise = torch.stack([ours.surprise(net, one[None], x) for one in z]).mean(0)
        if self.score_method == "elbo":
            surprise = surprise + self.beta * divergences(mean, log_variance).sum(-1)
        return surprise.double() / (~x.isnan()).sum(-1)


@lru_cache
def _draws(n: int, width: int) -> Tensor:
    """Standard normal values (n, 1, width), the same each time."""
    with torch.inference_mode(False):
        return torch.randn((n, 1, width), generator=seeded(0), **FLOAT32)


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
        Mean KL term of each unit over at most 1,000 training rows, in nats. A unit below 0.01
        carries no information about the row; if all are, the posterior has collapsed, and `fit`
        warns.

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

    objective = Variational
    _shaping = (*Autoencoder._shaping, "variance")
