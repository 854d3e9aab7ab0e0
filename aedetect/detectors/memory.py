"""Memory autoencoder: codes are put together from remembered items of normal data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional, init

from ..networks.layers import FLOAT32, Coder, product
from ..objectives.base import Objective, Weight
from ..params import Count, NotNegative, Positive
from .autoencoder import Autoencoder


class MemoryObjective(Objective):
    """``error(x_hat, x) + entropy * H(w)``; the code is ``sum_i w_i m_i``, of items m_i."""

    n_items: int = 100
    temperature: float = 0.1
    entropy: Weight = 2e-4

    free = ("entropy",)

    def loss(self, net: Coder, x: Tensor) -> Tensor:
        weights, items = self.weights(net, net.encode(x)), net.get_parameter("items")
        x_hat = net.decode(weights @ items)
        return self.row_error(x_hat, x) + self.entropy * entropy(weights)

    def codes(self, net: Coder, x: Tensor) -> Tensor:
        items: Any = net.items
        return product(self.weights(net, net.encode(x)), items)

    def weights(self, net: Coder, z: Tensor) -> Tensor:
        """Share (K, n, n_items) that each item has in a code."""
        items: Any = net.items
        compare = torch.matmul if net.training else product
        cosine = compare(unit_vectors(z), unit_vectors(items).mT)
        logits = cosine / self.temperature
        weights = logits.detach().softmax(-1)
        least = weights.amax(-1, keepdim=True).clamp_max(1 / items.shape[-2])
        return torch.where(weights >= least, logits, -torch.inf).softmax(-1)

    def parameters(
        self, n_features: int, latent_dim: int, generators: Sequence[torch.Generator]
    ) -> dict[str, Tensor]:
        items = torch.empty((len(generators), self.n_items, latent_dim), **FLOAT32)
        for some, generator in zip(items, generators, strict=True):
            init.normal_(some, generator=generator)
        return {"items": items}

    @property
    def allows_identity(self) -> bool:
        return False  # a code made of items cannot follow every row


class MemoryAutoencoder(Autoencoder):
    """Autoencoder whose decoder sees only convex combinations of learned items.

    The code z is compared with items m_1, ..., m_N; the decoder gets ``sum_i w_i m_i`` with
    ``w = softmax(cosine(z, m_i) / temperature)``, where weights below 1 / N are set to 0 and the
    rest rescaled to sum to 1. The loss of a row is ``error(x_hat, x) + entropy * H(w)``, so that
    few items are used. An outlier is rebuilt from normal items, hence badly (Gong et al., 2019).

    Parameters
    ----------
    n_items : int, default=100
        Number of items.
    temperature : float, default=0.1
        Of the softmax; low looks up single items.
    entropy : float, default=0.0002
        Weight of the entropy H(w) of the weights.

    Attributes
    ----------
    items_ : ndarray of shape (n_items, latent_dim_)
        What is remembered.

    See Also
    --------
    Autoencoder : The other parameters, attributes and methods.
    KernelAutoencoder : Remembers the training rows themselves.

    References
    ----------
    Gong et al., "Memorizing normality to detect anomaly", 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import MemoryAutoencoder
    >>> X = load_digits().data[:200] / 16
    >>> model = MemoryAutoencoder(latent_dim=8, n_items=20, epochs=30, random_state=0).fit(X)
    >>> model.items_.shape
    (20, 8)
    """

    n_items: Count = 100
    temperature: Positive = 0.1
    entropy: NotNegative = 2e-4

    objective = MemoryObjective
    _shaping = (*Autoencoder._shaping, "n_items")

    @property
    def items_(self) -> np.ndarray:
        """What is remembered, (n_items, latent_dim_)."""
        return self.weights_["items"]


def entropy(weights: Tensor) -> Tensor:
    """-sum_i w_i log w_i over the last axis.

    Its slope -log w_i - 1 is taken without the 1, which is nothing to weights of constant sum.
    """
    return -(weights * weights.detach().clamp_min(1e-12).log()).sum(-1)


class _UnitVectors(torch.autograd.Function):
    """u = z / |z| and its derivative (g - u u'g) / |z|, in a third of autograd's operations."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(z, dim=-1, keepdim=True).clamp_min(1e-12)
        unit = z / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        unit, length = ctx.saved_tensors
        along = (unit * slope).sum(-1, keepdim=True)
        return torch.addcmul(slope, unit, along, value=-1) / length


def unit_vectors(z: Tensor) -> Tensor:
    """Return z / |z|, over the last axis."""
    if torch.compiler.is_compiling():  # old versions of torch cannot trace the class above
        return functional.normalize(z, dim=-1)
    return _UnitVectors.apply(z)
