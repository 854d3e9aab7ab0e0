"""A trained autoencoder: the description of its network, and weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..chance import seeded
from ..networks.base import Network
from ..networks.layers import Coder, Layered, put_buffers
from ..objectives.base import Objective, build
from ..objectives.errors import ERRORS
from ..training.by_hand import Forward, serves
from .base import Model, refuse_shapes, refuse_unless_positive
from .frame import FAR, Frame


@dataclass(frozen=True, eq=False)
class TrainedModel(Model):
    """What training leaves of one model.

    Attributes
    ----------
    network : Network
    objective : Objective
    frame : Frame
    column_means : ndarray of shape (n_features,)
        They stand in for missing values.
    width : int
        Of a code.
    weights : dict of str to ndarray
        And persistent buffers, of networks that have some.
    """

    network: Network
    objective: Objective
    frame: Frame
    column_means: np.ndarray
    width: int
    weights: dict[str, np.ndarray]

    @property
    def latent_dim(self) -> int:
        return self.width

    @cached_property
    def net(self) -> Coder:
        """The module that `weights` describes; for one model, K = 1."""
        with torch.inference_mode(False):
            return self.new_net().eval()

    def check(self, n_features: int) -> None:
        """Compare the weights' shapes with those of a stack of zero networks, which is free."""
        vectors = {"mean": self.frame.mean, "column_means": self.column_means}
        refuse_shapes(**{name: (vector, (n_features,)) for name, vector in vectors.items()})
        refuse_unless_positive(scale=self.frame.scale)
        if self.objective.criterion not in ERRORS:
            raise ValueError(f"no error is named {self.objective.criterion!r}")
        widths = [v for v in vars(self.network).values() if isinstance(v, tuple | list)]
        if max(map(len, widths), default=0) > len(self.weights) + 3:  # an image's shape is short
            raise ValueError(f"more layers than the {len(self.weights)} arrays of weights")
        net = build(self.network, self.objective, n_features, self.width, [])
        expected = {name: tuple(p.shape[1:]) for name, p in net.named_parameters()}
        if expected.keys() != self.weights.keys():
            raise ValueError(f"weights are {sorted(self.weights)}; expected {sorted(expected)}")
        refuse_shapes(**{n: (self.weights[n], shape) for n, shape in expected.items()})
        if any(weight.dtype != np.float32 for weight in self.weights.values()):
            raise ValueError("weights are of float32")
        if not all(np.isfinite(weight).all() for weight in self.weights.values()):
            raise ValueError("weights are not finite")

    def new_net(self) -> Coder:
        net = build(self.network, self.objective, len(self.column_means), self.width, [seeded(0)])
        net.column_means = self.frame.enter(self.column_means[None])[None]
        for name, parameter in net.named_parameters():
            parameter.data = torch.tensor(self.weights[name])[None]
        put_buffers(net, self.weights)
        return net

    @cached_property
    def _forward(self) -> Forward | None:
        """Plain dense layers in the way that rebuilds rows fastest."""
        kind = type(self.objective)
        plain = kind.codes is Objective.codes and kind.rebuilt is Objective.rebuilt
        net = self.net
        return Forward(net) if plain and isinstance(net, Layered) and serves(net) else None

    @cached_property
    def bounded(self) -> bool:
        return self.objective.criterion == "binary_cross_entropy"

    def release(self) -> None:
        if (forward := self.__dict__.get("_forward")) is not None:
            forward.release()

    @cached_property
    def _error(self) -> Callable[[Tensor, Tensor], Tensor]:
        return ERRORS[self.objective.criterion].of

    @cached_property
    def _scores_by_error(self) -> bool:
        return type(self.objective).row_scores is Objective.row_scores

    @cached_property
    def unit(self) -> float:
        """Value of an error of 1 in the network's frame in the data's unit."""
        return float(self.frame.scale ** ERRORS[self.objective.criterion].degree)

    def of_rows(self, function: Callable[[Coder, Tensor], Tensor], X: np.ndarray) -> np.ndarray:
        """Result of a function of the network and rows (1, n, d), in float64."""
        with torch.inference_mode():
            return function(self.net, self.frame.enter(X)[None])[0].double().numpy()

    def codes(self, X: np.ndarray) -> np.ndarray:
        return self.of_rows(self.objective.codes, X)

    def rows(self, Z: np.ndarray) -> np.ndarray:
        z = torch.from_numpy(Z.clip(-FAR, FAR).astype(np.float32, copy=False))
        with torch.inference_mode():
            return self.frame.leave(self.net.decode(z[None])[0].double().numpy())

    def errors(self, X: np.ndarray) -> np.ndarray:
        x = self.frame.enter(X)
        with torch.inference_mode():
            errors = self._errors(x)
            if not errors.sum().isfinite():
                errors = self._errors(x, gaps=True)
            return errors.double().numpy() * self.unit

    def row_errors(self, X: np.ndarray) -> np.ndarray:
        x = self.frame.enter(X)
        with torch.inference_mode():
            if not self._scores_by_error:
                scores = self.objective.row_scores(self.net, x[None])
                if scores is not None:
                    return scores[0].double().numpy()
            total = self._errors(x).sum(-1, dtype=torch.float64)
            if total.sum().isfinite():
                return (total / x.shape[-1]).numpy() * self.unit
            observed = ~x.isnan()
            errors = torch.where(observed, self._errors(x, gaps=True), 0)
            return (errors.sum(-1, dtype=torch.float64) / observed.sum(-1)).numpy() * self.unit

    def mean_errors(self, rebuilt: Sequence[np.ndarray], X: np.ndarray) -> list[float]:
        """Mean error of rows that were rebuilt in several ways."""
        x_hats, x = self.frame.enter(np.stack(rebuilt)), self.frame.enter(X)
        errors = (self._error(x_hat, x).nanmean(dtype=torch.float64) for x_hat in x_hats)
        return [float(error) * self.unit for error in errors]

    def _errors(self, x: Tensor, gaps: bool = False) -> Tensor:
        """Error of each value of rows (n, d) in the frame; NaN where one is missing.

        Without `gaps`, rows that have some may come out as NaN altogether.
        """
        if self._forward is None:
            return self._error(self.objective.rebuilt(self.net, x[None])[0], x)
        complete = self.net.put_means(x[None])[0] if gaps else x
        return self._error(self._forward(complete), x)
