"""The loop, the flat buffer and the written-out gradient, against other implementations."""

import itertools

import numpy as np
import pytest
import torch

from aedetect import Dense, Tied
from aedetect.chance import seeded
from aedetect.networks import ACTIVATIONS, Affine, Layered
from aedetect.objectives.errors import ERRORS
from aedetect.objectives.jacobian import jacobian_norm
from aedetect.training.by_hand import by_hand
from aedetect.training.loop import (
    EarlyStopping,
    Flat,
    autograd,
    flushed_denormals,
    make_step,
    minimise,
)
from aedetect.training.replay import Replayed

pytestmark = pytest.mark.usefixtures("one_thread_a_kernel")


def build(network, seeds, d=7, latent_dim=3):
    net = network.build(d, latent_dim, [seeded(seed) for seed in seeds])
    return net, Flat.of(net)


def rowwise(net, loss="squared_error"):
    return lambda x: ERRORS[loss].of(net.decode(net.encode(x)), x).mean(-1)


CASES = [
    case
    for case in itertools.product(
        ACTIVATIONS, ["identity", "sigmoid"], ERRORS, [1, 3], [True, False]
    )
    if case[1] == "sigmoid" or case[2] != "binary_cross_entropy"
]


@pytest.mark.parametrize(("activation", "output", "loss", "k", "bias"), CASES)
def test_layers_by_hand_equal_autograd(activation, output, loss, k, bias):
    network = Dense(
        hidden=(16,),
        activation=activation,
        code_activation=activation,
        output_activation=output,
        bias=bias,
    )
    net, flat = build(network, range(k))
    generator = seeded(9)
    X = torch.rand(50, 7, generator=generator)
    ours = Replayed(autograd(rowwise(by_hand(net), loss), flat, X))
    by_autograd = autograd(rowwise(net, loss), flat, X)
    for b in (13, 1, 13):  # another size between two equal ones: buffers are kept apart
        rows = torch.randint(50, (k, b), generator=generator)
        expected = by_autograd(rows)
        gradient = torch.cat(flat.parts(flat.gradient))
        flat.gradient.fill_(7)
        with torch.no_grad():
            total = ours(rows)
        torch.testing.assert_close(total, expected)
        found = torch.cat(flat.parts(flat.gradient))
        torch.testing.assert_close(found, gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("biased", [*itertools.product([True, False], repeat=3)])
@pytest.mark.parametrize("k", [1, 3])
def test_layers_by_hand_may_differ_in_having_a_bias(k, biased):
    generators = [seeded(seed) for seed in range(k)]
    widths = itertools.pairwise((7, 5, 3, 7))
    layers = [
        Affine(generators, *pair, "tanh", bias) for pair, bias in zip(widths, biased, strict=True)
    ]
    net = Layered(layers[:2], layers[2:])
    flat = Flat.of(net)
    X, rows = torch.rand(50, 7, generator=seeded(9)), torch.arange(k * 9).view(k, 9)
    expected = autograd(rowwise(net), flat, X)(rows)
    gradient = flat.gradient.clone()
    torch.testing.assert_close(autograd(rowwise(by_hand(net)), flat, X)(rows), expected)
    torch.testing.assert_close(flat.gradient, gradient)


@pytest.mark.parametrize("k", [1, 3])
def test_layers_by_hand_refuse_derivatives_of_their_gradient(k):
    net, _ = build(Dense(hidden=(16,)), range(k))
    x = torch.rand(k, 5, 7, generator=seeded(0)).requires_grad_()
    with pytest.raises(ValueError, match="let the objective's derives_in_rows return True"):
        jacobian_norm(by_hand(net).encode(x), x)


@pytest.mark.parametrize("network", [Dense(hidden=(6,), activation="tanh"), Tied(hidden=(6,))])
# A2
def test_gradient_equals_finite_differences(network):
    net = network.build(5, 2, [seeded(0)]).double()
    X = torch.randn(20, 5, generator=seeded(1), dtype=torch.float64)

    def loss():
        return rowwise(net)(X[None]).mean()

    parameters = list(net.parameters())
    gradients = torch.autograd.grad(loss(), parameters)
    picks = np.random.default_rng(0)
    for _ in range(20):
        which = picks.integers(len(parameters))
        index = tuple(picks.integers(size) for size in parameters[which].shape)
        step, slope = 1e-6, []
        for sign in (1, -1):
            with torch.no_grad():
                parameters[which][index] += sign * step
                slope.append(loss().item())
                parameters[which][index] -= sign * step
        numeric = (slope[0] - slope[1]) / (2 * step)
        assert gradients[which][index].item() == pytest.approx(numeric, rel=1e-4, abs=1e-8)


def train(network, seeds, *, epochs=20, fast=True, rows=None, optimizer="adam", n=60, rates=None):
    net, flat = build(network, seeds)
    X = torch.randn(n, 7, generator=seeded(5))
    rates = [1e-3] * len(seeds) if rates is None else rates
    step = make_step(optimizer, flat, learning_rate=rates, weight_decay=[0.01] * len(seeds))
    gradient = autograd(rowwise(by_hand(net) if fast else net), flat, X)
    gradient = Replayed(gradient) if fast else gradient
    rows = torch.arange(n).expand(len(seeds), n) if rows is None else rows
    loop = minimise(
        gradient, step, rows, generators=[seeded(seed) for seed in seeds], batch_size=16
    )
    losses = torch.stack([next(loop) for _ in range(epochs)])
    return [parameter.detach() for parameter in net.parameters()], losses


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize(
    ("network", "fast"),
    [(Dense(hidden=(16, 8)), True), (Dense(hidden=(16, 8)), False), (Tied(hidden=(16,)), False)],
)
def test_models_trained_together_equal_models_trained_alone(network, fast, optimizer):
    rows = torch.stack([torch.randperm(60, generator=seeded(k))[:50] for k in range(3)])
    options = {"fast": fast, "optimizer": optimizer}
    rates = [1e-3, 1e-3, 5e-4]
    together, losses = train(network, [0, 1, 2], rows=rows, rates=rates, **options)
    for k in range(3):
        alone, loss = train(network, [k], rows=rows[k : k + 1], rates=rates[k : k + 1], **options)
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[k], b[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(losses[:, k], loss[:, 0], rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "RMSprop"])
def test_flat_optimizer_equals_torch_on_separate_tensors(name):
    ours, _ = train(Dense(hidden=(16,)), [0], epochs=5, fast=False, optimizer=name.lower())
    net, _ = build(Dense(hidden=(16,)), [0])
    extra = {"momentum": 0.9, "nesterov": True} if name == "SGD" else {}
    optimizer = getattr(torch.optim, name)(net.parameters(), lr=1e-3, weight_decay=0.01, **extra)
    X, generator = torch.randn(60, 7, generator=seeded(5)), seeded(0)
    for _ in range(5):
        for rows in torch.randperm(60, generator=generator).split(16):
            optimizer.zero_grad()
            rowwise(net)(X[None, rows]).mean().backward()
            optimizer.step()
    for a, b in zip(ours, net.parameters(), strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("k", [1, 3])
def test_matrices_begin_alike_in_a_stack_and_alone(k):
    """BLAS may round by that; narrow codes make matrices that are no multiple of 64 bytes."""
    net, flat = build(Dense(hidden=(16,)), range(k), latent_dim=2)
    even = [p for p in net.parameters() if p[0].numel() % 16 == 0]
    assert len(even) == 2
    for p in even:
        offset = p.data_ptr() - flat.values.data_ptr()
        assert offset % 64 == 0
        assert p.grad.data_ptr() - flat.gradient.data_ptr() == offset


def test_early_stopping_keeps_the_best_epoch_of_each_model():
    _, flat = build(Dense(hidden=()), [0, 1])
    curves = iter(torch.tensor([[3.0, 3.0], [2.0, 4.0], [5.0, 1.0], [5.0, 1.0], [1.0, 1.0]]))
    stopping = EarlyStopping(flat, lambda: next(curves), patience=2, tol=torch.zeros(2))
    for epoch in range(5):
        flat.values.fill_(epoch)
        stopping.update(epoch)
        assert stopping.improving.any() == (epoch < 4)
    stopping.restore()
    best = [part.view(2, -1).unique(dim=1)[:, 0].tolist() for part in flat.parts(flat.values)]
    assert best == [stopping.best_epoch.tolist()] * len(flat.sizes) == [[1, 2]] * len(flat.sizes)


def test_early_stopping_is_done_when_no_model_improves():
    _, flat = build(Dense(hidden=()), [0])
    curve = iter([torch.tensor([loss]) for loss in (3.0, 2.0, 1.999, 1.998, 0.0)])
    stopping = EarlyStopping(flat, lambda: next(curve), patience=2, tol=torch.tensor([0.01]))
    done = []
    for epoch in range(4):
        stopping.update(epoch)
        done.append(not stopping.improving.any())
    assert done == [False, False, False, True]


def test_a_model_that_diverges_disturbs_no_other():
    rows = torch.arange(60).expand(2, 60)
    together, losses = train(Dense(hidden=(8,)), [0, 1], rows=rows, rates=[1e-3, 1e38], epochs=3)
    alone, _ = train(Dense(hidden=(8,)), [0], rows=rows[:1], epochs=3)
    assert not losses[-1, 1].isfinite()
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[0], b[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("before", [True, False])
def test_denormals_setting_is_restored(before):

    def tiny():
        return torch.full((4,), 1e-40).mul(1.0).sum().item()

    torch.set_flush_denormal(before)
    try:
        with flushed_denormals():
            assert tiny() == 0
        assert (tiny() == 0) == before
    finally:
        torch.set_flush_denormal(False)


def test_seeded_accepts_what_scikit_learn_does():
    assert seeded(3).initial_seed() == seeded(3).initial_seed() == 3
    state = np.random.RandomState(0)
    assert seeded(state).initial_seed() != seeded(state).initial_seed()
    assert seeded(None).initial_seed() != seeded(None).initial_seed()
