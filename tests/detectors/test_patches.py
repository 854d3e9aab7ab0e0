"""PatchDetector: maps, scores of images, and thresholds, on stripes with and without a spot."""

import pickle

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    ConformalDetector,
    GaussianDetector,
    KernelAutoencoder,
    PatchDetector,
    PCADetector,
    load,
    save,
)


def stripes(n, rng, shape=(40, 40)):
    """Waves of any phase, with noise."""
    down, across = np.ogrid[: shape[0], : shape[1]]
    phase = rng.uniform(0, 6, (n, 1, 1))
    return np.sin(down + 0.3 * across + phase) + rng.normal(0, 0.1, (n, *shape))


def spotted(images, at, side=4):
    spotted = images.copy()
    spotted[:, at[0] : at[0] + side, at[1] : at[1] + side] = 0.0
    return spotted


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return stripes(60, rng), stripes(200, rng)


@pytest.fixture(scope="module")
def detector(images):
    return PatchDetector(size=8, random_state=0).fit(images[0])


def test_one_window_is_the_estimator_itself(images):
    """A patch as large as the image, without smoothing: whole images are its rows."""
    train, test = (some[:, :8, :8] for some in images)
    options = {"size": 8, "smoothing": 0, "pooling": "mean", "max_patches": 1000}
    patches = PatchDetector(estimator=PCADetector(latent_dim=5), **options).fit(train)
    whole = PCADetector(latent_dim=5).fit(train)
    np.testing.assert_allclose(patches.error_maps(test), whole.score_features(test), atol=1e-12)


@pytest.mark.parametrize(("pooling", "count"), [("max", 1), ("mean", 1600), (0.01, 16), (1e-9, 1)])
def test_the_error_of_an_image_is_that_of_its_strangest_pixels(pooling, count, images):
    detector = PatchDetector(size=8, pooling=pooling, random_state=0).fit(images[0])
    test = images[1][:9]
    errors = (detector.error_maps(test) / detector.usual_).reshape(9, -1)
    strangest = np.sort(errors, axis=1)[:, -count:].mean(axis=1)
    expected = np.sqrt(strangest * strangest / np.median(errors, axis=1))
    np.testing.assert_allclose(detector.score_samples(test), -expected)


def test_a_coarse_image_is_less_strange_than_one_with_a_spot(images):
    detector = PatchDetector(size=8, random_state=0).fit(images[0])
    test, rng = images[1][:20], np.random.default_rng(0)
    coarse, spotted_ones = test + rng.normal(0, 0.1, test.shape), spotted(test, (17, 9))
    top = np.partition((detector.error_maps(coarse) / detector.usual_).reshape(20, -1), -16)
    assert np.median(top[:, -16:]) > 1.5  # and yet
    assert detector.score_samples(coarse).min() > detector.score_samples(spotted_ones).max()


def test_a_spot_is_found_wherever_it_is(detector, images):
    for at in [(0, 0), (36, 0), (0, 36), (36, 36), (17, 9)]:
        odd = spotted(images[1][:40], at)
        errors = detector.error_maps(odd)
        inside = np.zeros((40, 40), bool)
        inside[at[0] : at[0] + 4, at[1] : at[1] + 4] = True
        aurocs = [roc_auc_score(inside.ravel(), error.ravel()) for error in errors]
        assert np.median(aurocs) > 0.95
        assert (detector.predict(odd) == -1).mean() > 0.9


def test_normal_images_neither_glow_nor_are_flagged(detector, images):
    low, high = detector.map_limits_
    errors = detector.error_maps(images[1])
    assert (errors > low).mean() < 0.02
    assert (errors > high).mean() < 0.001
    assert (detector.predict(images[1]) == -1).mean() < 0.1
    assert detector.error_maps(spotted(images[1][:9], (9, 9))).max(axis=(1, 2)).min() > high


def test_p_values_are_even_on_normal_images(detector, images):
    p = detector.p_values(images[1])
    for share in (0.2, 0.5, 0.8):
        assert abs((p <= share).mean() - share) < 0.15


