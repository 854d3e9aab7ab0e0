"""Fitted models as torch modules without branches, to export as graphs for other runtimes.

A module maps rows (n, d) in float64, NaN for gaps, to what `Model.row_errors` finds, (n,).
"""

from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ..networks.layers import Coder
from ..objectives.errors import ERRORS
from ..rows.limits import LARGEST, WORST
from ..rows.neighbours import SAME
from ..rows.ranks import Ranks
from .base import Model
from .ensemble import EnsembleModel
from .frame import FAR
from .gaussian import GaussianModel
from .kernel import KernelModel
from .linear import LinearModel
from .parts import Memory, Part, Scale, Swaps, Tails
from .surprise import CAUTION, MEMORY, Surprise, SurpriseModel
from .trained import TrainedModel


class Arrays(nn.Module):
    """A module that keeps arrays, and numbers that would lose digits in float32."""

    def __init__(self, **arrays: np.ndarray | float) -> None:
        super().__init__()
        for name, array in arrays.items():
            self.register_buffer(name, torch.as_tensor(np.array(array)))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Decision(Arrays):
    """Score, score minus threshold, and label of each row."""

    def __init__(self, errors: nn.Module, offset: float) -> None:
        super().__init__(offset=offset, largest=LARGEST, worst=WORST)
        self.errors = errors

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        errors = self.errors(X.clamp(-self.largest, self.largest))
        lost = errors.isnan() | X.isnan().all(-1)
        scores = -torch.where(lost, self.worst, errors).clamp_max(self.worst)
        decision = scores - self.offset
        return scores, decision, torch.where(decision >= 0, 1, -1)


@singledispatch
def module_of(model: Model | Part) -> nn.Module:
    """Return the module of a model."""
    raise TypeError(f"there is no graph of a {type(model).__name__}")


def filled(X: Tensor, mean: Tensor) -> Tensor:
    """Put the mean where a value is missing."""
    return torch.where(X.isnan(), mean, X)


def mean_observed(errors: Tensor, X: Tensor) -> Tensor:
    """Mean over the columns of which `X` has a value."""
    observed = ~X.isnan()
    return torch.where(observed, errors, 0).double().sum(-1) / observed.sum(-1)


class TrainedErrors(Arrays):
    """Rows are rebuilt in float32, as by `TrainedModel`."""

    def __init__(self, model: TrainedModel) -> None:
        scale = model.frame.scale
        super().__init__(mean=model.frame.mean, scale=1 / scale, far=FAR, unit=model.unit)
        self.objective = model.objective
        self.error, self.net = ERRORS[model.objective.criterion].of, model.new_net().eval()
        if type(self.net).fill is Coder.fill:  # a graph has no branches
            self.net.fill = self.net.put_means  # type: ignore[method-assign]

    def enter(self, X: Tensor) -> Tensor:
        return ((X - self.mean) * self.scale).clamp(-self.far, self.far).float()

    def forward(self, X: Tensor) -> Tensor:
        x = self.enter(X)
        scores = self.objective.row_scores(self.net, x[None])
        if scores is not None:
            return scores[0].double()
        return mean_observed(self.error(self.rebuilt(x), x), x) * self.unit

    def rebuilt(self, x: Tensor) -> Tensor:
        return self.objective.rebuilt(self.net, x[None])[0]


module_of.register(TrainedModel, TrainedErrors)


class LinearErrors(Arrays):
    """Projection onto axes."""

    def __init__(self, model: LinearModel) -> None:
        super().__init__(mean=model.mean, axes=model.axes)

    def forward(self, X: Tensor) -> Tensor:
        centred = filled(X, self.mean) - self.mean
        rebuilt = centred @ self.axes.mT @ self.axes + self.mean
        return mean_observed((rebuilt - X).square(), X)


module_of.register(LinearModel, LinearErrors)


class GaussianErrors(Arrays):
    """Squares of whitened rows."""

    def __init__(self, model: GaussianModel) -> None:
        axis, other = 1 / np.sqrt(model.variances + model.noise), 1 / np.sqrt(model.noise)
        super().__init__(mean=model.mean, axes=model.axes, less=axis - other, other=other)

    def forward(self, X: Tensor) -> Tensor:
        centred = filled(X, self.mean) - self.mean
        whitened = (centred @ self.axes.mT * self.less) @ self.axes + self.other * centred
        return mean_observed(whitened.square(), X)


