"""ImageFilter, and the detector for small images that it comes before."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from aedetect import ImageFilter, load, make_image_detector, save


def test_each_image_and_channel_is_blurred_alone(rng):
    images = rng.normal(size=(3, 9, 8, 2))
    found = ImageFilter(blur=0.7).fit_transform(images)
    for i in range(3):
        for c in range(2):
            np.testing.assert_allclose(found[i, ..., c], gaussian_filter(images[i, ..., c], 0.7))


def test_the_background_is_a_wider_blur(rng):
    images = rng.normal(size=(3, 9, 8))
    found = ImageFilter(blur=0.7, background=2.0).fit_transform(images)
    for image, other in zip(images, found, strict=True):
        np.testing.assert_allclose(other, gaussian_filter(image, 0.7) - gaussian_filter(image, 2.0))


def test_uneven_light_is_taken_away(rng):
    images = rng.normal(size=(3, 64, 64))
    light = 5 * np.linspace(-1, 1, 64)
    even, uneven = (
        ImageFilter(background=3.0).fit_transform(some) for some in (images, images + light)
    )
    assert np.abs(even - uneven)[:, :, 12:-12].max() < 1e-3  # a plane, but for the edges


def test_rows_are_images_of_the_shape_that_is_told(rng):
    images = rng.normal(size=(3, 9, 8))
    rows = ImageFilter(blur=1.0, standardize=True, shape=(9, 8)).fit_transform(
        images.reshape(3, 72)
    )
    whole = ImageFilter(blur=1.0, standardize=True).fit_transform(images)
    np.testing.assert_array_equal(rows, whole.reshape(3, 72))


def test_light_and_contrast_are_taken_away(rng):
    images = rng.normal(size=(3, 9, 8, 3))
    filtered = ImageFilter(standardize=True)
    found = filtered.fit_transform(images)
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(found.std((1, 2, 3)), 1)
    np.testing.assert_allclose(filtered.fit_transform(7 + 3 * images), found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", [1e-25, 1.0, 1e25])
def test_contrast_is_taken_away_in_any_unit_and_of_constant_images_nothing_is_left(
    dtype, unit, rng
):
    images = (unit * rng.normal(size=(3, 37, 41))).astype(dtype)
    np.testing.assert_allclose(ImageFilter(standardize=True).fit_transform(images).std(), 1, 1e-3)
    constant = np.ones((99, 37, 41), dtype) * (unit * rng.random((99, 1, 1))).astype(dtype)
    assert (ImageFilter(standardize=True).fit_transform(constant) == 0).all()


def test_gaps_are_refused_however_they_come():
    rows = np.ma.masked_equal([[1.0, 2.0, 3.0, 4.0]], 3.0)
    with pytest.raises(ValueError, match="X holds nan; expected finite"):
        ImageFilter(shape=(2, 2)).fit(rows)
    with pytest.raises(ValueError, match="several shapes"):
        ImageFilter().fit([np.zeros((3, 3)), np.zeros((3, 4))])


def test_sparse_rows_are_rows():
    rows = csr_array([[0.0, 2.0, 3.0, 4.0]])
    found = ImageFilter(shape=(2, 2)).fit_transform(rows)
    np.testing.assert_array_equal(found, rows.toarray())


def test_integers_are_not_rounded(rng):
    images = rng.integers(0, 255, (2, 9, 8), dtype=np.uint8)
    found = ImageFilter(blur=1.0).fit_transform(images)
    np.testing.assert_allclose(found[0], gaussian_filter(images[0].astype(float), 1.0), rtol=1e-5)


@pytest.mark.parametrize("shape", [None, (8, 8), (9,), (9, 8, 1)])
def test_rows_of_another_length_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape=.*X has rows of 72 values"):
        ImageFilter(shape=shape).fit(np.zeros((3, 72)))


def test_images_of_another_shape_and_parameters_set_later_are_refused():
    with pytest.raises(ValueError, match=r"shape=\(8, 8\); X has images of \(9, 8\) pixels"):
        make_image_detector(shape=(8, 8)).fit(np.zeros((3, 9, 8)))
    with pytest.raises(ValueError, match="blur=-2; expected"):
        ImageFilter().fit(np.zeros((3, 9, 8))).set_params(blur=-2).transform(np.zeros((3, 9, 8)))


@pytest.mark.parametrize("digit", [3, 8])
def test_digits_are_told_apart_as_rows_as_arrays_and_from_a_file(digits, digit, tmp_path):
    y = load_digits().target
    train, test = digits[y == digit][:60], np.r_[digits[y == digit][60:], digits[y != digit]]
    truth = np.arange(len(test)) < (y == digit).sum() - 60
    detector = make_image_detector(shape=(8, 8)).fit(train)
    scores = detector.score_samples(test)
    assert roc_auc_score(truth, scores) > 0.95
    save(detector, tmp_path / "model")
    np.testing.assert_allclose(load(tmp_path / "model").score_samples(test), scores)
    arrays = make_image_detector().fit(train.reshape(-1, 8, 8))
    np.testing.assert_allclose(arrays.score_samples(test.reshape(-1, 8, 8)), scores)