def test_what_is_usual_at_a_place_is_told_by_training_images(images, rng):
    """Noise on the left only: there errors are usual, on the right the same error is strange."""
    train, test = (some.copy() for some in images)
    for some in (train, test):
        some[:, :, :20] += rng.normal(0, 1, (len(some), 40, 20))
    detector = PatchDetector(size=8, random_state=0).fit(train)
    assert detector.usual_[:, :16].min() > 5 * detector.usual_[:, 24:].max()
    left, right = (np.zeros((40, 40)) for _ in range(2))
    left[10:14, 8:12] = right[10:14, 30:34] = 1.5
    told = [-detector.score_samples(test[:20] + spot) for spot in (left, right)]
    assert (told[1] > told[0]).all()


def test_smoothing_is_a_gaussian_on_the_map(images):
    options = {"size": 8, "random_state": 0}
    rough = PatchDetector(smoothing=0, **options).fit(images[0])
    smooth = PatchDetector(smoothing=1.5, **options).fit(images[0])
    before, after = (d.error_maps(images[1][:3]) for d in (rough, smooth))
    np.testing.assert_allclose(gaussian_filter(before, (0, 1.5, 1.5)), after)


@pytest.mark.parametrize(
    "estimator",
    [
        KernelAutoencoder(max_items=500, random_state=0),
        IsolationForest(random_state=0),
        make_pipeline(StandardScaler(), PCADetector()),
    ],
    ids=["pixels", "patches", "pipeline"],
)
def test_any_detector_scores_patches(estimator, images):
    options = {"size": 8, "stride": 4, "max_patches": 2000, "random_state": 0}
    train = np.stack([images[0][:20]] * 3, axis=-1)
    detector = PatchDetector(estimator=estimator, **options).fit(train)
    test = np.concatenate([images[1][:10], spotted(images[1][10:20], (17, 9), side=10)])
    scores = detector.score_samples(np.stack([test] * 3, axis=-1))
    assert roc_auc_score(np.repeat([1, 0], 10), scores) > 0.9


def test_vectors_of_features_are_patches_of_one_pixel(rng):
    grid = rng.normal(size=(30, 6, 7, 5))
    detector = PatchDetector(estimator=PCADetector(latent_dim=2), size=1, smoothing=0)
    maps = detector.fit(grid).error_maps(grid)
    vectors = grid.reshape(-1, 5)
    expected = -PCADetector(latent_dim=2).fit(vectors).score_samples(vectors)
    np.testing.assert_allclose(maps.ravel(), expected)


def test_the_share_to_flag_and_few_images(images):
    detector = PatchDetector(size=8, contamination=0.25, random_state=0).fit(images[0])
    assert (detector.calibration_scores_ < detector.offset_).sum() == 15
    with pytest.warns(UserWarning, match="X is one image"):
        few = PatchDetector(size=8, random_state=0).fit(images[0][:1])
    assert (few.predict(spotted(images[1][:9], (9, 9))) == -1).all()
    with pytest.raises(AttributeError, match="at least 20 images"):
        few.p_values(images[1])


def test_the_same_seed_gives_the_same_scores_and_a_file_keeps_them(detector, images, tmp_path):
    again = PatchDetector(size=8, random_state=0).fit(images[0])
    save(detector, tmp_path / "model")
    for other in (again, load(tmp_path / "model")):
        np.testing.assert_allclose(
            other.decision_function(images[1][:9]), detector.decision_function(images[1][:9])
        )
    assert load(tmp_path / "model").map_limits_ == detector.map_limits_


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("usual_", np.ones((39, 40)), r"usual_ is float64 of shape \(39, 40\); expected"),
        ("usual_", np.zeros((40, 40)), "usual_=0.0; expected a positive"),
        ("usual_", np.full((40, 40), np.inf), "usual_=inf; expected a positive"),
        ("stride_", 20, "size_=8, stride_=20 and shape_=.* do not fit"),
        ("size_", 64, "size_=64, stride_=2 and shape_=.* do not fit"),
        ("size_", 9, "estimator_ does not score patches of 81 values"),
        ("shape_", (40, 40), "do not fit together"),
        ("map_limits_", 3.0, "map_limits_=3.0 are no two errors"),
        ("map_limits_", (3.0, 1.0), "map_limits_=.* are no two errors"),
        ("calibration_scores_", np.arange(9.0)[::-1], "calibration_scores_ are not sorted"),
        ("estimator_", None, "None is not an estimator"),
        ("estimator_", GaussianDetector(), "GaussianDetector instance is not fitted"),
    ],
)
def test_a_file_of_parts_that_do_not_fit_is_refused(name, value, message, detector, tmp_path):
    spoilt = pickle.loads(pickle.dumps(detector))
    setattr(spoilt, name, value)
    with pytest.raises((ValueError, TypeError), match=message):
        save(spoilt, tmp_path / "model")


