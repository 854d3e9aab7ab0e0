"""Fully connected networks."""

from collections.abc import Sequence

import torch

from ..params import Count, check
from .activations import ActivationName
from .base import Network
from .layers import Affine, Layered, TransposedAffine, dense_layers


class Dense(Network):
    """Fully connected layers; the decoder mirrors the encoder.

    Parameters
    ----------
    hidden : tuple of int, default=(64, 32)
        Widths of the encoder's hidden layers; () for a single layer to the code.
    activation : {"relu", "silu", "elu", "tanh", "sigmoid", "identity"}, default="relu"
        Of the hidden layers.
    code_activation : same names, default="identity"
        Of the code.
    output_activation : same names, default="identity"
        Of the rebuilt row: "sigmoid" for data in [0, 1], "tanh" for data in [-1, 1].
    bias : bool, default=True
        Whether layers have an offset. Without one (and without the centring that goes with it) a
        linear autoencoder finds the uncentred singular vectors instead of PCA's axes.

    Examples
    --------
    >>> from aedetect.networks import Dense
    >>> Dense(hidden=(16,), activation="tanh")
    Dense(activation='tanh', hidden=(16,))
    """

    hidden: tuple[Count, ...] = (64, 32)
    activation: ActivationName = "relu"
    code_activation: ActivationName = "identity"
    output_activation: ActivationName = "identity"
    bias: bool = True

    def build(
        self,
        n_features: int,
        latent_dim: int,
        generators: Sequence[torch.Generator],
        heads: int = 1,
    ) -> Layered:
        widths = (n_features, *self.hidden, heads * latent_dim)
        down = self._layers(widths, self.code_activation, generators)
        widths = (latent_dim, *self.hidden[::-1], n_features)
        up = self._layers(widths, self.output_activation, generators)
        if self.output_activation == "identity":  # start near the mean row and improve
            up[-1].weight.data.mul_(0.1)
        return Layered(down, up)

    def _layers(
        self, widths: tuple[int, ...], last: str, generators: Sequence[torch.Generator]
    ) -> list[Affine]:
        """Affine maps from width to width: hidden activations between, `last` at the end."""
        activations = [self.activation] * (len(widths) - 2) + [last]
        return dense_layers(generators, widths, activations, self.bias)


class Tied(Dense):
    """Fully connected layers whose decoder uses the encoder's weights, transposed.

    Half the weights of `Dense`. With ``hidden=()``, the default here, and identity activations
    it learns PCA's subspace and an orthogonal weight matrix (Baldi & Hornik, 1989).

    Parameters
    ----------
    hidden : tuple of int, default=()
        Widths of the encoder's hidden layers.
    activation, code_activation, output_activation, bias
        As in `Dense`.

    Examples
    --------
    >>> from aedetect.networks import Tied
    >>> Tied(hidden=(16,))
    Tied(hidden=(16,))
    """

    hidden: tuple[Count, ...] = ()

    def build(
        self,
        n_features: int,
        latent_dim: int,
        generators: Sequence[torch.Generator],
        heads: int = 1,
    ) -> Layered:
        if heads > 1:
            raise ValueError(
                "Tied's decoder is its encoder turned round, which an encoder with two outputs "
                "(mean and variance) does not allow; set network=Dense(...)."
            )
        widths = (n_features, *self.hidden, latent_dim)
        down = self._layers(widths, self.code_activation, generators)
        activations = [*[self.activation] * len(self.hidden), self.output_activation]
        up = [
            TransposedAffine(layer, activation)
            for layer, activation in zip(down[::-1], activations, strict=True)
        ]
        return Layered(down, up)


def as_network(network: Network | Sequence[int]) -> Network:
    """Return a checked network; a tuple of widths means `Dense`."""
    network = network if isinstance(network, Network) else Dense(hidden=tuple(network))
    return check(network)
