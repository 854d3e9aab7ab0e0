"""Networks: small descriptions of layers, and the modules they build, K models at a time."""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional, init

from ._params import Count, Params

FLOAT32: Any = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are set to

NARROW = 32  # columns

ActivationName = Literal["relu", "silu", "elu", "tanh", "sigmoid", "identity"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "silu": functional.silu,
    "elu": functional.elu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}

# Slopes of the activations, as functions of their outputs, where that is possible; None is 1.
SLOPES: dict[str, Callable[[Tensor], Tensor | None]] = {
    "relu": lambda h: h.detach().sign(),
    "elu": lambda h: torch.where(h > 0, 1, h + 1),
    "tanh": lambda h: 1 - h.square(),
    "sigmoid": lambda h: h * (1 - h),
    "identity": lambda _: None,
}

# Gain of the initial weights: He et al. (2015) for the rectifiers, Glorot & Bengio (2010) for the
# others; a sigmoid's slope is 1/4 at 0, so its gain is 4 (an eight-layer net stalls otherwise).
GAINS = {
    "relu": math.sqrt(2),
    "silu": math.sqrt(2),
    "elu": math.sqrt(2),
    "tanh": 5 / 3,
    "sigmoid": 4,
}


class Affine(nn.Module):
    """K affine maps and an activation: ``activation(x W + b)``.

    Attributes
    ----------
    weight : Parameter of shape (K, n_in + bias, n_out)
        The last of the n_in + 1 rows is the bias, as if x ended in a constant 1.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        n_in: int,
        n_out: int,
        activation: str,
        bias: bool,
    ) -> None:
        super().__init__()
        self.n_in, self.bias, self.activation = n_in, bias, activation
        self.weight = nn.Parameter(torch.zeros((len(generators), n_in + bias, n_out), **FLOAT32))
        gain = GAINS.get(activation, 1.0)
        for weight, generator in zip(self.weight.data, generators, strict=True):
            init.xavier_uniform_(weight[:n_in], gain, generator)

    def forward(self, x: Tensor) -> Tensor:
        maps = _maps(self)
        return ACTIVATIONS[self.activation](maps(x, self.weight[:, : self.n_in], self.offset))

    @property
    def offset(self) -> Tensor | None:
        """The bias (K, 1, n_out), or None."""
        return self.weight[:, -1:] if self.bias else None


class TransposedAffine(nn.Module):
    """The affine map back through a layer's own weights: ``activation(z W' + c)``."""

    def __init__(self, mirrored: Affine, activation: str) -> None:
        super().__init__()
        self.activation = activation
        self.weight = mirrored.weight  # the same storage, counted once
        k, n_in = len(mirrored.weight), mirrored.n_in
        self.offset = nn.Parameter(torch.zeros((k, 1, n_in), **FLOAT32)) if mirrored.bias else None
        self.n_out = n_in

    def forward(self, z: Tensor) -> Tensor:
        maps = _maps(self)
        return ACTIVATIONS[self.activation](maps(z, self.weight[:, : self.n_out].mT, self.offset))


def _maps(layer: nn.Module) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    return _affine if layer.training else _affine_alike


def _affine(x: Tensor, weight: Tensor, offset: Tensor | None) -> Tensor:
    """Return x W + b for x (K, n, n_in)."""
    if len(weight) == 1:  # faster than a batch of one
        wx = x[0] @ weight[0] if offset is None else torch.addmm(offset[0], x[0], weight[0])
        return wx[None]
    return torch.bmm(x, weight) if offset is None else torch.baddbmm(offset, x, weight)


def _affine_alike(x: Tensor, weight: Tensor, offset: Tensor | None) -> Tensor:
    """Return x W + b as it is found in scoring."""
    return product(x, weight) if offset is None else product(x, weight) + offset


def product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x W for x (K, n, n_in), in which equal rows are rounded alike.

    BLAS may round a row of a narrow product by its place among the others, of a wide one it won't.
    """
    return (x @ widened(weight))[..., : weight.shape[-1]]


def widened(weight: Tensor) -> Tensor:
    """Fill a narrow matrix up to 16 or 32 columns, with zeros."""
    width = weight.shape[-1]
    return functional.pad(weight, (0, -width % 16)) if width < NARROW else weight