module_of.register(GaussianModel, GaussianErrors)


class KernelErrors(Arrays):
    """Weighted means of the nearest items; squared distances are found as in `Neighbours`."""

    def __init__(self, model: KernelModel) -> None:
        centre = np.median(model.items, axis=0)
        super().__init__(
            items=model.items, centre=centre, column_means=model.column_means,
            lengths=np.square(model.items - centre).sum(axis=1), bandwidth=model.bandwidth,
            same=SAME, largest=LARGEST,
        )  # fmt: skip
        self.k = min(model.n_neighbors, len(model.items))

    def forward(self, X: Tensor) -> Tensor:
        return mean_observed(self.squares(X), X)

    def squares(self, X: Tensor) -> Tensor:
        """Squared error of each value."""
        x, n = filled(X, self.column_means), len(self.items)
        far = self.lengths - 2 * (x - self.centre) @ (self.items - self.centre).mT  # less |x|^2
        near = self.items[far.topk(min(self.k + 1, n), largest=False).indices]
        distances = (near - x[:, None]).square().sum(-1).sqrt()
        nearest, order = distances.topk(min(self.k + 1, n), largest=False)
        place = torch.tensor(range(nearest.shape[1]))  # arange would make a node for it
        length = x.square().sum(-1, keepdim=True).sqrt()
        itself = nearest[:, :1] <= self.same * length  # has no weight unless it is alone
        counts = (place >= itself) & (place < self.k + itself) if n > 1 else place >= 0
        logits = (nearest / self.bandwidth).clamp_max(self.largest).square() / -2
        weights = torch.where(counts, logits, -torch.inf).softmax(-1)
        chosen = near.gather(1, order[..., None].expand(-1, -1, X.shape[1]))
        return ((weights[..., None] * chosen).sum(1) - X).square()


module_of.register(KernelModel, KernelErrors)


