"""Replayed steps: the weights that autograd would find, to the last bit, or no replay at all."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from estimators import OBJECTIVES, name_of, networks
from sklearn.base import clone

from aedetect import (
    Autoencoder,
    AutoencoderEnsemble,
    DenoisingAutoencoder,
    Dense,
    GaussianNoise,
    Tied,
    VariationalAutoencoder,
)
from aedetect.chance import seeded
from aedetect.detectors.denoising import Denoising
from aedetect.objectives.base import Objective
from aedetect.training import stack
from aedetect.training.replay import Replayed

pytestmark = [  # too few epochs
    pytest.mark.filterwarnings("ignore:The network did not learn"),
    pytest.mark.filterwarnings("ignore:All .* units of the code are silent"),
    pytest.mark.filterwarnings("ignore:The posterior has collapsed"),
]

CALLS = {
    "contamination": 0.0,
    "epochs": 3,
    "batch_size": 32,
    "random_state": 0,
    "latent_dim": 4,
    "learning_rate": 0.01,
}


def weights(model):
    members = getattr(model, "estimators_", [model])
    return [weight for member in members for weight in member.weights_.values()]


def fitted(model, X, monkeypatch, **replaced):
    """Weights of a fit in which parts of the training were replaced."""
    with monkeypatch.context() as patch:
        for name, value in replaced.items():
            patch.setattr(stack, name, value)
        return weights(clone(model).fit(X))


def not_replayed(gradient, *_):
    return gradient


def never(_net):
    return False


@pytest.mark.machines
@pytest.mark.parametrize("network", networks(64), ids=name_of)
@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
@pytest.mark.parametrize("gaps", [False, True])
def test_replayed_fits_equal_autograd(objective, network, gaps, digits, monkeypatch):
    if isinstance(objective, VariationalAutoencoder) and isinstance(network, Tied):
        return
    X = digits[:75].copy()  # three batches, one of them smaller
    if gaps:
        X[::3, 20:30] = np.nan
    model = clone(objective).set_params(network=network, **CALLS)
    made = []
    replayed = fitted(
        model, X, monkeypatch, Replayed=lambda *of: made.append(Replayed(*of)) or made[0]
    )
    assert len(made) == 1
    assert made[0].replays
    assert set(made[0].recorded) == {11, 32}
    for a, b in zip(replayed, fitted(model, X, monkeypatch, Replayed=not_replayed), strict=True):
        np.testing.assert_array_equal(a, b)
    if not gaps:
        plain = fitted(model, X, monkeypatch, Replayed=not_replayed, serves=never)
        for a, b in zip(replayed, plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-4)


@pytest.mark.machines
@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_replayed_ensembles_equal_autograd(objective, digits, monkeypatch):
    members = clone(objective).set_params(network=Dense(hidden=(8,), activation="silu"), **CALLS)
    if "kl" in repr(members):
        members.set_params(penalty="l1")
    model = AutoencoderEnsemble(estimator=members, n_estimators=3, random_state=0)
    replayed = fitted(model, digits[:75], monkeypatch)
    eager = fitted(model, digits[:75], monkeypatch, Replayed=not_replayed)
    for a, b in zip(replayed, eager, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_weight_that_rises_with_the_epochs_is_followed(digits, monkeypatch):
    model = VariationalAutoencoder(warmup=3, beta=2.0, **{**CALLS, "epochs": 5})
    replayed = fitted(model, digits[:75], monkeypatch)
    eager = fitted(model, digits[:75], monkeypatch, Replayed=not_replayed)
    for a, b in zip(replayed, eager, strict=True):
        np.testing.assert_array_equal(a, b)


class Fading(Denoising):
    """Noise in the first epoch only."""

    def at(self, epoch):
        return self if epoch == 0 else replace(self, corruption=GaussianNoise(scale=0.0))


class FadingAutoencoder(DenoisingAutoencoder):
    objective = Fading


def test_noise_may_differ_from_epoch_to_epoch(digits):
    X, loud, silent = digits[:75], GaussianNoise(scale=2.0), GaussianNoise(scale=0.0)
    batches = iter(range(9))  # three an epoch

    def fading(x, generator):
        return (loud if next(batches) < 3 else silent)(x, generator)

    expected = DenoisingAutoencoder(corruption=fading, **CALLS).fit(X)
    model = FadingAutoencoder(corruption=loud, **CALLS).fit(X)
    for a, b in zip(weights(model), weights(expected), strict=True):
        np.testing.assert_array_equal(a, b)


class Counted(Objective):
    """One that is not ours: nobody knows what it does at each step."""

    steps: ClassVar[list[int]] = []

    def loss(self, net, x):
        self.steps.append(1)
        return super().loss(net, x)


class Counting(Autoencoder):
    objective = Counted


def test_code_of_others_runs_at_every_step(digits):
    Counted.steps.clear()
    Counting(**CALLS).fit(digits[:75])
    assert len(Counted.steps) == 9
    seen = []

    def spoil(x, _generator):
        seen.append(len(x))
        return x

    DenoisingAutoencoder(corruption=spoil, **CALLS).fit(digits[:75])
    assert seen == [32, 32, 11] * 3


class CountedDropout(torch.nn.Dropout):
    calls: ClassVar[list[int]] = []

    def forward(self, x):
        self.calls.append(1)
        return super().forward(x)


class Dropping(Dense):
    """A network that is not ours, of which the user says that it always does the same."""

    replayable = True

    def build(self, *args, **kwargs):
        net = super().build(*args, **kwargs)
        net.encoder.append(CountedDropout(0.2))
        return net


def test_a_network_of_ones_own_is_replayed_where_it_may_be(digits, monkeypatch):
    model = Autoencoder(network=Dropping(hidden=(16,)), **CALLS)
    fits, calls = [], []
    for replaced in ({}, {"Replayed": not_replayed}):
        CountedDropout.calls.clear()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            fits.append(fitted(model, digits[:75], monkeypatch, **replaced))
        calls.append(len(CountedDropout.calls))
    for a, b in zip(*fits, strict=True):
        np.testing.assert_array_equal(a, b)
    assert calls[1] - calls[0] == 9 - 8  # two sizes: the first, recorded, after 0 others; and 1, 2


def test_what_looks_at_values_is_not_replayed():
    X = torch.randn(20, 3, generator=seeded(0))
    calls = []

    def gradient(rows):
        calls.append(rows)
        x = X[rows]
        return x.sum((1, 2)) if x.sum() > 0 else x.square().sum((1, 2))

    replayed = Replayed(gradient)
    for start in range(10):
        rows = torch.arange(start, start + 5)[None]
        torch.testing.assert_close(replayed(rows), gradient(rows), rtol=0, atol=0)
    assert len(calls) == 20


def test_what_is_given_ends_as_by_the_gradient_itself():
    """Also in the step that is recorded, where draws are worked on in place."""

    def gradient_with(generator, given):
        def gradient(rows):
            drawn = torch.empty(rows.shape).normal_(generator=generator)
            drawn.mul_(2.0).add_(rows)
            given.zero_()
            given.add_(drawn.sum(-1))
            return given.clone()

        return gradient

    ours, theirs = torch.ones(1), torch.ones(1)
    replayed, eager = Replayed(gradient_with(seeded(0), ours)), gradient_with(seeded(0), theirs)
    for start in range(5):
        rows = torch.arange(start, start + 4)[None]
        torch.testing.assert_close(replayed(rows), eager(rows), rtol=0, atol=0)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_chance_and_memory_are_replayed_too():
    """Draws go on; constants stay; a tensor that is added to starts anew."""
    X = torch.randn(20, 3, generator=seeded(0))

    def gradient_with(generator, calls):
        def gradient(rows):
            calls.append(len(rows))
            total = torch.zeros(len(rows))
            drawn = torch.randn(len(rows), generator=generator)
            constant = torch.full((len(rows),), 0.1).mul(3)
            for part in X.index_select(0, rows[0])[None].unbind(1):
                total += part.sum(-1)
            return total * constant + drawn

        return gradient

    calls = []
    replayed = Replayed(gradient_with(seeded(1), calls))
    eager = gradient_with(seeded(1), [])
    for start in range(10):
        rows = torch.arange(start, start + 5)[None]
        torch.testing.assert_close(replayed(rows), eager(rows), rtol=0, atol=0)
    assert len(calls) == 3  # the first, recorded, checked


def test_memory_that_is_changed_and_not_returned_is_replayed():
    X = torch.randn(20, 3, generator=seeded(0))

    def gradient(rows):
        total = torch.zeros(5)
        torch._foreach_add_([total], [X.index_select(0, rows[0]).sum(-1)])
        return total[None] * 2

    replayed = Replayed(gradient)
    for start in range(6):
        rows = torch.arange(start, start + 5)[None]
        torch.testing.assert_close(replayed(rows), gradient(rows), rtol=0, atol=0)


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_added_to_zeros_may_overwrite_them(whole):
    """Only where all of the buffer is written: here, or not, its second half."""
    X = torch.randn(20, 3, generator=seeded(0))

    def gradient_with(buffer):
        first, second = buffer[:9].view(3, 3), buffer[9:].view(3, 3)

        def gradient(rows):
            x = X.index_select(0, rows[0])
            buffer.zero_()
            first.addmm_(x.mT, x)
            first.add_(2.0)
            if whole:
                second.add_(first)
            return x.sum((0, 1))[None]

        return gradient

    ours, theirs = torch.ones(18), torch.ones(18)
    replayed, eager = Replayed(gradient_with(ours)), gradient_with(theirs)
    for start in range(5):
        rows = torch.arange(start, start + 4)[None]
        torch.testing.assert_close(replayed(rows), eager(rows), rtol=0, atol=0)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        ours.add_(1), theirs.add_(1)  # as a decay of weights does
    names = [getattr(step.func, "__name__", "") for step in replayed.recorded[4].steps]
    assert ("zero_" in names) != whole
