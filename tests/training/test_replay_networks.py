"""Networks of all kinds whose users say `replayable`: trained as by autograd, or users are told."""
# ruff: noqa: ARG005

import math
import random
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable

import numpy as np
import pytest
import torch
from estimators import name_of
from sklearn.base import clone
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, parametrize
from torch.utils.checkpoint import checkpoint

from aedetect import (
    Autoencoder,
    AutoencoderEnsemble,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    Dense,
    GaussianNoise,
    MaskingNoise,
    MemoryAutoencoder,
    SparseAutoencoder,
    SwapNoise,
    VariationalAutoencoder,
)
from aedetect.chance import seeded
from aedetect.networks import Network
from aedetect.training import stack
from aedetect.training.replay import Replayed

pytestmark = pytest.mark.filterwarnings("ignore:The network did not learn")

WIDTH = 6
X = np.random.RandomState(0).standard_normal((22, 5)) @ np.random.RandomState(1).randn(5, 5)


class Layer(nn.Module):
    """A layer made of one function, and things for it to use."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        drawn = torch.empty(1, WIDTH, WIDTH).normal_(0, 0.4, generator=seeded(3))
        self.weight = nn.Parameter(drawn + torch.eye(WIDTH))
        self.slope = nn.Parameter(torch.full((1, 1, 1), 0.2))
        self.register_buffer("mean", torch.zeros(WIDTH))
        self.register_buffer("variance", torch.ones(WIDTH))
        self.register_buffer("step", torch.zeros(()))
        self.batch_norm = nn.BatchNorm1d(WIDTH, momentum=None, affine=False)
        self.count, self.history, self.generator = 0, [], seeded(7)
        self.tally, self.recent = np.zeros(1), deque(maxlen=1000)
        self.numbers, self.dice = np.random.default_rng(0), random.Random(0)

    def forward(self, x):
        if not self.training:
            return x
        return self.function(self, x)


class Inserted(Network):
    """Dense layers around one that is given."""

    replayable = True
    layer: Callable[..., object] = nn.Identity

    def build(self, n_features, latent_dim, generators, heads=1):
        net = Dense(hidden=(WIDTH,), activation="tanh").build(
            n_features, latent_dim, generators, heads
        )
        net.encoder.insert(1, self.layer())
        return net


GLOBAL = Counter()


def fit(make, replays):
    """A fitted model, the warnings of a broken promise, what replayed, torch's state of chance."""
    made = []

    def replayed(*given):
        made.append(Replayed(*given))
        return made[0]

    with (
        pytest.MonkeyPatch.context() as patch,
        torch.random.fork_rng(),
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.simplefilter("always")
        patch.setattr(stack, "Replayed", replayed if replays else lambda gradient, *_: gradient)
        before = random.getstate(), np.random.get_state()
        random.seed(0), np.random.seed(0), torch.manual_seed(0)
        GLOBAL.clear()
        try:
            model = make().fit(X)
        finally:
            random.setstate(before[0]), np.random.set_state(before[1])
        state = torch.get_rng_state()
    told = [str(one.message) for one in told if "replayable" in str(one.message)]
    return model, told, made, state


def both(make):
    """Fits with replay and without, and what the first told and did."""
    ours, told, (replayed,), state = fit(make, True)
    theirs, nothing, _, state_after = fit(make, False)
    assert not nothing
    assert torch.equal(state, state_after)
    return ours, theirs, told, replayed


def assert_same(ours, theirs):
    assert ours.loss_curve_ == theirs.loss_curve_
    for name, weight in ours.weights_.items():
        np.testing.assert_array_equal(weight, theirs.weights_[name])


# Functions of a layer and what comes to it, (1, n, WIDTH).
REPLAYED = {
    "gelu": lambda m, x: functional.gelu(x),
    "gelu_tanh": lambda m, x: functional.gelu(x, approximate="tanh"),
    "softplus": lambda m, x: functional.softplus(x),
    "mish": lambda m, x: functional.mish(x),
    "hardswish": lambda m, x: functional.hardswish(x),
    "celu": lambda m, x: functional.celu(x, 0.5),
    "prelu": lambda m, x: torch.where(x > 0, x, m.slope * x),
    "leaky_relu_": lambda m, x: functional.leaky_relu_(x + 0, 0.1),
    "glu": lambda m, x: functional.glu(torch.cat([x, x @ m.weight], -1)),
    "softmax": lambda m, x: x.softmax(-1),
    "log_softmax": lambda m, x: x.log_softmax(-1),
    "logsumexp": lambda m, x: x - x.logsumexp(-1, keepdim=True),
    "layer_norm": lambda m, x: functional.layer_norm(x, (WIDTH,)),
    "group_norm": lambda m, x: functional.group_norm(x[0], 2)[None],
    "rms_norm": lambda m, x: functional.rms_norm(x, (WIDTH,)),
    "normalize": lambda m, x: functional.normalize(x, dim=-1),
    "cumsum": lambda m, x: x.cumsum(-1),
    "sort": lambda m, x: x.sort(-1).values,
    "topk": lambda m, x: torch.cat([x.topk(3).values, x[..., :3]], -1),
    "median": lambda m, x: x - x.median(-1, keepdim=True).values,
    "max": lambda m, x: x - x.max(1, keepdim=True).values,
    "std": lambda m, x: x / (x.std(1, keepdim=True) + 1),
    "einsum": lambda m, x: torch.einsum("knd,kde->kne", x, m.weight),
    "matmul in place": lambda m, x: (x @ m.weight).mul_(0.5).add_(x),
    "attention": lambda m, x: functional.scaled_dot_product_attention(x, x @ m.weight, x),
    "attention by hand": lambda m, x: (x @ x.mT / math.sqrt(WIDTH)).softmax(-1) @ x,
    "conv1d": lambda m, x: functional.conv1d(
        x.transpose(0, 1), m.weight[:, :1, :3], padding=1
    ).transpose(0, 1),
    "max_pool1d": lambda m, x: functional.max_pool1d(x, 3, stride=1, padding=1),
    "avg_pool1d": lambda m, x: functional.avg_pool1d(x, 3, stride=1, padding=1),
    "interpolate": lambda m, x: functional.interpolate(x[..., :3], size=WIDTH, mode="linear"),
    "pad": lambda m, x: functional.pad(x, (1, 1), mode="reflect")[..., 2:],
    "roll and flip": lambda m, x: x.roll(1, -1) + x.flip(-1),
    "unfold": lambda m, x: functional.pad(x, (1, 1)).unfold(-1, 3, 1).mean(-1),
    "as_strided": lambda m, x: x.contiguous().as_strided(x.shape, x.stride()) * 2,
    "fft": lambda m, x: torch.fft.irfft(torch.fft.rfft(x) * 0.5, n=WIDTH),
    "complex": lambda m, x: torch.complex(x, x @ m.weight).abs(),
    "masked_fill": lambda m, x: x.masked_fill(x < 0, 0.1),
    "where": lambda m, x: torch.where(x > x.mean(), x, x @ m.weight),
    "indices": lambda m, x: x[..., torch.tensor([1, 0, 2, 4, 3, 5])],
    "index_select": lambda m, x: x.index_select(-1, torch.tensor([1, 0, 2, 4, 3, 5])),
    "gather": lambda m, x: x.gather(-1, x.argsort(-1)),
    "scatter_add": lambda m, x: torch.zeros_like(x).scatter_add(-1, x.argsort(-1) // 2, x),
    "index_add": lambda m, x: x.index_add(1, torch.tensor([0, 0, 1]), x[:, :3]),
    "index_put by a mask": lambda m, x: clipped_by_mask(x),
    "assigned to a view": lambda m, x: assigned(x),
    "split, stacked": lambda m, x: torch.stack([2 * one for one in x.unbind(-1)], -1),
    "chunks": lambda m, x: torch.cat(x.chunk(3, -1)[::-1], -1),
    "outer": lambda m, x: (x[..., :, None] * x[..., None, :]).sum(-1),
    "bincount of buckets": lambda m, x: x + torch.bucketize(x, torch.linspace(-1, 1, 5)),
    "inverse": lambda m, x: x @ torch.linalg.inv(m.weight),
    "cholesky": lambda m, x: x @ torch.linalg.cholesky(m.weight @ m.weight.mT + torch.eye(WIDTH)),
    "qr": lambda m, x: x @ torch.linalg.qr(m.weight).Q,
    "singular values": lambda m, x: x / torch.linalg.svdvals(m.weight).amax(),
    "cdist": lambda m, x: torch.cdist(x, m.weight),
    "cosine": lambda m, x: x * functional.cosine_similarity(x, x @ m.weight, dim=-1)[..., None],
    "addcmul_": lambda m, x: (x + 0).addcmul_(x, x, value=0.1),
    "lerp": lambda m, x: x.lerp(x @ m.weight, 0.3),
    "float64": lambda m, x: (x.double() @ m.weight.double() * 0.1).float(),
    "bfloat16": lambda m, x: (x.bfloat16() * 0.1 + 0.3).float(),
    "autocast": lambda m, x: autocast(m, x),
    "arange": lambda m, x: x + torch.arange(x.shape[1])[:, None] / x.shape[1],
    "constants": lambda m, x: x * torch.tensor([1.0, 2.0, 3.0] * 2) + torch.linspace(0, 1, WIDTH),
    "positions": lambda m, x: x + torch.sin(torch.arange(WIDTH) / 2.0).expand_as(x),
    "shape decides": lambda m, x: x if x.shape[1] > 7 else x @ m.weight,
    # draws
    "dropout": lambda m, x: functional.dropout(x, 0.3),
    "dropout in place": lambda m, x: functional.dropout(x + 0, 0.3, inplace=True),
    "alpha_dropout": lambda m, x: functional.alpha_dropout(x, 0.3),
    "feature_dropout": lambda m, x: functional.dropout1d(x, 0.3),
    "rrelu": lambda m, x: functional.rrelu(x, training=True),
    "rrelu_": lambda m, x: functional.rrelu_(x + 0, training=True),
    "randn_like": lambda m, x: x + 0.1 * torch.randn_like(x),
    "own generator": lambda m, x: x + torch.empty(x.shape).normal_(0, 0.1, generator=m.generator),
    "bernoulli": lambda m, x: x * torch.bernoulli(torch.full_like(x, 0.7)),
    "multinomial": lambda m, x: x.gather(1, picked(x)),
    "randperm": lambda m, x: 0.5 * x + 0.5 * x[:, torch.randperm(x.shape[1])],
    "gumbel": lambda m, x: functional.gumbel_softmax(x),
    "mixup": lambda m, x: x.lerp(x.flip(1), torch.rand(1, x.shape[1], 1, generator=m.generator)),
    "distribution": lambda m, x: torch.distributions.Normal(x, 0.1, False).rsample(),
    "stochastic depth": lambda m, x: x + (torch.rand(()) < 0.5) * (x @ m.weight),
    # buffers
    "batch_norm": lambda m, x: functional.batch_norm(x[0], m.mean, m.variance, training=True)[None],
    "batch_norm, read": lambda m, x: batch_norm_then_read(m, x),
    "batch_norm, fixed": lambda m, x: functional.batch_norm(x[0], m.mean, m.variance)[None],
    "instance_norm": lambda m, x: functional.instance_norm(x.mT, m.mean, m.variance, None, None).mT,
    "moving mean": lambda m, x: x - m.mean.lerp_(x.detach().mean((0, 1)), 0.1),
    "counted in a buffer": lambda m, x: x * (m.step.add_(1) / 10).clamp(max=1),
    "every third step": lambda m, x: torch.where(m.step.add_(1) % 3 == 0, x, x @ m.weight),
    "noise in a buffer": lambda m, x: x + m.mean.normal_(0, 0.1, generator=m.generator),
    "copied to a buffer": lambda m, x: x + m.mean.copy_(x.detach()[0, 0]),
    "foreach": lambda m, x: foreach(m, x),
    "weights clamped": lambda m, x: clamped(m, x),
    # automatic differentiation
    "own function": lambda m, x: Cube.apply(x),
    "reversed gradient": lambda m, x: Reversed.apply(x),
    "straight through": lambda m, x: x + (x.sign() - x).detach(),
    "hook on a tensor": lambda m, x: hooked(x, lambda g: g * 0.5),
    "hook in place": lambda m, x: hooked(x, lambda g: g.clamp_(-0.01, 0.01)),
    "gradient in the rows": lambda m, x: penalised(m, x),
    "checkpoint": lambda m, x: checkpoint(lambda y: (y @ m.weight).tanh(), x, use_reentrant=False),
    "checkpoint, reentrant": lambda m, x: checkpoint(
        lambda y: (y @ m.weight).tanh(), x, use_reentrant=True
    ),
    "vmap": lambda m, x: torch.func.vmap(lambda row: row.tanh() @ m.weight[0])(x[0])[None],
    "jacrev": lambda m, x: torch.func.vmap(torch.func.jacrev(torch.tanh))(x[0]).sum(-1)[None],
    # what is kept from one part of a step to another
    "kept for later": lambda m, x: kept_for_later(m, x),
    "kept in a list": lambda m, x: kept_in_a_list(m, x),
    # operators
    "own operator": lambda m, x: torch.ops.aedetect_tests.cube(x),
    "operator in place": lambda m, x: x + torch.ops.aedetect_tests.move(m.mean, x.detach()),
    "operator without result": lambda m, x: x - counted_operator(m),
    "operator with a name of torch's": lambda m, x: torch.ops.aedetect_tests.sin(x.detach()) + x,
    "operator that draws": lambda m, x: x + torch.ops.aedetect_tests.noise(x.shape[1]),
    "operator that uses numpy": lambda m, x: x + torch.ops.aedetect_tests.by_numpy(x.detach()),
}


def clipped_by_mask(x):
    x = x + 0
    x[x > 0.3] = 0.3
    return x


def assigned(x):
    x = x + 0
    x[..., :2] = x[..., 2:4] * 2
    x[:, 0].mul_(0.5)
    return x


def autocast(m, x):
    with torch.autocast("cpu", torch.bfloat16):
        y = x @ m.weight
    return y.float() * 0.3


def picked(x):
    weights = x.detach().exp().mean(0).mT  # (WIDTH, n)
    return torch.multinomial(weights, x.shape[1], replacement=True).mT[None]


def batch_norm_then_read(m, x):
    x = functional.batch_norm(x[0], m.mean, m.variance, training=True)[None]
    return x + m.mean / m.variance


def foreach(m, x):
    with torch.no_grad():
        torch._foreach_add_([m.mean, m.variance], [x.mean((0, 1)), x.square().mean((0, 1))])
    return x - m.mean / m.variance


def clamped(m, x):
    with torch.no_grad():
        m.weight.clamp_(-0.9, 0.9)
    return x @ m.weight


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, slope):
        (x,) = ctx.saved_tensors
        return 3 * x.square() * slope


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(_ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(_ctx, slope):
        return -slope


def hooked(x, hook):
    x = x * 2
    if x.requires_grad:
        x.register_hook(hook)
    return x


def penalised(m, x):
    with torch.enable_grad():
        y = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad((y @ m.weight).tanh().sum(), y, create_graph=True)
    return x + slope


def gated(m, x):
    weight = torch.cat([m.weight[0]] * 3)
    cells = [weight, weight, weight[:, 0], weight[:, 0]]
    return torch.gru(x, torch.zeros(1, 1, WIDTH), cells, True, 1, 0.0, True, False, True)[0]


def remembering(m, x):
    weight = torch.cat([m.weight[0]] * 4)
    cells = [weight, weight, weight[:, 0], weight[:, 0]]
    start = torch.zeros(2, 1, 1, WIDTH).unbind(0)
    return torch.lstm(x, start, cells, True, 1, 0.0, True, False, True)[0]


def kept_for_later(m, x):
    m.__dict__["skip"] = x @ m.weight
    return x + m.skip.tanh()


def kept_in_a_list(m, x):
    m.parts = [x, x @ m.weight]
    return sum(m.parts)


def counted_operator(m):
    torch.ops.aedetect_tests.count(m.step)
    return m.step / 10


# Operators of the user's own -----------------------------------------------------------------

LIBRARY = "aedetect_tests"


def operator(name, mutates=()):
    return torch.library.custom_op(f"{LIBRARY}::{name}", mutates_args=mutates)


@operator("cube")
def cube(x: torch.Tensor) -> torch.Tensor:
    return x**3


def keep(ctx, inputs, output):  # noqa: ARG001
    ctx.save_for_backward(inputs[0])


cube.register_autograd(lambda ctx, g: 3 * ctx.saved_tensors[0] ** 2 * g, setup_context=keep)


@operator("move", mutates=("mean",))
def move(mean: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    mean.lerp_(x.mean((0, 1)), 0.1)
    return mean * 2


@operator("move_in_secret")
def move_in_secret(mean: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    mean.lerp_(x.mean((0, 1)), 0.1)
    return mean * 2


@operator("count", mutates=("step",))
def count(step: torch.Tensor) -> None:
    step.add_(1)


@operator("sin")
def sin(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(-0.1, 0.1)


@operator("noise")
def noise(n: int) -> torch.Tensor:
    return 0.1 * torch.randn(1, n, WIDTH)


@operator("by_numpy")
def by_numpy(x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.sin(x.numpy()))


@operator("largest")
def largest(x: torch.Tensor) -> float:
    return float(x.max())


# What a user may not do, and what the warning then says ---------------------------------------

VALUES, DIFFERS, COUNTS = "looks at values", "gave other numbers", "changes from step to step"

# Seen at once: all ends as by autograd.
TOLD = {
    "item": (VALUES, lambda m, x: x / (1 + x.abs().max().item())),
    "if": (VALUES, lambda m, x: x if x.mean() > 0 else -x),
    "nonzero": (VALUES, lambda m, x: x + len((x > 0).nonzero()) / 100),
    "masked_select": (VALUES, lambda m, x: x - x.masked_select(x > 0).mean()),
    "mask as an index": (VALUES, lambda m, x: x - x[x > 0].mean()),
    "unique": (VALUES, lambda m, x: x + len(x.detach().round().unique()) / 100),
    "distribution that validates": (
        VALUES,
        lambda m, x: torch.distributions.Normal(x, 0.1, validate_args=True).rsample(),
    ),
    "batch norm without momentum": (VALUES, lambda m, x: m.batch_norm(x[0])[None]),
    "operator returning a number": (
        VALUES,
        lambda m, x: x / (1 + torch.ops.aedetect_tests.largest(x.detach())),
    ),
    "numpy": (DIFFERS, lambda m, x: x - float(x.detach().numpy().mean())),
    "numpy and back": (DIFFERS, lambda m, x: x - torch.from_numpy(np.sort(x.detach().numpy()))),
    "tolist": (DIFFERS, lambda m, x: x - x.detach().flatten().tolist()[0]),
    "random": (DIFFERS, lambda m, x: x * random.random()),
    "dice": (DIFFERS, lambda m, x: x * m.dice.random()),
    "numpy's chance": (DIFFERS, lambda m, x: x * np.random.random()),
    "numpy's generator": (DIFFERS, lambda m, x: x * m.numbers.random()),
    "a mask by numpy": (
        DIFFERS,
        lambda m, x: x * torch.from_numpy(m.numbers.random((x.shape[1], 1)) < 0.5),
    ),
    "seeded at every step": (DIFFERS, lambda m, x: x + torch.randn(WIDTH, generator=seeded(0))),
    "torch seeded at every step": (DIFFERS, lambda m, x: x + drawn_in_a_fork()),
    "checkpoint with dropout": (
        DIFFERS,
        lambda m, x: checkpoint(lambda y: functional.dropout(y, 0.5), x, use_reentrant=False),
    ),
    "rebound buffer": (DIFFERS, lambda m, x: rebound(m, x)),
    "rebound data": (DIFFERS, lambda m, x: rebound_data(m, x)),
    "the last batch": (DIFFERS, lambda m, x: after_the_last(m, x)),
    "a queue of batches": (DIFFERS, lambda m, x: queued(m, x)),
    "global count": (DIFFERS, lambda m, x: x * (1 + counted(GLOBAL) % 2)),
    "count": (COUNTS, lambda m, x: x * min(1, counted(vars(m)) / 10)),
    "count, used later": (COUNTS, lambda m, x: x if counted(vars(m)) < 12 else x @ m.weight),
    "count for nothing": (COUNTS, lambda m, x: x + 0 * counted(vars(m))),
    "count in an array": (COUNTS, lambda m, x: x * min(1, tallied(m) / 10)),
    "history": (COUNTS, lambda m, x: remembered(m.history, x)),
    "history, bounded": (COUNTS, lambda m, x: remembered(m.recent, x)),
    "flag": (COUNTS, lambda m, x: x if turned(m) else x @ m.weight),
    "sparse": ("cannot be recorded", lambda m, x: (x[0].to_sparse() @ m.weight[0])[None]),
}

# It depends on torch's version whether they can be replayed.
EITHER = {
    "hessian": lambda m, x: x + hessian(functional.dropout(x, 0.2)),
    "one_hot": lambda m, x: x + functional.one_hot(x.argmax(-1), WIDTH),
    "recurrent": lambda m, x: gated(m, x),
    "long short-term memory": lambda m, x: remembering(m, x),
}

# Told too, but autograd goes on from where some steps of replay have led.
LATE = {
    "operator that moves in secret": lambda m, x: (
        x + torch.ops.aedetect_tests.move_in_secret(m.mean, x.detach())
    ),
    "global count, used later": lambda m, x: x if counted(GLOBAL) < 8 else x @ m.weight,
    "global count, now and then": lambda m, x: x if counted(GLOBAL) % 7 else x @ m.weight,
    "time": lambda m, x: x + time.perf_counter() % 1,
}


def hessian(x):
    cubes = torch.func.hessian(lambda row: (row**3).sum())
    return torch.func.vmap(cubes)(x[0]).sum(-1)[None]


def drawn_in_a_fork():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.randn(WIDTH)


def rebound(m, x):
    m.mean = 0.9 * m.mean + 0.1 * x.detach().mean((0, 1))
    return x - m.mean


def rebound_data(m, x):
    m.mean.data = 0.9 * m.mean + 0.1 * x.detach().mean((0, 1))
    return x - m.mean


def after_the_last(m, x):
    last, m.__dict__["last"] = m.__dict__.get("last", x), x.detach()
    return x + last.mean(1, keepdim=True)


def queued(m, x):
    if len(m.history) < 2:
        m.history += [torch.zeros(1, 1, WIDTH)] * 2
    m.history[:] = [m.history[1], x.detach().mean(1, keepdim=True)]
    return x + m.history[0]


def counted(counts):
    counts["count"] += 1
    return counts["count"]


def tallied(m):
    m.tally += 1
    return float(m.tally[0])


def remembered(history, x):
    history.append(x.detach().mean(1, keepdim=True))
    return x - sum(history) / len(history)


def turned(m):
    m.flag = not getattr(m, "flag", False)
    return m.flag


# Modules --------------------------------------------------------------------------------------


class Weighted(nn.Module):
    """A square matrix, which others change."""

    def __init__(self):
        super().__init__()
        drawn = torch.empty(1, WIDTH, WIDTH).normal_(0, 0.4, generator=seeded(3))
        self.weight = nn.Parameter(drawn + torch.eye(WIDTH))

    def forward(self, x):
        return x @ self.weight


class Squeezed(nn.Module):
    """A module of torch's that takes (n, WIDTH)."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x[0])[None]


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).mT


class Lazy(nn.Module):
    """Sets up a buffer at its first batch."""

    def forward(self, x):
        if not hasattr(self, "place"):
            self.register_buffer("place", torch.linspace(0, 1, x.shape[-1]), persistent=False)
        return x + self.place


class Cached(Weighted):
    def forward(self, x):
        with parametrize.cached():
            return (x @ self.weight).tanh() @ self.weight


class Taught(Weighted):
    """Pulled to a moving mean of itself."""

    def __init__(self):
        super().__init__()
        self.register_buffer("teacher", self.weight.detach().clone(), persistent=False)

    def forward(self, x):
        if self.training:
            self.teacher.lerp_(self.weight.detach(), 0.1)
        return x @ (self.weight + self.teacher) / 2


class Quantised(Weighted):
    """The nearest row of a matrix, which moves to what it stands for."""

    def __init__(self):
        super().__init__()
        self.register_buffer("codes", self.weight.detach()[0].clone(), persistent=False)

    def forward(self, x):
        nearest = torch.cdist(x.detach()[0], self.codes).argmin(-1)
        if self.training:
            ones = torch.zeros(x.shape[1], WIDTH).scatter_(1, nearest[:, None], 1.0)
            means = (ones.T @ x.detach()[0]) / ones.sum(0).clamp(min=1)[:, None]
            self.codes.lerp_(means, 0.05)
        return x + (self.codes.index_select(0, nearest) - x).detach()


class Experts(Weighted):
    def forward(self, x):
        choices = torch.stack([x @ self.weight, x.tanh(), x.sin()], -1)
        best = choices.detach().sum(-2, keepdim=True).argmax(-1, keepdim=True)
        return choices.gather(-1, best.expand(*x.shape, 1))[..., 0]


def parametrised(change, layer=Weighted):
    def make():
        module = layer()
        change(module)
        return module

    return make


def symmetric(module):
    parametrize.register_parametrization(module, "weight", Symmetric())


def hook(register, function):
    return parametrised(lambda module: getattr(module, register)(function))


def clip(parameter):
    parameter.grad.clamp_(-0.01, 0.01)


MODULES = {
    "dropout": lambda: nn.Dropout(0.3),
    "nested": lambda: nn.Sequential(Weighted(), nn.Sequential(nn.SiLU(), nn.Dropout(0.1))),
    "batch norm": lambda: Squeezed(nn.BatchNorm1d(WIDTH, affine=False)),
    "instance norm": lambda: nn.InstanceNorm1d(WIDTH),
    "rrelu": nn.RReLU,
    "spectral norm": parametrised(parametrizations.spectral_norm),
    "weight norm": parametrised(parametrizations.weight_norm),
    "orthogonal": parametrised(parametrizations.orthogonal),
    "symmetric": parametrised(symmetric),
    "cached": parametrised(symmetric, Cached),
    "hook before": hook("register_forward_pre_hook", lambda _, given: (given[0] * 0.5,)),
    "hook after": hook("register_forward_hook", lambda *given: given[2].tanh()),
    "hook backward": hook("register_full_backward_hook", lambda *given: (given[1][0] * 0.5,)),
    "hook on a parameter": parametrised(lambda m: m.weight.register_hook(lambda g: g + 0.01)),
    "hook on a gradient": parametrised(lambda m: m.weight.register_post_accumulate_grad_hook(clip)),
    "lazy": Lazy,
    "teacher": Taught,
    "quantised": Quantised,
    "experts": Experts,
}


# Tests ----------------------------------------------------------------------------------------


CALLS = {
    "contamination": 0.0,
    "latent_dim": 2,
    "batch_size": 8,
    "learning_rate": 0.01,
    "random_state": 0,
}


def autoencoder(layer, epochs=4):
    return lambda: Autoencoder(network=Inserted(layer=layer), epochs=epochs, **CALLS)


def made_of(function):
    return lambda: Layer(function)


LAYERS = {name: made_of(function) for name, function in REPLAYED.items()}
LAYERS |= {f"module, {name}": layer for name, layer in MODULES.items()}


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_the_same_at_every_step_is_replayed(name):
    ours, theirs, told, replayed = both(autoencoder(LAYERS[name]))
    assert not told
    assert set(replayed.recorded) == {6, 8}
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", TOLD)
def test_what_is_not_the_same_is_told_and_trained_by_autograd(name):
    reason, function = TOLD[name]
    ours, theirs, told, replayed = both(autoencoder(made_of(function)))
    assert len(told) == 1
    assert reason in told[0]
    assert "Inserted has replayable = True" in told[0]
    assert not replayed.replays
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", EITHER)
def test_what_may_not_be_replayable_is_trained_as_by_autograd(name):
    ours, theirs, told, replayed = both(autoencoder(made_of(EITHER[name])))
    assert len(told) == (not replayed.replays)
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", LATE)
def test_what_begins_to_differ_later_is_told_later(name):
    _, told, (replayed,), _ = fit(autoencoder(made_of(LATE[name]), epochs=10), True)
    assert len(told) == 1
    assert not replayed.replays


@pytest.mark.parametrize(
    "objective",
    [
        VariationalAutoencoder(warmup=2),
        ContractiveAutoencoder(jacobian="hutchinson"),
        DenoisingAutoencoder(corruption=SwapNoise()),
        MemoryAutoencoder(n_items=5),
        Autoencoder(early_stopping=True),
    ],
    ids=name_of,
)
def test_networks_of_users_are_replayed_under_every_objective(objective):
    network = Inserted(layer=lambda: nn.Sequential(nn.Dropout(0.1), Taught()))
    ours, theirs, told, replayed = both(
        lambda: clone(objective).set_params(network=network, epochs=4, **CALLS)
    )
    assert not told
    assert replayed.recorded
    assert_same(ours, theirs)


class Sets:
    """A callback that sets something after the second epoch."""

    def __init__(self, change):
        self.change, self.epochs = change, 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.epochs += context.task_name == "epoch"
        if self.epochs == 2:
            self.change(estimator)


def to(**values):
    return lambda estimator: vars(estimator).update(values)


def louder(estimator):
    estimator.corruption.scale = 3.0


def by_numpy_too(estimator):
    estimator.corruption = lambda x, _: x + torch.from_numpy(np.random.randn(*x.shape)).float()


def gentler(estimator):
    estimator.network_.rate = 0.01


class Described(Network):
    """A network that asks its description at every step."""

    replayable = True
    rate: float = 0.5

    def build(self, n_features, latent_dim, generators, heads=1):
        net = Dense(hidden=(WIDTH,)).build(n_features, latent_dim, generators, heads)
        net.encoder.append(made_of(lambda m, x: functional.dropout(x, m.asked.rate))())
        net.encoder[-1].asked = self
        return net


RATES = Dense(hidden=(WIDTH,), activation="sigmoid", code_activation="sigmoid")
BY_RATES = SparseAutoencoder(penalty="kl", network=RATES)

CALLBACKS = [
    (SparseAutoencoder(), to(sparsity=3.0), True),
    (BY_RATES, to(target_activation=0.5), True),
    (BY_RATES, to(layers="hidden"), True),
    (BY_RATES, to(penalty="l1"), True),
    (DenoisingAutoencoder(), to(sparsity=3.0), True),
    (DenoisingAutoencoder(), to(corruption=MaskingNoise(rate=0.5)), True),
    (DenoisingAutoencoder(corruption=GaussianNoise()), louder, True),
    (DenoisingAutoencoder(), by_numpy_too, True),
    (ContractiveAutoencoder(), to(contraction=3.0), True),
    (ContractiveAutoencoder(), to(jacobian="hutchinson"), True),
    (VariationalAutoencoder(), to(beta=5.0), True),
    (VariationalAutoencoder(warmup=2), to(warmup=50), True),
    (MemoryAutoencoder(n_items=5), to(temperature=2.0), True),
    (MemoryAutoencoder(n_items=5), to(entropy=1.0), True),
    (Autoencoder(network=Described()), gentler, True),
    (Autoencoder(), to(loss="huber"), False),
    (Autoencoder(), to(learning_rate=1.0), False),
    (Autoencoder(), to(batch_size=2), False),
]


@pytest.mark.parametrize(("objective", "change", "matters"), CALLBACKS)
def test_what_a_callback_sets_counts_with_replay_as_without(objective, change, matters):
    def make(change=change):
        model = clone(objective).set_params(epochs=4, **CALLS)
        return model.set_callbacks(Sets(change))

    ours, theirs, told, _ = both(make)
    assert not told
    assert_same(ours, theirs)
    unchanged, *_ = fit(lambda: make(lambda _: None), True)
    assert (ours.loss_curve_[2:] != unchanged.loss_curve_[2:]) == matters
    assert ours.loss_curve_[:2] == unchanged.loss_curve_[:2]


def test_networks_of_users_are_replayed_in_ensembles():
    network = Inserted(layer=lambda: nn.Dropout(0.2))
    members = Autoencoder(network=network, epochs=4, **CALLS)

    def make():
        return AutoencoderEnsemble(
            estimator=members, n_estimators=3, contamination=0, random_state=0
        )

    ours, theirs, told, replayed = both(make)
    assert not told
    assert set(replayed.recorded) == {6, 8}
    for one, other in zip(ours.estimators_, theirs.estimators_, strict=True):
        assert_same(one, other)


def test_buffers_of_layers_by_hand_are_not_what_a_network_keeps(monkeypatch):
    looks = []

    class Looks(stack.Promise):
        def kept(self):
            looks.append(super().kept())
            return looks[-1]

    class Plain(Network):
        replayable = True

        def build(self, *args, **kwargs):
            return Dense(hidden=(WIDTH,), activation="silu").build(*args, **kwargs)

    monkeypatch.setattr(stack, "Promise", Looks)
    Autoencoder(network=Plain(), epochs=4, **CALLS).fit(X)
    assert len(looks) > 4
    assert all(look == looks[0] for look in looks)


def test_networks_that_promise_nothing_are_not_told_of():
    class Free(Inserted):
        replayable = False

    layer = made_of(lambda m, x: x * random.random())
    _, told, _, _ = fit(lambda: Autoencoder(network=Free(layer=layer), epochs=4, **CALLS), True)
    assert not told


def test_the_warning_names_what_counts_and_can_be_an_error():
    layer = made_of(TOLD["count"][1])
    _, told, _, _ = fit(autoencoder(layer), True)
    assert "encoder.1.count changes from step to step" in told[0]
    with pytest.raises(UserWarning, match="replayable"):
        autoencoder(layer)().fit(X)
