"""Every objective with every network: alone, stacked, and with its penalty off."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from estimators import OBJECTIVES, assert_same_scores, losses_of, name_of, networks, rows_of
from sklearn.base import clone

from aedetect import (
    Autoencoder,
    ContractiveAutoencoder,
    Conv1d,
    Conv2d,
    DenoisingAutoencoder,
    Dense,
    GaussianNoise,
    KernelAutoencoder,
    MaskingNoise,
    MemoryAutoencoder,
    SparseAutoencoder,
    Tied,
    VariationalAutoencoder,
)
from aedetect.chance import seeded
from aedetect.detectors.sparse import Sparse
from aedetect.models.trained import TrainedModel
from aedetect.networks import Coder
from aedetect.objectives.base import Objective, build
from aedetect.rows.blocks import CHUNK
from aedetect.training.loop import Flat, autograd, make_step, minimise

pytestmark = [  # too few epochs
    pytest.mark.filterwarnings("ignore:The network did not learn"),
    pytest.mark.filterwarnings("ignore:All .* units of the code are silent"),
    pytest.mark.filterwarnings("ignore:The posterior has collapsed"),
]

every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
every_network = pytest.mark.parametrize("network", networks(64), ids=name_of)


def impossible(objective, network):
    return isinstance(objective, VariationalAutoencoder) and isinstance(network, Tied)


@pytest.mark.machines
@every_network
@every_objective
def test_every_pair_fits_scores_and_survives(objective, network, digits):
    model = clone(objective).set_params(
        network=network, latent_dim=6, epochs=8, learning_rate=0.01, random_state=0
    )
    if impossible(objective, network):
        with pytest.raises(ValueError, match="Tied's decoder is its encoder turned round"):
            model.fit(digits[:300])
        return
    model.fit(digits[:300])
    scores = model.score_samples(digits)
    assert scores.shape == (len(digits),)
    codes = model.transform(digits)
    assert codes.shape == (len(digits), 6)
    np.testing.assert_array_equal(model.inverse_transform(codes), model.reconstruct(digits))
    assert_same_scores(model.score_samples(digits[5:6]), scores[5:6])
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.score_samples(digits), scores)
    again = clone(model).fit(digits[:300])
    np.testing.assert_array_equal(again.score_samples(digits), scores)


@pytest.mark.machines
@pytest.mark.usefixtures("one_thread_a_kernel")
@every_network
@every_objective
def test_stacked_models_equal_models_alone(objective, network, digits):
    if impossible(objective, network):
        return
    template = clone(objective).set_params(network=network, latent_dim=2, epochs=1)
    template.set_params(learning_rate=0.05, random_state=0).fit(digits[:100])
    X, objective = rows_of(template, digits[:60])[0], template.model_.objective

    def train(seeds):
        generators = [seeded(seed) for seed in seeds]
        net = build(template.network_, objective, 64, 2, generators)
        flat = Flat.of(net)
        step = make_step(
            "adam", flat, learning_rate=[1e-3] * len(seeds), weight_decay=[0] * len(seeds)
        )
        gradient = autograd(lambda x: losses_of(objective, net, x, 2, generators), flat, X)
        rows = torch.arange(60).expand(len(seeds), 60)
        loop = minimise(gradient, step, rows, generators=generators, batch_size=16)
        for _ in range(5):
            next(loop)
        return [parameter.detach() for parameter in net.parameters()]

    together = train([0, 1, 2])
    for k in range(3):
        for a, b in zip(together, train([k]), strict=True):
            torch.testing.assert_close(a[k], b[0], rtol=0, atol=1e-5)


NETWORK = Dense(hidden=(16,), activation="sigmoid", code_activation="sigmoid")
WEIGHTS = [
    (SparseAutoencoder(), "sparsity"),
    (SparseAutoencoder(layers="hidden"), "sparsity"),
    (SparseAutoencoder(penalty="kl"), "sparsity"),
    (DenoisingAutoencoder(corruption=GaussianNoise(scale=0.0), sparsity=0.1), "sparsity"),
    (ContractiveAutoencoder(), "contraction"),
    (ContractiveAutoencoder(jacobian="hutchinson"), "contraction"),
    (MemoryAutoencoder(n_items=20), "entropy"),
    (VariationalAutoencoder(), "beta"),
]


@pytest.mark.parametrize(("objective", "weight"), WEIGHTS, ids=lambda value: name_of(value))
def test_a_penalty_bites(objective, weight, digits):
    template = clone(objective).set_params(network=NETWORK, epochs=20, random_state=0)
    template.fit(digits[:100])
    x = rows_of(template, digits[:50])
    default = getattr(template, weight)

    def gradient(value):
        changed = replace(template.model_.objective, **{weight: value})
        net = build(NETWORK, changed, 64, 8, [seeded(0)])
        loss = losses_of(changed, net, x.clone(), 8, [seeded(1)]).mean()
        return torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
                if g is not None
            ]
        )

    assert default > 0
    assert (gradient(default) - gradient(0.0)).norm() > 1e-6


@pytest.mark.parametrize(
    "objective",
    [
        SparseAutoencoder(sparsity=0.0),
        SparseAutoencoder(sparsity=0.0, penalty="kl"),
        DenoisingAutoencoder(corruption=GaussianNoise(scale=0.0)),
        ContractiveAutoencoder(contraction=0.0),
    ],
    ids=name_of,
)
def test_without_its_penalty_it_is_the_plain_autoencoder(objective, digits):
    shared = {"network": NETWORK, "latent_dim": 8, "epochs": 5, "random_state": 0}
    shared["learning_rate"] = 0.01
    if isinstance(objective, DenoisingAutoencoder):
        # the noise that is multiplied by 0 is drawn all the same: compare losses, not fits
        model = clone(objective).set_params(**shared).fit(digits[:200])
        x, net = rows_of(model, digits[:20]), model.model_.net
        losses = losses_of(model.model_.objective, net, x, 8, [seeded(0)])
        torch.testing.assert_close(losses, Objective().loss(net, x))
        return
    model = clone(objective).set_params(**shared).fit(digits[:200])
    plain = Autoencoder(**shared).fit(digits[:200])
    for name, weight in plain.weights_.items():
        np.testing.assert_allclose(model.weights_[name], weight, atol=1e-5)


def test_variational_without_spread_is_the_plain_autoencoder(digits):
    """With beta=0 and a posterior of no width only the error of the mean is left."""
    model = VariationalAutoencoder(beta=0.0, latent_dim=4, epochs=20, random_state=0)
    model.fit(digits[:200])
    net, objective = model.model_.net, model.model_.objective
    net.encoder[-1].weight.data[:, -1, 4:] = -1e9  # the logarithmic variance's bias
    x = rows_of(model, digits[:20])
    error = objective.row_error(objective.rebuilt(net, x), x)
    losses = losses_of(objective, net, x, 4, [seeded(0)])
    torch.testing.assert_close(losses, error, rtol=1e-2, atol=1e-3)


def test_memory_with_one_item_per_row_at_low_temperature_looks_rows_up(digits):
    model = MemoryAutoencoder(latent_dim=4, n_items=30, temperature=1e-3, epochs=30, random_state=0)
    model.fit(digits[:200])
    codes = model.transform(digits[:200])
    distances = np.linalg.norm(codes[:, None] - model.items_[None], axis=2).min(axis=1)
    assert np.median(distances) < 1e-5


def test_memory_codes_are_convex_combinations(digits):
    model = MemoryAutoencoder(latent_dim=4, n_items=30, epochs=30, random_state=0).fit(digits[:200])
    net = model.model_.net
    z = net.encode(rows_of(model, digits))
    weights = model.model_.objective.weights(net, z).detach()
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, len(digits)))


# Kernel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_neighbors", [7, 200, None])
def test_kernel_equals_its_formula(digits, n_neighbors):
    train, test = digits[:200], digits[200:230]
    model = KernelAutoencoder(bandwidth=0.5, n_neighbors=n_neighbors).fit(train)
    squares = ((test[:, None] - train[None]) ** 2).sum(-1)
    weights = np.exp(-squares / (2 * model.bandwidth_**2))
    weights[squares > np.sort(squares)[:, [(n_neighbors or 200) - 1]]] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.reconstruct(test), weights @ train, atol=1e-8)


def test_kernel_does_not_rebuild_a_row_from_itself(digits):
    model = KernelAutoencoder().fit(digits)
    alone = KernelAutoencoder().fit(digits[1:])
    alone.model_ = replace(alone.model_, bandwidth=model.bandwidth_)
    np.testing.assert_allclose(
        model.score_samples(digits[:1]), alone.score_samples(digits[:1]), rtol=1e-9
    )
    assert (model.score_samples(digits) < 0).all()


def test_kernel_memory_is_capped(digits):
    model = KernelAutoencoder(max_items=100, random_state=0).fit(digits)
    assert model.items_.shape == (100, 64)
    assert (model.items_[:, None] == digits[None]).all(-1).any(1).all()  # rows, not means
    again = KernelAutoencoder(max_items=100, random_state=0).fit(digits)
    np.testing.assert_array_equal(again.items_, model.items_)
    single = KernelAutoencoder(max_items=1, random_state=0).fit(digits)
    np.testing.assert_allclose(single.reconstruct(digits[:9]), np.tile(single.items_, (9, 1)))


# Convolutions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network",
    [
        Conv2d(shape=(1, 28, 23), channels=(4, 8, 8)),
        Conv2d(shape=(3, 9, 7), channels=(4,), kernel_size=5),
        Conv1d(shape=(1, 140)),
        Conv1d(shape=(3, 17), channels=(4, 4), kernel_size=5),
    ],
    ids=name_of,
)
# A11
def test_convolutions_rebuild_any_size(network, rng):
    d = int(np.prod(network.shape))
    X = rng.standard_normal((40, 3)) @ np.sin(np.arange(1, 4)[:, None] * np.linspace(0, 6, d))
    model = Autoencoder(
        latent_dim=3, network=network, epochs=80, learning_rate=0.01, random_state=0
    )
    model.fit(X)
    assert model.reconstruct(X).shape == X.shape
    assert model.fit_report_["error"] < 0.5 * model.fit_report_["mean_row_error"]


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (Conv2d(shape=(1, 6, 5)), (6, 5)),
        (Conv2d(shape=(1, 6, 5)), (1, 6, 5)),
        (Conv2d(shape=(3, 6, 5)), (3, 6, 5)),
        (Conv2d(shape=(3, 6, 5)), (6, 5, 3)),
        (Conv1d(shape=(2, 15)), (15, 2)),
        (Conv1d(shape=(2, 15)), (2, 15)),
        (Dense(hidden=(16,)), (6, 5)),
    ],
)
# A11
def test_images_and_windows_come_back_as_they_came(network, shape, rng):
    d = int(np.prod(shape))
    X = (rng.standard_normal((30, 3)) @ rng.standard_normal((3, d))).reshape(30, *shape)
    model = Autoencoder(latent_dim=3, network=network, epochs=30, random_state=0).fit(X)
    channels_last = isinstance(network, Conv1d | Conv2d) and shape[-1] == network.shape[0] > 1
    rows = (np.moveaxis(X, -1, 1) if channels_last else X).reshape(30, d)
    by_rows = Autoencoder(latent_dim=3, network=network, epochs=30, random_state=0).fit(rows)
    np.testing.assert_array_equal(model.score_samples(X), by_rows.score_samples(rows))
    for method in ("reconstruct", "score_features"):
        result = getattr(model, method)(X)
        assert result.shape == X.shape
        result = np.moveaxis(result, -1, 1) if channels_last else result
        np.testing.assert_array_equal(result.reshape(30, d), getattr(by_rows, method)(rows))
    np.testing.assert_allclose(
        model.score_features(X), (model.reconstruct(X) - X) ** 2, rtol=1e-3, atol=1e-5
    )


def test_images_of_another_shape_are_refused():
    message = r"has shape \(5, 6\); Conv2d\(shape=\(1, 6, 5\)\) takes rows, .* or \(6, 5, 1\)"
    with pytest.raises(ValueError, match=message):
        Autoencoder(network=Conv2d(shape=(1, 6, 5))).fit(np.ones((9, 5, 6)))


def test_convolution_equals_torchs_own():
    """The encoder of two stacked models is two encoders of torch.nn layers."""
    net = Conv2d(shape=(2, 9, 8), channels=(3, 5)).build(144, 4, [seeded(0), seeded(1)])
    x = torch.randn(2, 6, 144, generator=seeded(2))
    for k in range(2):
        h = x[k].reshape(6, 2, 9, 8)
        for layer in net.encoder[1:3]:
            h = torch.nn.functional.conv2d(h, layer.weight[k], layer.offset[k], 2, 1).relu()
        affine = net.encoder[-1].weight[k]
        expected = h.flatten(1) @ affine[:-1] + affine[-1]
        torch.testing.assert_close(net.encode(x)[k], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Conv2d(shape=(1, 28, 28)), r"Conv2d\(shape=\(1, 28, 28\)\) holds 784 values, X has 64"),
        (Conv2d(shape=(8, 8)), "expected channels and 2 side"),
        (Conv1d(shape=(1, 64), kernel_size=4), "kernel_size=4 must be odd"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(network, message, digits):
    with pytest.raises(ValueError, match=message):
        Autoencoder(network=network).fit(digits[:50])


# What ordinary use comes across ------------------------------------------------------------------


@every_objective
def test_every_objective_stops_early(objective, digits):
    model = clone(objective).set_params(
        network=NETWORK, early_stopping=True, epochs=3, latent_dim=4, random_state=0
    )
    assert len(model.fit(digits[:100]).validation_loss_curve_) == 3


@pytest.mark.parametrize(
    "network", [Dense(hidden=(16,), output_activation="sigmoid"), Dense(hidden=(16,), bias=False)]
)
def test_gaps_are_filled_by_column_means_in_every_network(network, rng):
    X = (0.9 + 0.02 * rng.standard_normal((300, 1)) * np.ones(6)).clip(0, 1)
    model = Autoencoder(network=network, latent_dim=2, epochs=30, random_state=0).fit(X)
    gap, mean = X.copy(), X.copy()
    gap[:, 0], mean[:, 0] = np.nan, X[:, 0].mean()
    np.testing.assert_allclose(model.transform(gap), model.transform(mean), atol=1e-5)


def test_a_column_that_is_hardly_ever_observed(rng):
    X = rng.standard_normal((3000, 4))
    X[3:, 3] = np.nan
    for seed in range(3):
        model = Autoencoder(epochs=1, random_state=seed).fit(X)
        assert np.isfinite(model.score_samples(X)).all()


def test_kernel_does_not_mind_a_far_origin_or_copies(rng):
    X = rng.standard_normal((300, 5))
    scores = KernelAutoencoder().fit(X).score_samples(X)
    far = KernelAutoencoder().fit(X + 1e9).score_samples(X + 1e9)
    np.testing.assert_allclose(far, scores, rtol=1e-3)
    copies = np.r_[np.zeros((200, 5)), X]
    small, large = (
        KernelAutoencoder().fit(copies * unit).score_samples(copies * unit) / unit**2
        for unit in (1e-4, 1e4)
    )
    np.testing.assert_allclose(small, large, rtol=1e-6, atol=1e-12)


def test_a_single_item_is_always_looked_up(digits):
    model = MemoryAutoencoder(n_items=1, latent_dim=3, epochs=20, random_state=0).fit(digits[:99])
    np.testing.assert_allclose(model.transform(digits[:5]), np.tile(model.items_, (5, 1)))


def test_later_changes_leave_fitted_objectives_alone(digits):
    changes = {MemoryAutoencoder: {"n_items": 2}, VariationalAutoencoder: {"variance": "learned"}}
    for objective, change in changes.items():
        model = objective(latent_dim=3, epochs=20, random_state=0).fit(digits[:99])
        scores = model.score_samples(digits)
        model.set_params(**change)
        copy = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copy.score_samples(digits), scores)


def test_hidden_layers_of_a_convolution_are_counted_once():
    objective = SparseAutoencoder.objective(layers="hidden")
    net = Conv2d(shape=(1, 4, 4), channels=(4, 8)).build(16, 2, [seeded(0)])
    widths = [z.shape[-1] for z in objective.penalised(net, torch.ones(1, 3, 16))]
    assert widths == [4 * 2 * 2, 8 * 1 * 1, 2]


def test_corrupted_rows_may_leave_the_range_of_the_loss(digits, rng):
    noisy = digits + rng.standard_normal(digits.shape)
    network = Dense(hidden=(32,), output_activation="sigmoid")
    model = DenoisingAutoencoder(
        network=network, loss="binary_cross_entropy", epochs=30, random_state=0
    )
    model.fit(digits, X_corrupted=noisy)
    assert model.fit_report_["error"] < model.fit_report_["mean_row_error"]


def test_images_are_completed_as_images(digits):
    images = digits[:200].reshape(-1, 8, 8).copy()
    images[::2, 2:4, 2:4] = np.nan
    model = Autoencoder(network=Conv2d(shape=(1, 8, 8)), latent_dim=4, epochs=20, random_state=0)
    completed = model.fit(images).complete(images, n_steps=5)
    assert completed.shape == images.shape
    assert np.isfinite(completed).all()


def test_hidden_layers_of_a_network_that_has_none_are_not_penalised():
    with pytest.raises(TypeError, match="layers='hidden' penalises .* is a Coder. Set layers='cod"):
        Sparse(layers="hidden").loss(Coder(), torch.zeros(1, 2, 3))


def test_gaps_in_corrupted_rows_are_filled_by_column_means(digits, rng):
    X, lost = digits[:100], rng.random((100, 64)) < 0.3
    model = DenoisingAutoencoder(latent_dim=4, epochs=5, random_state=0)
    by_gaps, by_means = (
        clone(model).fit(X, X_corrupted=np.where(lost, filling, X)).score_samples(X)
        for filling in (np.nan, X.mean(axis=0))
    )
    np.testing.assert_allclose(by_gaps, by_means, rtol=1e-4)


@pytest.mark.parametrize(
    ("corruption", "message"),
    [
        (MaskingNoise(rate=7), "MaskingNoise: rate=7; expected a number at least 0 and at most 1"),
        (lambda x, _: x[:1], r"corruption=<function .* made \(1, 64\) of rows \(8, 64\)"),
        (lambda x, _: x[:, :1], r"corruption=<function .* made \(8, 1\) of rows \(8, 64\)"),
    ],
    ids=["rate", "a row", "a column"],
)
def test_corruptions_that_cannot_be_are_refused(corruption, message, digits):
    with pytest.raises(ValueError, match=message):
        DenoisingAutoencoder(corruption=corruption, epochs=1).fit(digits[:32])


def test_codes_of_many_rows_are_found_block_by_block(rng, monkeypatch):
    sizes, codes = [], TrainedModel.codes
    monkeypatch.setattr(
        TrainedModel, "codes", lambda self, X: sizes.append(len(X)) or codes(self, X)
    )
    X = rng.standard_normal((3 * CHUNK, 3))
    model = SparseAutoencoder(latent_dim=2, epochs=1, contamination=0, random_state=0).fit(X)
    assert max(sizes) <= CHUNK
    expected = np.abs(model.transform(X)).mean(axis=0)
    np.testing.assert_allclose(model.activation_rates_, expected, rtol=1e-6)


def test_fields_of_an_objective_are_the_estimators_parameters(digits):
    class Shrinking(Objective):
        shrinkage: float = 0.1

        def loss(self, net, x):
            z = net.encode(x)
            return self.row_error(net.decode(z), x) + self.shrinkage * z.square().mean(-1)

    class ShrinkingAutoencoder(Autoencoder):
        shrinkage: float = 0.1

        objective = Shrinking

    model = ShrinkingAutoencoder(shrinkage=3.0, epochs=5, random_state=0).fit(digits[:99])
    assert model.model_.objective.shrinkage == 3.0