class Coder(nn.Module):
    """K autoencoders side by side: what a network builds and an objective uses.

    Attributes
    ----------
    column_means : Tensor of shape (n_features,)
        In the network's frame; they stand in for missing values.
    """

    column_means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("column_means", torch.zeros((), **FLOAT32), persistent=False)

    def fill(self, x: Tensor) -> Tensor:
        """Put the column mean where a value is missing."""
        if x.sum().isfinite():  # far quicker than to look at each value
            return x
        return self.put_means(x)

    def put_means(self, x: Tensor) -> Tensor:
        """Do what `fill` does, without a look at whether there is anything to do."""
        return torch.where(x.isnan(), self.column_means, x)

    def encode(self, x: Tensor) -> Tensor:
        """Codes (K, n, latent_dim) of rows (K, n, n_features), which may have gaps (NaN)."""
        raise NotImplementedError(f"{type(self).__name__} must say how it encodes.")

    def decode(self, z: Tensor) -> Tensor:
        """Rows (K, n, n_features) rebuilt from codes (K, n, latent_dim)."""
        raise NotImplementedError(f"{type(self).__name__} must say how it decodes.")


class Layered(Coder):
    """Layers down to the code, layers up.

    Attributes
    ----------
    encoder, decoder : Sequential
        Rows (K, n, n_features) to codes (K, n, latent_dim), and back.
    """

    def __init__(self, encoder: Sequence[nn.Module], decoder: Sequence[nn.Module]) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)

    def encode(self, x: Tensor) -> Tensor:
        return self.encoder(self.fill(x))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def activations(self, x: Tensor) -> list[Tensor]:
        """Outputs of the encoder's layers, the code last."""
        outputs, x = [], self.fill(x)
        for layer in self.encoder:
            x = layer(x)
            if any(True for _ in layer.parameters()):  # a change of shape is no layer
                outputs.append(x)
        return outputs


class Network(Params):
    """Description of a network. A new kind overrides `build`.

    Attributes
    ----------
    replayable : bool, default=False
        Class attribute: a promise that the network does the same at every step of training, but for
        its numbers. Small networks train several times faster then. Dropout, batch norm and buffers
        that are changed in place keep the promise; what counts steps in Python, looks at values or
        draws outside torch breaks it. Training compares: at the third batch of a size, and after 1,
        2, 4, 8, ... more, it does the step anew as well and looks at loss, gradient, buffers and
        generators. A network that is found out gets a warning, and is trained like any other from
        there on. What changes between these batches alone, by a count kept outside the network's
        modules for instance, is not seen.
    """

    replayable: ClassVar[bool] = False

    def build(
        self,
        n_features: int,
        latent_dim: int,
        generators: Sequence[torch.Generator],
        heads: int = 1,
    ) -> Coder:
        """Return the module that encodes and decodes for ``len(generators)`` models.

        Parameters
        ----------
        n_features, latent_dim : int
            Width of a row and of a code.
        generators : sequence of K torch.Generator
            Each draws the initial weights of one model.
        heads : int, default=1
            The encoder's output is this many times as wide as a code; a variational autoencoder
            asks for two.
        """
        raise NotImplementedError(f"{type(self).__name__} must say how it is built.")

    def as_rows(self, X: np.ndarray) -> np.ndarray:
        """Return images or windows (n, ...) as rows (n, n_features)."""
        return X.reshape(len(X), -1)

    def from_rows(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Undo `as_rows`, for an input of the given shape."""
        return rows.reshape(shape)


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
        if self.output_activation == "identity":  # begin near the mean row: learning only gains
            up[-1].weight.data.mul_(0.1)
        return Layered(down, up)

    def _layers(
        self, widths: tuple[int, ...], last: str, generators: Sequence[torch.Generator]
    ) -> list[Affine]:
        """Affine maps from width to width: hidden activations between, `last` at the end."""
        activations = [self.activation] * (len(widths) - 2) + [last]
        return [
            Affine(generators, n_in, n_out, activation, self.bias)
            for n_in, n_out, activation in zip(widths, widths[1:], activations, strict=False)
        ]


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
    return network._check_params()