@pytest.mark.parametrize("name", ["estimator_", "shape_", "usual_", "map_limits_", "offset_"])
def test_a_file_with_a_part_missing_is_refused(name, detector, tmp_path):
    spoilt = pickle.loads(pickle.dumps(detector))
    delattr(spoilt, name)
    with pytest.raises(ValueError, match=f"PatchDetector has no {name}"):
        save(spoilt, tmp_path / "model")
    save(PatchDetector(), tmp_path / "model")  # nothing is fitted, and nothing missing


def test_parameters_set_after_a_fit_cannot_spoil_it(detector, images):
    changed, X = pickle.loads(pickle.dumps(detector)), images[1][:3]
    for options in ({"stride": 20}, {"size": 100}):
        changed.set_params(**options)
        np.testing.assert_array_equal(changed.score_samples(X), detector.score_samples(X))
        with pytest.raises(ValueError, match="expected at most|exceeds images"):
            changed.fit(images[0])
        np.testing.assert_array_equal(changed.score_samples(X), detector.score_samples(X))
    maps = changed.error_maps(X)
    changed.set_params(pooling="best")
    for score, some in [(changed.score_samples, X), (changed.score_maps, maps)]:
        with pytest.raises(ValueError, match="pooling='best'; expected"):
            score(some)


def test_a_fit_that_fails_changes_nothing(detector, images):
    kept = pickle.loads(pickle.dumps(detector))
    with pytest.raises(ValueError, match="bandwidth=-1"):
        kept.set_params(size=16, estimator=KernelAutoencoder(bandwidth=-1)).fit(images[0])
    np.testing.assert_array_equal(kept.predict(images[1]), detector.predict(images[1]))


def test_a_conformal_detector_takes_images(images):
    patches = PatchDetector(size=8, random_state=0)
    detector = ConformalDetector(estimator=patches, alpha=0.1, random_state=0).fit(images[0])
    assert (detector.predict(images[1]) == -1).mean() < 0.2
    assert (detector.predict(spotted(images[1][:9], (9, 9))) == -1).all()


