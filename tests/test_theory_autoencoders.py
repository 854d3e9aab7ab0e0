"""What lectures on autoencoders claim, each as a measurement."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from aedetect import Autoencoder, Dense, PCADetector, Tied

LINEAR = Dense(hidden=())
D = 16


@pytest.fixture(scope="module")
def linear(digits):
    return Autoencoder(latent_dim=D, network=LINEAR, epochs=300, random_state=0).fit(digits)


@pytest.fixture(scope="module")
def tied(digits):
    return Autoencoder(latent_dim=D, network=Tied(), epochs=300, random_state=0).fit(digits)


@pytest.fixture(scope="module")
def pca(digits):
    return PCA(D, svd_solver="full").fit(digits)


def pca_error(X, k):
    pca = PCA(k).fit(X)
    return np.square(X - pca.inverse_transform(pca.transform(X))).mean()


def decoder_columns(model):
    """Directions in data space that the code moves along, as columns (n_features, latent_dim)."""
    k = model.latent_dim_
    origin = model.inverse_transform(np.zeros((1, k)))
    return (model.inverse_transform(np.eye(k)) - origin).T


# A1
def test_only_the_code_passes(digits, linear):
    codes = linear.transform(digits)
    assert codes.shape == (len(digits), D)
    np.testing.assert_array_equal(linear.inverse_transform(codes), linear.reconstruct(digits))
    away = np.linalg.svd(linear.weights_["encoder.0.weight"][:-1].T)[2][D:]  # leaves codes alone
    moved = digits[:48] + 10 * linear.scale_ * away
    np.testing.assert_allclose(linear.transform(moved), codes[:48], atol=1e-4)
    np.testing.assert_allclose(
        linear.reconstruct(moved), linear.reconstruct(digits[:48]), atol=1e-4
    )


# A2
def test_training_lowers_the_loss_and_is_repeatable(digits):
    fits = [Autoencoder(latent_dim=D, epochs=30, random_state=3).fit(digits) for _ in range(2)]
    assert fits[0].loss_curve_[-1] <= 0.5 * fits[0].loss_curve_[0]
    for name, weight in fits[0].weights_.items():
        np.testing.assert_array_equal(weight, fits[1].weights_[name])


# A4
def test_four_hyper_parameters(digits):
    model = Autoencoder(latent_dim=3, network=(20, 10), loss="absolute_error", epochs=9)
    shapes = [
        w.shape for w in clone(model).set_params(random_state=0).fit(digits).weights_.values()
    ]
    assert shapes == [(65, 20), (21, 10), (11, 3), (4, 10), (11, 20), (21, 64)]
    grid = {
        "latent_dim": [2, 4],
        "network": [(8,), (16, 8)],
        "loss": ["squared_error", "absolute_error"],
    }
    search = GridSearchCV(model, grid, cv=KFold(2, shuffle=True, random_state=0))
    assert len(search.fit(digits[:100]).cv_results_["params"]) == 8


# A5
def test_squared_error_is_the_mean_over_columns(digits, linear):
    error = np.square(digits - linear.reconstruct(digits)).mean(axis=1)
    np.testing.assert_allclose(-linear.score_samples(digits), error, rtol=1e-6)
    assert linear.loss_curve_[-1] == pytest.approx(error.mean(), rel=0.02)  # the epoch's average


# A6
def test_absolute_error_resists_outliers(digits, rng):
    train, test = digits[:1400].copy(), digits[1400:]
    spoiled = rng.choice(len(train), 70, replace=False)
    train[spoiled] = rng.integers(0, 2, (70, 64))
    errors = {
        loss: np.abs(
            test
            - Autoencoder(latent_dim=8, loss=loss, epochs=60, random_state=0)
            .fit(train)
            .reconstruct(test)
        ).mean()
        for loss in ("squared_error", "absolute_error")
    }
    assert errors["absolute_error"] < errors["squared_error"]


# A7
def test_cross_entropy_trains_as_well(digits):
    network = Dense(hidden=(64,), output_activation="sigmoid")
    errors = {}
    for loss in ("squared_error", "binary_cross_entropy"):
        model = Autoencoder(latent_dim=32, network=network, loss=loss, epochs=100, random_state=0)
        rebuilt = model.fit(digits[:1400]).reconstruct(digits[1400:])
        errors[loss] = np.square(digits[1400:] - rebuilt).mean()
    assert errors["binary_cross_entropy"] <= 1.3 * errors["squared_error"]


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.05), ("rmsprop", 1e-3), ("adam", 1e-3)])
# A8
def test_any_optimizer(optimizer, rate, digits):
    model = Autoencoder(optimizer=optimizer, learning_rate=rate, epochs=30, random_state=0)
    curve = model.fit(digits).loss_curve_
    assert curve[-1] <= 0.7 * curve[0]


# A9
def test_eight_sigmoid_layers_do_not_stall(digits):
    network = Dense(
        hidden=(48, 32, 16),
        activation="sigmoid",
        code_activation="sigmoid",
        output_activation="sigmoid",
    )
    model = Autoencoder(latent_dim=2, network=network, epochs=100, random_state=0).fit(digits)
    assert len(model.weights_) == 8
    assert -model.score(digits) < pca_error(digits, 2)


# A18
def test_wide_code_learns_the_identity(digits, rng):
    varied = digits.std(axis=0) > 0.01  # what hardly changes in training cannot be learned
    noise = rng.uniform(0, 1, (500, 64))
    with pytest.warns(UserWarning, match="identity"):
        wide = Autoencoder(latent_dim=64, network=LINEAR, epochs=100, random_state=0).fit(digits)
    narrow = Autoencoder(latent_dim=16, network=LINEAR, epochs=100, random_state=0).fit(digits)
    assert -wide.score(digits) < 1e-4
    noise_where_varied = np.where(varied, noise, digits.mean(axis=0))
    assert wide.score_features(noise_where_varied)[:, varied].mean() < 5e-3
    assert narrow.score_features(noise).mean() > 0.08


# B1
def test_linear_is_pca(digits, linear, pca):
    assert -linear.score(digits) <= 1.01 * pca_error(digits, D)
    basis = np.linalg.qr(decoder_columns(linear))[0]
    captured = np.trace(basis.T @ np.cov(digits.T) @ basis) / pca.explained_variance_.sum()
    assert captured >= 0.995
    angles = np.degrees(subspace_angles(decoder_columns(linear), pca.components_.T))
    assert angles.max() <= 10


@pytest.mark.parametrize("network", [LINEAR, Tied()])
# B1
def test_subspace_is_exact_where_eigenvalues_are_apart(network, rng):
    scales = np.r_[np.linspace(5, 3, 4), np.full(16, 0.5)]
    X = (rng.standard_normal((4000, 20)) * scales) @ np.linalg.qr(rng.standard_normal((20, 20)))[0]
    model = Autoencoder(latent_dim=4, network=network, epochs=60, batch_size=128, random_state=0)
    model.fit(X)
    angles = subspace_angles(decoder_columns(model), PCA(4).fit(X).components_.T)
    assert np.degrees(angles.max()) < 1


# B2
def test_tied_weights_are_pca(digits, tied, linear):
    net = tied.model_.net
    assert net.decoder[0].weight is net.encoder[0].weight
    assert tied.n_parameters_ == linear.n_parameters_ - 64 * D
    assert -tied.score(digits) <= 1.01 * pca_error(digits, D)
    W = tied.weights_["encoder.0.weight"][:-1].astype(float)  # (64, D), learned, not imposed
    assert np.abs(W.T @ W - np.eye(D)).max() < 5e-3


# B3
def test_closed_form_matches_pca_and_gradient_training_is_not_orthonormal(digits, linear, pca):
    ours = PCADetector(latent_dim=D).fit(digits)
    np.testing.assert_allclose(ours.components_, pca.components_, atol=1e-5)
    columns = decoder_columns(linear)
    columns = columns / np.linalg.norm(columns, axis=0)
    assert np.abs(columns.T @ columns - np.eye(D)).max() > 0.05


# B4
def test_without_centring_it_is_the_uncentred_svd(digits):
    axes = PCA(2).fit(digits).components_.T
    uncentred = np.linalg.svd(digits, full_matrices=False)[2][:2].T
    angles = {}
    for bias in (False, True):
        network = Dense(hidden=(), bias=bias)
        model = Autoencoder(latent_dim=2, network=network, epochs=200, random_state=0).fit(digits)
        columns = decoder_columns(model)
        angles[bias] = [np.degrees(subspace_angles(columns, A).max()) for A in (axes, uncentred)]
    assert angles[False][0] > 45
    assert angles[False][1] < 10
    assert angles[True][0] < 10


# B5
def test_least_error_is_most_variance(digits, linear):
    rebuilt = linear.reconstruct(digits)
    residual, captured = (digits - rebuilt).var(axis=0).sum(), rebuilt.var(axis=0).sum()
    assert residual + captured == pytest.approx(digits.var(axis=0).sum(), rel=1e-2)


@pytest.mark.parametrize("k", [1, 2, 4, 8, 16])
# B6
def test_curved_beats_flat(k, digits):
    train, test = digits[:1400], digits[1400:]
    model = Autoencoder(latent_dim=k, network=(128, 64), epochs=100, batch_size=32, random_state=0)
    pca = PCA(k).fit(train)
    flat = np.square(test - pca.inverse_transform(pca.transform(test))).mean()
    assert -model.fit(train).score(test) < 0.9 * flat


# B7
def test_learns_a_curve(rng):
    t = np.sort(rng.uniform(0, np.pi, 500))
    arc = np.c_[np.cos(t), np.sin(t), 0.3 * t]
    best = 0.0
    for seed in range(3):
        model = Autoencoder(latent_dim=1, network=(32, 16), epochs=100, random_state=seed).fit(arc)
        if -model.score(arc) < 0.05 * arc.var(axis=0).mean():
            best = max(best, abs(spearmanr(model.transform(arc)[:, 0], t).statistic))
    assert best >= 0.95


# B8
def test_codes_are_features(digits):
    from sklearn.datasets import load_digits

    y = load_digits().target
    encoder = Autoencoder(latent_dim=8, epochs=100, random_state=0)
    neighbours = KNeighborsClassifier(5)
    coded = make_pipeline(encoder, neighbours).fit(digits[:1400], y[:1400])
    raw = clone(neighbours).fit(digits[:1400], y[:1400])
    assert coded.score(digits[1400:], y[1400:]) >= raw.score(digits[1400:], y[1400:]) - 0.05


# E2
def test_threshold_on_new_rows(rng):
    W = rng.standard_normal((4, 12))
    train, test = (
        rng.standard_normal((n, 4)) @ W + 0.3 * rng.standard_normal((n, 12)) for n in (5000, 5000)
    )
    model = Autoencoder(latent_dim=4, epochs=20, contamination=0.05, random_state=0).fit(train)
    assert np.mean(model.predict(test) == -1) == pytest.approx(0.05, abs=0.02)