class EnsembleErrors(Arrays):
    """Errors of members, combined."""

    def __init__(self, model: EnsembleModel) -> None:
        super().__init__(tiny=np.finfo(float).tiny)
        self.columns = [torch.from_numpy(columns) for columns in model.columns]
        self.members = nn.ModuleList([module_of(member) for member in model.members])
        self.aggregation = model.aggregation
        self.ranks = nn.ModuleList([Interpolated(ranks) for ranks in model.ranks])

    def forward(self, X: Tensor) -> Tensor:
        errors, seen = [], []
        for columns, member in zip(self.columns, self.members, strict=True):
            some = X[:, columns]
            error = member(some)
            errors.append(torch.where(error.isnan(), torch.inf, error))
            seen.append(~some.isnan().all(-1))
        return self.combined(torch.stack(errors, 1), torch.stack(seen, 1))

    def combined(self, errors: Tensor, seen: Tensor) -> Tensor:
        """Combine the errors of those members that see a value of the row."""
        n_seen = seen.sum(-1)
        if self.aggregation == "median":
            ascending = torch.where(seen, errors, torch.inf).sort(-1).values
            middle = torch.stack([(n_seen - 1) // 2, n_seen // 2], -1).clamp_min(0)
            return ascending.gather(1, middle).mean(-1)
        if self.aggregation == "rank":
            pairs = zip(self.ranks, errors.unbind(1), strict=True)
            errors = torch.stack([rank(e) for rank, e in pairs], 1)
        elif self.aggregation == "log_mean":
            errors = errors.clamp_min(self.tiny).log()
        return torch.where(seen, errors, 0).sum(-1) / n_seen


module_of.register(EnsembleModel, EnsembleErrors)


def count(ascending: Tensor, values: Tensor, equal: bool = True) -> Tensor:
    """How many numbers of each column, (d, n), are below values (m, d), or equal; by bisection."""
    d, n = ascending.shape
    length = step = 1 << n.bit_length()
    known = functional.pad(ascending, (0, length - n), value=torch.inf).reshape(-1)
    before = torch.tensor([j * length - 1 for j in range(d)])
    found = torch.zeros_like(values, dtype=torch.int64)
    while step := step // 2:
        next_one = known[before + found + step]
        found = found + step * (next_one <= values if equal else next_one < values)
    return found


class Interpolated(Arrays):
    """`Ranks` of values (n,)."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__(knots=ranks.knots, shares=ranks.shares)

    def forward(self, values: Tensor) -> Tensor:
        last = len(self.knots) - 1
        right = count(self.knots[None], values[:, None])[:, 0].clamp(min(1, last), last)
        left = (right - 1).clamp_min(0)
        x, width = self.knots[left], self.knots[right] - self.knots[left]
        along = ((values - x) / torch.where(width > 0, width, 1)).clamp(0, 1)
        return torch.lerp(self.shares[left], self.shares[right], along)


class ScaledRows(Arrays):
    """Columns brought to a common scale by a `Scale`."""

    def __init__(self, scale: Scale) -> None:
        super().__init__(origin=scale.origin, spread=scale.spread, largest=LARGEST, digits=1e6)

    def forward(self, X: Tensor) -> Tensor:
        z = ((X - self.origin) / self.spread).clamp(-self.largest, self.largest)
        squashed = z.sign() * (z.abs() + (z.square() + 1).sqrt()).log()  # runtimes lack asinh
        return (squashed * self.digits).round() / self.digits


class MemoryValue(Arrays):
    """What a `Memory` measures, (n,)."""

    def __init__(self, part: Memory) -> None:
        super().__init__(least=1e-3 * part.bandwidth)
        self.scale, self.kernel = ScaledRows(part.scale), KernelErrors(part.kernel)

    def forward(self, X: Tensor) -> Tensor:
        return (self.kernel.squares(self.scale(X)).sum(-1).sqrt() + self.least).log()


class TailsValue(Arrays):
    """What `Tails` measures, (n,)."""

    def __init__(self, part: Tails) -> None:
        super().__init__(sorted=part.sorted, reach=part.reach)

    def forward(self, X: Tensor) -> Tensor:
        below = count(self.sorted, X + self.reach)
        above = self.sorted.shape[1] - count(self.sorted, X - self.reach, equal=False)
        share = (2 * torch.minimum(below, above) + 1).double() / (self.sorted.shape[1] + 1)
        return -share.clamp_max(1).log().sum(-1)


class SwapsValue(Arrays):
    """What `Swaps` measures, (n,)."""

    def __init__(self, part: Swaps) -> None:
        super().__init__()
        self.scale = ScaledRows(part.scale)
        self.nets = [TrainedErrors(net) for net in part.nets]
        self.kept = nn.ModuleList(self.nets)

    def forward(self, X: Tensor) -> Tensor:
        x = self.scale(X).clamp(-10, 10).float()
        return torch.stack([net.rebuilt(x).double() for net in self.nets]).mean(0).sum(-1)


module_of.register(Memory, MemoryValue)
module_of.register(Tails, TailsValue)
module_of.register(Swaps, SwapsValue)


class SurpriseValue(Arrays):
    """A part's value as surprise, (n,)."""

    def __init__(self, surprise: Surprise) -> None:
        super().__init__(last=surprise.sorted[-1], unit=surprise.unit)
        self.part, self.ranks = module_of(surprise.part), Interpolated(surprise.ranks)

    def forward(self, X: Tensor) -> Tensor:
        values = self.part(X)
        return -(1 - self.ranks(values)).log() + (values - self.last).clamp_min(0) / self.unit


class SurpriseErrors(Arrays):
    """The sum of surprises, with a soft maximum of the memories'."""

    def __init__(self, model: SurpriseModel) -> None:
        super().__init__(medians=model.column_medians)
        self.memories = nn.ModuleList(map(SurpriseValue, model.memories))
        self.others = nn.ModuleList(map(SurpriseValue, model.others))

    def forward(self, X: Tensor) -> Tensor:
        X = filled(X, self.medians)
        memories = [memory(X) for memory in self.memories]
        if len(memories) > 1:
            memories = [torch.logaddexp(memories[0], CAUTION * memories[1])]
        return MEMORY * memories[0] + torch.stack([other(X) for other in self.others]).sum(0)


module_of.register(SurpriseModel, SurpriseErrors)
