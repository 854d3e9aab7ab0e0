"""Variational autoencoder: codes are distributions, kept close to a standard normal one."""

import math
from typing import Annotated, Any, Literal

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ._detector import in_chunks
from ._params import Count, NotNegative, Range
from ._training import normal, per_model, seeded
from .autoencoder import Autoencoder, Generators
from .networks import FLOAT32, Coder


class VariationalAutoencoder(Autoencoder):
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

    See Also
    --------
    Autoencoder : The other parameters, attributes and methods.

    References
    ----------
    Kingma & Welling, "Auto-encoding variational Bayes", 2014; Higgins et al., "beta-VAE", 2017;
    An & Cho, "Variational autoencoder based anomaly detection using reconstruction probability",
    2015; Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", 2016.

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

    def _loss(self, net: Coder, x: Tensor, generators: Generators) -> Tensor:
        mean, log_variance = self._posterior(net, x)
        z = mean + (log_variance / 2).exp() * per_model(normal, mean, generators)
        bound = self._surprise(net, z, x) + self._weight * divergence(mean, log_variance)
        return bound / (~x.isnan()).sum(-1)

    def _posterior(self, net: Coder, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithmic variance of q(z|x), each (K, n, latent_dim)."""
        mean, log_variance = net.encode(x).chunk(2, -1)
        return mean, log_variance.clamp(-12, 12)

    def _codes(self, net: Coder, x: Tensor) -> Tensor:
        return self._posterior(net, x)[0]

    def _surprise(self, net: Coder, z: Tensor, x: Tensor) -> Tensor:
        """-log p(x|z) summed over columns."""
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
        return self.beta * min(1.0, (len(self.loss_curve_) + 1) / max(self.warmup, 1))

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
            surprise = surprise + self.beta * divergence(mean, log_variance)
        return surprise.double() / (~x.isnan()).sum(-1)

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the code's distribution.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        mean : ndarray of shape (n_samples, latent_dim_)
            What `transform` returns.
        deviation : ndarray of shape (n_samples, latent_dim_)
            Narrow where the code is certain.
        """

        def both(x: Tensor) -> Tensor:
            mean, log_variance = self._posterior(self._net, x)
            return torch.cat([mean, (log_variance / 2).exp()], dim=-1)

        X = self._validate(X)
        result = in_chunks(lambda block: self._apply(both, self._frame.enter(block)), X)
        mean, deviation = np.split(result, 2, axis=1)
        return mean, deviation

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """New rows, decoded from N(0, I).

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        z = torch.randn((n_samples, self.latent_dim_), generator=seeded(random_state), **FLOAT32)
        return self.inverse_transform(z.numpy().astype(np.float64))

    def log_likelihood(self, X: Any, n_draws: int = 64, random_state: Any = None) -> np.ndarray:
        """Importance-weighted lower bound of log p(x), at least the evidence lower bound.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        n_draws : int, default=64
            Draws from q(z|x) a row; 1 is an estimate of the evidence lower bound, and more are
            tighter.
        random_state : int, RandomState or None, default=None
            Seed of the draws, which are the same for every row.

        Returns
        -------
        ndarray of shape (n_samples,)
            In nats, in the network's frame; the constants of p(x|z) are left out except with
            ``variance="learned"``.
        """
        check_is_fitted(self)
        draws = torch.randn(
            (n_draws, 1, self.latent_dim_), generator=seeded(random_state), **FLOAT32
        )

        def log_weights(x: Tensor) -> Tensor:
            mean, log_variance = self._posterior(self._net, x)
            weights = []
            for e in draws:
                z = mean + (log_variance / 2).exp() * e
                prior = -0.5 * z.square().sum(-1)
                proposal = -0.5 * (e.square() + log_variance).sum(-1)
                weights.append(prior - proposal - self._surprise(self._net, z, x))
            return torch.stack(weights).double().logsumexp(0) - math.log(n_draws)

        X = self._validate(X)
        return in_chunks(lambda block: self._apply(log_weights, self._frame.enter(block)), X)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)), summed over the last axis."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
