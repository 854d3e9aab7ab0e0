"""Walking, drawing and filling gaps in the space of codes; the encoder on its own."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from aedetect import (
    Autoencoder,
    Conv2d,
    MemoryAutoencoder,
    VariationalAutoencoder,
)


@pytest.fixture(scope="module")
def model(digits):
    return Autoencoder(latent_dim=8, epochs=60, random_state=0).fit(digits[:1400])


def test_interpolation_ends_at_the_rebuilt_rows(model, digits):
    path = model.interpolate(digits[0], digits[1], n=7)
    assert path.shape == (7, 64)
    np.testing.assert_allclose(path[[0, -1]], model.reconstruct(digits[:2]), atol=1e-6)
    steps = np.linalg.norm(np.diff(model.transform(path), axis=0), axis=1)
    assert steps.max() < 3 * steps.min()


def test_interpolation_of_images_gives_images(model, digits):
    images = digits.reshape(-1, 8, 8)
    path = model.interpolate(images[0], images[1], n=4)
    assert path.shape == (4, 8, 8)
    np.testing.assert_array_equal(path.reshape(4, 64), model.interpolate(digits[0], digits[1], n=4))


def test_interpolation_wants_no_table_of_codes(model, digits):
    in_pandas = deepcopy(model).set_output(transform="pandas")
    expected = model.interpolate(digits[0], digits[1])
    np.testing.assert_array_equal(in_pandas.interpolate(digits[0], digits[1]), expected)


def test_completion_leaves_no_gradient_behind(model, digits):
    parameters = list(model.model_.net.parameters())
    model.complete(np.where(digits[:5] > 0.9, np.nan, digits[:5]), n_steps=2)
    assert all(parameter.grad is None for parameter in parameters)


def test_middle_of_a_path_is_nearer_to_the_data_than_a_fading(model, digits):
    pairs = np.random.default_rng(0).choice(1400, (200, 2))
    halfway = np.array([model.interpolate(digits[i], digits[j], n=3)[1] for i, j in pairs])
    fading = (digits[pairs[:, 0]] + digits[pairs[:, 1]]) / 2
    nearest = [np.median(cdist(some, digits).min(axis=1)) for some in (halfway, fading)]
    assert nearest[0] <= 0.95 * nearest[1]


def test_samples_have_the_moments_of_the_codes(model):
    rows = model.sample(4000, random_state=0)
    assert rows.shape == (4000, 64)
    np.testing.assert_array_equal(rows[:5], model.sample(4000, random_state=0)[:5])
    drawn = np.random.default_rng(0).multivariate_normal(
        model.code_mean_, model.code_covariance_, 4000
    )
    expected = model.inverse_transform(drawn)
    np.testing.assert_allclose(rows.mean(axis=0), expected.mean(axis=0), atol=0.02)


# D14
def test_gaps_are_filled_better_than_by_one_pass(model, digits):
    X = digits[1400:]
    image = np.zeros((8, 8), bool)
    image[2:6, 2:6] = True
    observed = np.tile(~image.ravel(), (len(X), 1))
    gaps = np.where(observed, X, np.nan)
    errors = [
        np.square(model.complete(gaps, n_steps=steps) - X)[~observed].mean() for steps in (0, 200)
    ]
    assert errors[1] <= 0.9 * errors[0]
    by_mask = model.complete(np.where(observed, X, 0), observed=observed)
    np.testing.assert_allclose(by_mask, model.complete(gaps), atol=1e-6)
    np.testing.assert_array_equal(by_mask[observed], X[observed])
    mean_fill = np.square(digits[:1400].mean(axis=0) - X)[~observed].mean()
    assert errors[1] < mean_fill


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaps_are_filled_with_numbers_wherever_steps_lead(dtype, model, digits):
    X = digits[1400:1420].astype(dtype)
    X[:, ::7] = np.nan
    lost = model.complete(X, n_steps=3, learning_rate=1e37)
    np.testing.assert_allclose(lost, model.complete(X, n_steps=0), rtol=1e-5)
    X[:, 1] = 1e30
    assert np.isfinite(model.complete(X, n_steps=3)).all()


def test_a_row_without_values_is_named(model, digits):
    X = digits[:5].copy()
    X[3] = np.nan
    with pytest.raises(ValueError, match="Row 3 of X has no observed value"):
        model.complete(X)


@pytest.mark.parametrize(
    "variant",
    [
        Autoencoder(),
        Autoencoder(network=Conv2d(shape=(1, 8, 8))),
        VariationalAutoencoder(),
        MemoryAutoencoder(),
    ],
    ids=lambda variant: repr(variant),
)
def test_encoder_module_is_the_encoder(variant, digits):
    variant.set_params(latent_dim=4, epochs=20, learning_rate=3e-3, random_state=0)
    model = variant.fit(digits[:300])
    module = model.encoder_module()
    x = torch.from_numpy(digits[:50]).float()
    np.testing.assert_allclose(module(x).detach(), model.transform(digits[:50]), atol=1e-4)
    scores = model.score_samples(digits)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(x).square().sum().backward()
    optimizer.step()
    assert (module(x) - torch.from_numpy(model.transform(digits[:50]))).abs().max() > 1e-3
    np.testing.assert_array_equal(model.score_samples(digits), scores)
