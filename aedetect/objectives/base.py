"""What an objective is; by itself, plain reconstruction."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, ClassVar, dataclass_transform

import torch
from torch import Tensor, nn

from ..networks.base import Network
from ..networks.layers import Coder
from ..params import Params, Record, is_ours
from .errors import ERRORS, Error

Weight = float | Tensor  # (K, 1) where the models of a stack differ


@dataclass_transform(eq_default=False, frozen_default=True)
@dataclass(frozen=True, eq=False)
class Objective(Record):
    """Rebuild rows: the loss of a row is the mean error over its observed columns.

    An objective is a handful of numbers and pure functions of a network and rows, for K models at
    once. A variant, a frozen dataclass like this one without being decorated, adds fields, whose
    values come from the estimator's parameters of the same names, and overrides what its equation
    changes. All randomness comes from `draw`.

    Attributes
    ----------
    criterion : str
        Name of the error of a rebuilt value.
    gaps : bool
        Whether rows that are learned from have missing values.
    heads : int
        Class attribute: how many times as wide as a code the encoder's output is.
    rebuilds : bool
        Class attribute: whether the decoder's output is the row.
    free : tuple of str
        Class attribute: fields in which models of a stack may differ. `loss` finds tensors (K, 1)
        in those that are numbers.
    """

    criterion: str = "squared_error"
    gaps: bool = True

    heads: ClassVar[int] = 1
    rebuilds: ClassVar[bool] = True
    free: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True, eq=False)(cls)

    def draw(self, x: Tensor, latent_dim: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Arguments of `loss` for one model: its rows (n, d) first, then whatever is random."""
        return (x,)

    def loss(self, net: Coder, x: Tensor) -> Tensor:
        """Loss (K, n) of each row of a batch (K, n, d)."""
        return self.row_error(net.decode(net.encode(x)), x)

    def at(self, epoch: int) -> "Objective":
        """Return the objective of an epoch, counted from 0. Held-out rows are judged by `self`."""
        return self

    def codes(self, net: Coder, x: Tensor) -> Tensor:
        """Codes (K, n, latent_dim) of rows, without randomness."""
        return net.encode(x)

    def rebuilt(self, net: Coder, x: Tensor) -> Tensor:
        """Rebuilt rows, without randomness."""
        return net.decode(self.codes(net, x))

    def row_scores(self, net: Coder, x: Tensor) -> Tensor | None:
        """How anomalous each row is (K, n), where that is not the error of the rebuilt row."""
        return None

    def parameters(
        self, n_features: int, latent_dim: int, generators: Sequence[torch.Generator]
    ) -> dict[str, Tensor]:
        """Parameters learned besides the network's, by name, each with an axis of K models."""
        return {}

    def check(self, network: Network) -> None:
        """Raise for an unsuitable network."""
        output = getattr(network, "output_activation", "identity")
        if self.criterion == "binary_cross_entropy" and output != "sigmoid":
            raise ValueError(
                f"loss='binary_cross_entropy' needs outputs in (0, 1), which network={network!r} "
                "does not promise; set network=Dense(..., output_activation='sigmoid')."
            )

    def derives_in_rows(self, net: Coder) -> bool:
        """Whether `loss` takes derivatives with respect to the rows."""
        return False

    @property
    def allows_identity(self) -> bool:
        """Whether a network that copies its input attains the lowest possible loss."""
        return True

    @property
    def is_known(self) -> bool:
        """Whether a step runs only this package's code, the same every time."""
        return is_ours(self)

    @property
    def settings(self) -> str:
        """Parameters of its parts, which callbacks may set in place."""
        parts = [getattr(self, field.name) for field in fields(self)]
        return repr([vars(part) for part in parts if isinstance(part, Params)])

    @property
    def error(self) -> Error:
        return ERRORS[self.criterion]

    def row_error(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Mean error over the observed columns."""
        if not self.gaps:
            return self.error.of(x_hat, x).mean(-1)
        return self.observed_error(x_hat, x).sum(-1) / self.n_observed(x)

    def observed_error(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Error of each value, 0 with a gradient of 0 where `x` is missing."""
        if not self.gaps:
            return self.error.of(x_hat, x)
        observed = ~x.isnan()
        return self.error.of(x_hat, torch.where(observed, x, x_hat.detach())) * observed

    def n_observed(self, x: Tensor) -> Tensor | int:
        return (~x.isnan()).sum(-1) if self.gaps else x.shape[-1]


def stacked(objectives: Sequence[Objective], device: torch.device) -> Objective:
    """Return the objective of K models: numbers in which they differ are tensors (K, 1)."""
    first, changes = objectives[0], dict[str, Any]()
    for name in first.free:
        values = [getattr(objective, name) for objective in objectives]
        if all(isinstance(value, Real) for value in values) and len(set(values)) > 1:
            column = torch.tensor([[float(value)] for value in values], dtype=torch.float32)
            changes[name] = column.to(device)
    gaps = any(objective.gaps for objective in objectives)
    return replace(first, gaps=gaps, **changes) if changes or gaps != first.gaps else first


def draw_all(
    objectives: Sequence[Objective],
    x: Tensor,
    latent_dim: int,
    generators: Sequence[torch.Generator],
) -> Sequence[Tensor]:
    """What the loss of K models takes for a batch (K, n, d)."""
    drawn = [
        objective.draw(rows, latent_dim, generator)
        for objective, rows, generator in zip(objectives, x, generators, strict=True)
    ]
    return [torch.stack(parts) for parts in zip(*drawn, strict=True)]


def build(
    network: Network,
    objective: Objective,
    n_features: int,
    latent_dim: int,
    generators: Sequence[torch.Generator],
) -> Coder:
    """Return the module of K models, with the objective's own parameters."""
    objective.check(network)
    heads = {} if objective.heads == 1 else {"heads": objective.heads}
    net = network.build(n_features, latent_dim, generators, **heads)
    if not isinstance(net, Coder):
        raise TypeError(
            f"{type(network).__name__}.build returned a {type(net).__name__}; expected a Coder, "
            "with `encode` and `decode`."
        )
    for name, value in objective.parameters(n_features, latent_dim, generators).items():
        net.register_parameter(name, nn.Parameter(value))
    return net