@pytest.mark.parametrize(
    ("options", "X", "message"),
    [
        ({}, np.zeros((3, 20, 40)), r"size=32 exceeds images of 20 x 40 pixels"),
        ({"size": 8, "stride": 9}, np.zeros((3, 20, 40)), "stride=9; expected at most size=8"),
        ({"size": 0}, np.zeros((3, 20, 40)), "size=0; expected an integer at least 1"),
        ({"pooling": 0.0}, np.zeros((3, 20, 40)), "pooling=0.0; expected"),
        ({}, np.zeros((3, 20)), r"shape \(3, 20\); expected numbers of shape \(n, height, width\)"),
        ({}, np.full((3, 40, 40), np.nan), "X holds nan; expected finite"),
        ({}, np.full((3, 40, 40), "a"), "expected numbers of shape"),
        ({}, [np.zeros((40, 40)), np.zeros((40, 41))], r"several shapes, \(40, 40\) and \(40, 41"),
        ({}, np.zeros((2, 32, 32)), "X has 2 images, and size=32 makes one patch of each"),
        (
            {"max_patches": 1},
            np.zeros((3, 40, 40)),
            "max_patches=1; expected .* at least 2",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(options, X, message):
    with pytest.raises(ValueError, match=message):
        PatchDetector(**options).fit(X)


@pytest.mark.parametrize("estimator", [3, LocalOutlierFactor(), StandardScaler()])
def test_what_scores_no_patches_is_refused(estimator):
    with pytest.raises(TypeError, match=r"estimator=.*; expected a detector with score_samples"):
        PatchDetector(estimator=estimator).fit(np.zeros((3, 40, 40)))


def test_images_of_another_size_are_refused(detector, images):
    with pytest.raises(ValueError, match="X has images of 39 x 40 x 1 values; the training images"):
        detector.score_samples(images[1][:, 1:])
    with pytest.raises(ValueError, match=r"maps has one of shape \(39, 40\); expected \(40, 40\)"):
        detector.score_maps(np.zeros((2, 39, 40)))


def test_no_form_of_the_same_images_changes_a_score(images):
    whole = (100 * images[0][:30]).round().clip(-100, 100) + 100
    narrow = whole.astype(np.uint8)
    locked = whole.copy()
    locked.flags.writeable = False
    expected = PatchDetector(size=8, random_state=0).fit(whole).score_samples(whole[:3])
    for same in (narrow, locked, list(whole), whole.astype(np.float32), np.asfortranarray(whole)):
        detector = PatchDetector(size=8, random_state=np.random.RandomState(0))
        scores = detector.set_params(random_state=0).fit(same).score_samples(same[:3])
        np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_allclose(
        PatchDetector(size=8, random_state=0).fit(1e30 * whole).score_samples(1e30 * whole[:3]),
        expected,
        rtol=1e-5,
    )


@pytest.mark.filterwarnings("ignore:X has . rows, too few")
@pytest.mark.parametrize("n", [3, 5, 10, 19])
def test_of_few_images_the_threshold_is_the_strangest_unseen_one(n):
    """Of n + 1 alike, the last is the strangest once in n + 1 times."""
    scans, digit = load_digits(return_X_y=True)
    shares = []
    for seed in range(10):
        alike = np.random.default_rng(seed).permutation(scans[digit == seed].reshape(-1, 8, 8))
        detector = PatchDetector(size=8, random_state=seed).fit(alike[:n])
        shares.append((detector.predict(alike[n:]) == -1).mean())
        assert not hasattr(detector, "calibration_scores_")
    assert np.mean(shares) < 1.5 / (n + 1)


@pytest.mark.parametrize("contamination", ["auto", 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_few_images_none_is_flagged(contamination, dtype, images):
    """Each is stranger to those that did not learn from it."""
    few = images[0][:7].astype(dtype)
    detector = PatchDetector(size=8, contamination=contamination, random_state=0).fit(few)
    assert (detector.predict(few) == 1).all()


@pytest.mark.filterwarnings("ignore:All columns of X are constant")
@pytest.mark.parametrize("value", [0.0, 0.3, 1e6])
def test_of_images_that_are_all_one_colour_any_other_is_strange(value):
    detector = PatchDetector(size=8, random_state=0).fit(np.full((30, 12, 12), value))
    assert (detector.predict(np.full((2, 12, 12), value)) == 1).all()
    assert (detector.predict(np.full((2, 12, 12), value + 0.1)) == -1).all()


@pytest.mark.parametrize("shape", [(30, 1, 9), (30, 1, 1), (30, 9, 1, 2)])
def test_images_one_pixel_wide_are_images(shape, rng):
    detector = PatchDetector(estimator=GaussianDetector(), size=1, random_state=0)
    scores = detector.fit(rng.normal(size=shape)).score_samples(9 + rng.normal(size=shape))
    assert (scores < detector.offset_).all()


def test_copies_and_pickles_are_the_same(detector, images):
    twin = clone(detector).fit(images[0])
    np.testing.assert_allclose(detector.score_samples(images[1]), twin.score_samples(images[1]))
    twin.set_params(estimator=PCADetector(), estimator__latent_dim=3).fit(images[0])
    assert twin.estimator_.latent_dim_ == 3
    kept = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(kept.predict(images[1]), detector.predict(images[1]))
