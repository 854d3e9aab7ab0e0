"""Methods of codes that are distributions: moments, sampling, likelihoods."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..chance import seeded
from ..networks.layers import FLOAT32, Coder
from ..params import Count, refuse_unless
from ..rows.blocks import in_chunks
from ..rows.limits import WORST
from ..warn import warn
from .autoencoder import Autoencoder
from .learning import REPORT_ROWS

COLLAPSED = 0.01  # nats; a unit with less is inactive (Burda et al., 2016)


class PosteriorTools(Autoencoder):
    """Methods of an autoencoder with q(z|x) = N(mean, variance), p(x|z) and a prior N(0, I)."""

    def _after_training(self, X: np.ndarray) -> None:
        X = X[:REPORT_ROWS]
        mean, deviation = np.split(self._of_all(self._moments, X), 2, axis=1)
        moments = torch.from_numpy(mean), torch.from_numpy(deviation).log() * 2
        self.unit_divergences_ = divergences(*moments).mean(0).numpy()
        if self.unit_divergences_.max() < COLLAPSED and X.std(axis=0).any():
            warn(
                f"The posterior has collapsed: the KL term of every unit is below {COLLAPSED} "
                "nats, so the code tells nothing of the row. Lower beta, raise warmup, or train "
                "longer.",
            )

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the distribution of each row's code.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        mean : ndarray of shape (n_samples, latent_dim_)
            What `transform` returns.
        deviation : ndarray of shape (n_samples, latent_dim_)
            Small where the code is certain.
        """
        mean, deviation = np.split(self._of_all(self._moments, self._validate(X)), 2, axis=1)
        return mean, deviation

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Sample new rows by decoding draws from N(0, I).

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        refuse_unless(Count, "n_samples", n_samples)
        z = torch.randn((n_samples, self.latent_dim_), generator=seeded(random_state), **FLOAT32)
        return self.inverse_transform(z.numpy().astype(np.float64))

    def log_likelihood(self, X: Any, n_draws: int = 64, random_state: Any = None) -> np.ndarray:
        """Importance-weighted lower bound of log p(x), at least as tight as the ELBO.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        n_draws : int, default=64
            Draws from q(z|x) per row. A single draw estimates the evidence lower bound (ELBO); more
            draws give a tighter bound (Burda, Grosse & Salakhutdinov, 2016).
        random_state : int, RandomState or None, default=None
            Seed of the draws, which are the same for every row.

        Returns
        -------
        ndarray of shape (n_samples,)
            In nats, for rows scaled as in the network; the constants of p(x|z) are left out except
            with ``variance="learned"``. Always finite, like scores.
        """
        check_is_fitted(self)
        refuse_unless(Count, "n_draws", n_draws)
        shape = (n_draws, 1, self.latent_dim_)
        draws = torch.randn(shape, generator=seeded(random_state), **FLOAT32)

        objective: Any = self.model_.objective

        def log_weights(net: Coder, x: Tensor) -> Tensor:
            mean, log_variance = objective.posterior(net, x)
            weights = []
            for e in draws:
                z = mean + (log_variance / 2).exp() * e
                prior = -0.5 * z.square().sum(-1)
                proposal = -0.5 * (e.square() + log_variance).sum(-1)
                weights.append(prior - proposal - objective.surprise(net, z, x))
            return torch.stack(weights).double().logsumexp(0) - math.log(n_draws)

        return np.fmax(self._of_all(log_weights, self._scorable(X)), -WORST)

    def _moments(self, net: Coder, x: Tensor) -> Tensor:
        """Mean and deviation of q(z|x), side by side."""
        objective: Any = self.model_.objective
        mean, log_variance = objective.posterior(net, x)
        return torch.cat([mean, (log_variance / 2).exp()], dim=-1)

    def _of_all(self, function: Callable[[Coder, Tensor], Tensor], X: np.ndarray) -> np.ndarray:
        return in_chunks(lambda block: self.model_.of_rows(function, block), X)


def divergences(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each unit."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
