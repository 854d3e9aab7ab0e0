import numpy as np
import pytest
from sklearn.decomposition import PCA

from aedetect import PCADetector
from aedetect.rows.linear import principal_axes

pytestmark = pytest.mark.machines


@pytest.mark.filterwarnings("ignore:latent_dim=64 keeps all columns")
@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("k", [1, 16, 64])
def test_equals_scikit_learn(k, whiten, digits):
    ours = PCADetector(latent_dim=k, whiten=whiten).fit(digits)
    theirs = PCA(k, whiten=whiten, svd_solver="full").fit(digits)
    held = theirs.explained_variance_ > 1e-10  # directions without variance are arbitrary
    np.testing.assert_allclose(ours.explained_variance_, theirs.explained_variance_, atol=1e-12)
    np.testing.assert_allclose(ours.components_[held], theirs.components_[held], atol=1e-5)
    codes = theirs.transform(digits)
    np.testing.assert_allclose(ours.transform(digits)[:, held], codes[:, held], atol=1e-5)
    rebuilt = theirs.inverse_transform(codes)
    np.testing.assert_allclose(ours.reconstruct(digits), rebuilt, atol=1e-8)
    error = np.square(digits - rebuilt).mean(axis=1)
    np.testing.assert_allclose(-ours.score_samples(digits), error, atol=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 1.0, np.float32(0.9)])
def test_share_of_variance_equals_scikit_learn(share, digits):
    ours = PCADetector(latent_dim=share).fit(digits)
    if share < 1:
        assert ours.latent_dim_ == PCA(float(share), svd_solver="full").fit(digits).n_components_
    kept = ours.explained_variance_.sum() / digits.var(axis=0, ddof=1).sum()
    assert kept >= share - 1e-12


def test_randomized_axes_equal_the_exact_ones(rng):
    X = rng.standard_normal((400, 20)) @ rng.standard_normal((20, 350))
    X += 0.01 * rng.standard_normal(X.shape)
    _, axes, variances = principal_axes(X, 10)
    exact = PCA(10, svd_solver="full").fit(X)
    np.testing.assert_allclose(variances, exact.explained_variance_, rtol=1e-6)
    np.testing.assert_allclose(axes, exact.components_, atol=1e-5)


@pytest.mark.parametrize("shape", [(60, 16), (16, 60)])
def test_axes_do_not_depend_on_the_unit(shape, rng):
    X = rng.standard_normal(shape) * np.geomspace(1, 9, shape[1])
    mean, axes, variances = principal_axes(X, 5)
    for unit in (2.0**-700, 2.0**300):
        again = principal_axes(X * unit, 5)
        np.testing.assert_allclose(again[1], axes, atol=1e-12)
        np.testing.assert_allclose(again[0] / unit, mean, atol=1e-12)
        np.testing.assert_allclose(again[2], variances * unit**2, rtol=1e-9)


def test_axes_are_found_of_values_of_all_sizes(rng):
    for _ in range(300):
        n, d = rng.integers(2, 24, 2)
        X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-320, 100, (n, d))
        axes = principal_axes(X)[1]
        np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-9)


def test_more_columns_than_rows(rng):
    X = rng.standard_normal((10, 40))
    ours = PCADetector(latent_dim=9).fit(X)
    np.testing.assert_allclose(ours.reconstruct(X), X, atol=1e-10)
    assert PCADetector(latent_dim=30).fit(X).latent_dim_ == 10


@pytest.mark.parametrize("share", [0.9, 0.99999, 1.0])
def test_a_share_leaves_something_to_be_wrong_in(share, rng):
    X = rng.standard_normal((200, 1)) * [1, 1] + 0.3 * rng.standard_normal((200, 2))
    X[0] = [4, -4]
    detector = PCADetector(latent_dim=share).fit(X)
    assert detector.latent_dim_ == 1
    assert detector.predict(X)[0] == -1
    np.testing.assert_allclose(detector.components_[0] ** 2, 0.5, atol=0.05)


def test_with_few_rows_too(rng):
    X = rng.standard_normal((10, 40))
    detector = PCADetector(latent_dim=1.0).fit(X)
    assert detector.latent_dim_ == 8  # nine would rebuild all ten
    assert -detector.score_samples(X).max() > 1e-6


def test_too_many_components_are_refused(digits):
    with pytest.raises(ValueError, match="latent_dim=65 exceeds the 64 columns"):
        PCADetector(latent_dim=65).fit(digits)


def test_whitened_codes_have_unit_variance(digits):
    codes = PCADetector(latent_dim=8, whiten=True).fit_transform(digits)
    np.testing.assert_allclose(np.cov(codes.T), np.eye(8), atol=1e-8)
