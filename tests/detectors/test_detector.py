"""What holds for every estimator: signs, thresholds, determinism, refusals."""

import json
import pickle
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from estimators import ESTIMATORS, assert_same_scores, name_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderEnsemble,
    DenoisingAutoencoder,
    GaussianDetector,
    GaussianNoise,
    KernelAutoencoder,
    PCADetector,
    VariationalAutoencoder,
)
from aedetect.apps.saved import KINDS
from aedetect.models.state import Writer
from aedetect.rows.blocks import CHUNK
from aedetect.rows.threshold import find_threshold, folds, p_values

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)


def seeded_clone(estimator, **params):
    seed = {"random_state": 0} if "random_state" in estimator.get_params() else {}
    return clone(estimator).set_params(**seed, **params)


@every_estimator
def test_finds_malignant_tumours_with_the_right_sign(estimator, tumours):
    train, test, truth = tumours
    detector = seeded_clone(estimator).fit(train)
    assert roc_auc_score(truth, detector.score_samples(test)) > 0.85
    assert set(detector.predict(test)) == {1, -1}
    decision = detector.decision_function(test)
    np.testing.assert_array_equal(decision, detector.score_samples(test) - detector.offset_)
    np.testing.assert_array_equal(detector.predict(test) == -1, decision < 0)
    assert detector.score(test) == detector.score_samples(test).mean()


def what_features_give(detector):
    """How a row's score follows from `score_features`; None where it does not."""
    if isinstance(detector, AnomalyDetector):
        return np.nansum
    if getattr(detector, "aggregation", "mean") != "mean":
        return None
    reconstructs = getattr(detector, "score_method", "reconstruction") == "reconstruction"
    return np.nanmean if reconstructs else None


@every_estimator
def test_methods_agree_with_each_other(estimator, tumours):
    train, test, _ = tumours
    detector = seeded_clone(estimator).fit(train)
    rebuilt = detector.reconstruct(test)
    np.testing.assert_array_equal(detector.inverse_transform(detector.transform(test)), rebuilt)
    errors = detector.score_features(test)
    assert errors.shape == test.shape
    assert (errors >= 0).all()
    if (combine := what_features_give(detector)) is not None:
        np.testing.assert_allclose(
            -combine(errors, axis=1), detector.score_samples(test), rtol=1e-9
        )
    other = isinstance(detector, AnomalyDetector | AutoencoderEnsemble | GaussianDetector)
    if getattr(detector, "loss", "squared_error") == "squared_error" and not other:
        float32 = 1e-6 * np.abs(test).max()
        np.testing.assert_allclose(np.sqrt(errors), np.abs(rebuilt - test), atol=float32)


@every_estimator
# A3
def test_labels_are_not_used(estimator, tumours, rng):
    train, test, _ = tumours
    without = seeded_clone(estimator).fit(train)
    y = rng.integers(0, 2, len(train))
    with_labels = seeded_clone(estimator).fit(train, y)
    np.testing.assert_array_equal(without.score_samples(test), with_labels.score_samples(test))


@pytest.mark.machines
@every_estimator
@pytest.mark.parametrize("share", [0, 0.003, 0.1, 0.5])
def test_contamination_is_the_share_of_training_rows_flagged(estimator, share, tumours):
    train, _, _ = tumours
    detector = seeded_clone(estimator, contamination=share)
    labels = detector.fit_predict(train)
    assert (labels == -1).sum() == round(share * len(train))
    np.testing.assert_array_equal(detector.predict(train), labels)


@pytest.mark.machines
@every_estimator
def test_a_score_does_not_depend_on_the_rows_beside_it(estimator, tumours, rng):
    train, test, _ = tumours
    detector = seeded_clone(estimator).fit(train)
    X = np.resize(test, (2500, test.shape[1])) + 0.01 * rng.standard_normal((2500, test.shape[1]))
    scores = detector.score_samples(X)
    for size in (1, 7, 17, 1000):
        starts = range(0, min(50 * size, 1200), size)
        pieces = np.concatenate([detector.score_samples(X[i : i + size]) for i in starts])
        assert_same_scores(pieces, scores[: len(pieces)])
    order = rng.permutation(len(X))
    assert_same_scores(detector.score_samples(X[order]), scores[order])


@pytest.mark.machines
@every_estimator
@pytest.mark.parametrize("d", [100, 257, 784])
def test_nor_where_rows_are_wide(estimator, d, rng):
    X = rng.standard_normal((300, 5)) @ rng.standard_normal((5, d))
    if "epochs" in estimator.get_params():
        estimator = clone(estimator).set_params(epochs=3, learning_rate=0.01)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The network did not learn")
        detector = seeded_clone(estimator).fit(X)
    scores = detector.score_samples(X)
    for n in (1, 33, 140):
        assert_same_scores(detector.score_samples(X[:n]), scores[:n])


@pytest.mark.filterwarnings("ignore:The network did not learn")
@every_estimator
def test_same_seed_same_weights_serially_in_threads_and_in_processes(estimator, tumours):
    train, test, _ = tumours
    fit_and_score = delayed(lambda model: model.fit(train).score_samples(test))
    quick = {"epochs": 5} if "epochs" in estimator.get_params() else {}
    models = [seeded_clone(estimator, **quick) for _ in range(2)]
    expected = clone(models[0]).fit(train).score_samples(test)
    for backend in ("threading", "loky"):
        jobs = (fit_and_score(clone(model)) for model in models)
        for scores in Parallel(n_jobs=2, backend=backend)(jobs):
            np.testing.assert_array_equal(scores, expected)


@pytest.mark.machines
@pytest.mark.parametrize(
    "model",
    [Autoencoder(epochs=2), KernelAutoencoder(), AnomalyDetector(trim=0.0, n_estimators=1)],
    ids=name_of,
)
def test_threads_score_the_same(model, rng):
    X = rng.standard_normal((2 * CHUNK + 77, 4))
    detector = seeded_clone(model).fit(X[:200])
    scores, errors = detector.score_samples(X), detector.score_features(X)
    with parallel_config(n_jobs=2):
        np.testing.assert_array_equal(detector.score_samples(X), scores)
        np.testing.assert_array_equal(detector.score_features(X), errors)


@every_estimator
def test_survives_pickle_and_memory_maps(estimator, tumours, tmp_path):
    train, test, _ = tumours
    detector = seeded_clone(estimator).fit(train)
    joblib.dump(detector, tmp_path / "model")
    copies = [
        pickle.loads(pickle.dumps(detector)),
        joblib.load(tmp_path / "model", mmap_mode="r"),
    ]
    for copy in copies:
        np.testing.assert_array_equal(copy.score_samples(test), detector.score_samples(test))


@every_estimator
def test_fitted_state_is_plain(estimator, tumours):
    detector = seeded_clone(estimator).fit(tumours[0])
    walked = Writer(KINDS).tree(detector, "detector")  # refuses what is neither
    assert json.loads(json.dumps(walked, allow_nan=False)) == walked
    assert walked["parts"]["model_"]["class"].endswith("Model")


@every_estimator
def test_failed_fit_leaves_the_estimator_as_it_was(estimator, tumours):
    train, test, _ = tumours
    detector = seeded_clone(estimator)
    with pytest.raises(ValueError, match="infinity"):
        detector.fit(np.full((20, 3), np.inf))
    assert vars(detector).keys() == vars(seeded_clone(estimator)).keys()
    scores = detector.fit(train).score_samples(test)
    with pytest.raises(ValueError, match="expected"):
        detector.set_params(contamination=0.7).fit(train[:, :5])
    np.testing.assert_array_equal(detector.score_samples(test), scores)


NOTHING_TO_LEARN = pytest.mark.filterwarnings(
    "ignore:The network did not learn:sklearn.exceptions.ConvergenceWarning",
    "ignore:X has [2-5] rows",
    "ignore:All columns of X are constant",
)


@NOTHING_TO_LEARN
@every_estimator
@pytest.mark.parametrize("n", [2, 3, 8, 9, 16, 17])
def test_few_rows(estimator, n, rng):
    X = rng.standard_normal((n, 4))
    detector = seeded_clone(estimator).fit(X)
    assert np.isfinite(detector.score_samples(X)).all()


@NOTHING_TO_LEARN
@every_estimator
def test_constant_columns_duplicates_and_more_columns_than_rows(estimator, rng):
    wide = np.c_[rng.standard_normal((12, 30)), np.ones(12)]
    for X in (np.ones((10, 3)), np.tile([[1.0, 5, 2]], (10, 1)), wide):
        detector = seeded_clone(estimator, contamination="auto").fit(X)
        assert np.isfinite(detector.score_samples(X)).all()


@every_estimator
@pytest.mark.parametrize(("shift", "scale"), [(0, 1e-6), (0, 1e6), (1e7, 1), (-5, 100)])
def test_unit_and_origin_of_the_data_do_not_matter(estimator, shift, scale, tumours):
    network = getattr(estimator, "network", None)
    if shift and not getattr(network, "bias", True):
        shift = 0  # a network without offsets is about the origin
    train, test, truth = tumours

    def auroc(change):
        detector = seeded_clone(estimator)
        if isinstance(estimator, DenoisingAutoencoder):  # its noise is in the data's unit
            detector.set_params(corruption=GaussianNoise(scale=0.5 * np.ptp(change(np.eye(2)))))
        detector.fit(change(train))
        return roc_auc_score(truth, detector.score_samples(change(test)))

    changed, plain = auroc(lambda X: X * scale + shift), auroc(lambda X: X)
    assert changed == pytest.approx(plain, abs=0.01)


@pytest.mark.machines
def test_threads_do_not_change_scores(tumours):
    train, test, _ = tumours
    detector = Autoencoder(epochs=5, random_state=0).fit(train)
    scores, before = [], torch.get_num_threads()
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            scores.append(detector.score_samples(np.resize(test, (2000, 30))))
    finally:
        torch.set_num_threads(before)
    assert_same_scores(*scores)


def test_nothing_is_printed():
    code = (
        "import numpy as np; from aedetect import *; X = np.random.RandomState(0).randn(50, 4);"
        "[E().fit(X).predict(X) for E in (Autoencoder, PCADetector)]"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == result.stderr == ""


@pytest.mark.machines
@every_estimator
def test_rows_too_large_to_compute_with_are_outliers(estimator, tumours):
    train, test, _ = tumours
    detector = seeded_clone(estimator).fit(train)
    X = test[:5].copy()
    X[1] = 1e200
    X[2, 0] = -1e300
    X[3], X[4] = np.finfo(float).max, np.finfo(float).min
    assert detector.predict(X)[1:].tolist() == [-1] * 4
    assert_same_scores(detector.score_samples(X)[0], detector.score_samples(test)[0])
    for method in ("score_samples", "score_features", "transform", "reconstruct"):
        assert np.isfinite(getattr(detector, method)(X)).all(), method
    codes = np.full((2, detector.transform(X).shape[1]), [[1e308], [-1e308]])
    assert np.isfinite(detector.inverse_transform(codes)).all()


@NOTHING_TO_LEARN
@every_estimator
@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e-160, 1e-40, 1e40, 1e99])
def test_any_unit_is_computed_with(estimator, size, rng):
    X = size * rng.uniform(size=(20, 4))
    quick = {"epochs": 2} if "epochs" in estimator.get_params() else {}
    detector = seeded_clone(estimator, **quick)
    if isinstance(estimator, DenoisingAutoencoder) and size in (1e-160, 1e-40, 1e40, 1e99):
        with pytest.raises(ValueError, match="diverged .* extreme values in X"):
            detector.fit(X)  # its noise is in the data's unit
        return
    detector.fit(X)
    for method in ("score_samples", "score_features", "transform", "reconstruct"):
        assert np.isfinite(getattr(detector, method)(X)).all(), method


@every_estimator
def test_values_too_large_are_refused_by_fit_and_named(estimator, rng):
    X = pd.DataFrame(rng.uniform(size=(20, 3)), columns=["a", "mass", "c"])
    X.loc[3, "mass"] = -1e120
    with pytest.raises(ValueError, match=r"Column 'mass' of X holds values up to 1e\+120 .* NaN"):
        estimator.fit(X)


@every_estimator
def test_a_row_without_a_value_is_the_strangest(estimator, tumours):
    train, test, truth = tumours
    detector = seeded_clone(estimator).fit(train)
    X = test.copy()
    X[[0, 7]] = np.nan
    scores, before = detector.score_samples(X), detector.score_samples(test)
    assert np.isfinite(scores).all()
    assert scores[0] == scores[7] < before.min()
    assert_same_scores(np.delete(scores, [0, 7]), np.delete(before, [0, 7]))
    assert detector.predict(X[:1]).tolist() == [-1]
    assert np.isfinite(detector.score(X))
    assert 0 < roc_auc_score(truth, scores) < 1
    means = getattr(detector, "column_medians_", train.mean(axis=0))[None]
    for method in ("transform", "reconstruct"):
        found, of_means = (getattr(detector, method)(row) for row in (X[:1], means))
        drawn = getattr(detector, "bootstrap", False)  # then its members' means are others
        np.testing.assert_allclose(found, of_means, atol=1 if drawn else 1e-5)
    assert np.isnan(detector.score_features(X)[[0, 7]]).all()


# Refusals -------------------------------------------------------------------------------------


def test_infinite_values_and_what_is_empty_are_refused_by_name(tumours):
    frame = pd.DataFrame(tumours[0]).add_prefix("gene ")
    detector = PCADetector().fit(frame)
    frame.iloc[7, 3] = -np.inf
    with pytest.raises(ValueError, match="infinity .* column 'gene 3', row 7; 1 of 200 rows"):
        detector.score_samples(frame)
    frame.iloc[7] = np.nan
    with pytest.raises(ValueError, match="Row 7 of X has no observed value"):
        PCADetector().fit(frame)
    frame = frame.drop(index=7).assign(**{"gene 5": np.nan})
    with pytest.raises(ValueError, match="Column 'gene 5' of X has no observed value"):
        PCADetector().fit(frame)
    assert len(detector.score_samples(frame)) == 199


# Missing values -------------------------------------------------------------------------------


@NOTHING_TO_LEARN
@every_estimator
def test_with_gaps_it_detects_nearly_as_well(estimator, tumours, rng):
    train, test, truth = tumours
    full = seeded_clone(estimator).fit(train)
    gaps = [np.where(rng.random(X.shape) < 0.3, np.nan, X) for X in (train, test)]
    gappy = seeded_clone(estimator).fit(gaps[0])
    auroc = [roc_auc_score(truth, m.score_samples(X)) for m, X in ((full, test), (gappy, gaps[1]))]
    assert auroc[1] > auroc[0] - 0.05
    assert np.isfinite(gappy.reconstruct(gaps[1])).all()
    assert np.isfinite(gappy.transform(gaps[1])).all()
    np.testing.assert_array_equal(np.isnan(gappy.score_features(gaps[1])), np.isnan(gaps[1]))


@every_estimator
def test_less_seen_is_not_more_normal(estimator, tumours, rng):
    """The score is a mean over observed values: removing some does not raise it on average."""
    train, test, truth = tumours
    detector = seeded_clone(estimator).fit(train)
    outliers = test[truth < 0]
    few = np.where(rng.random(outliers.shape) < 0.3, np.nan, outliers)
    if (combine := what_features_give(detector)) is not None:
        errors = detector.score_features(few)
        scores = detector.score_samples(few)
        np.testing.assert_allclose(-combine(errors, axis=1), scores, rtol=1e-6)
    normal = np.median(detector.score_samples(test[truth > 0]))
    assert (detector.score_samples(few) < normal).mean() > 0.8


@NOTHING_TO_LEARN
def test_one_gap_hardly_changes_a_fit(tumours):
    """Without gaps backpropagation is written out, with one it is automatic: they agree."""
    train = tumours[0].copy()
    plain = Autoencoder(epochs=1, random_state=0).fit(train)
    train[0, 0] = np.nan
    gappy = Autoencoder(epochs=1, random_state=0).fit(train)
    for name, weight in plain.weights_.items():
        assert np.abs(gappy.weights_[name] - weight).max() < 0.005


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"epochs": 0}, "Autoencoder: epochs=0; expected an integer at least 1"),
        ({"epochs": 2.5}, "epochs=2.5; expected an integer at least 1"),
        ({"epochs": True}, "epochs=True; expected an integer at least 1"),
        ({"latent_dim": "wide"}, "latent_dim='wide'; expected 'auto' or an integer at least 1"),
        ({"loss": "mse"}, "loss='mse'; expected one of 'squared_error', 'absolute_error'"),
        ({"learning_rate": 0.0}, "learning_rate=0.0; expected a number above 0"),
        ({"contamination": 0.6}, "expected 'auto' or a number at least 0 and at most 0.5"),
        ({"network": "deep"}, "network='deep'; expected Network or a tuple, each item an integer"),
        ({"network": (32, 0)}, r"network=\(32, 0\); expected Network or a tuple"),
        ({"random_state": "a"}, "random_state='a'; expected an integer or RandomState or None"),
        ({"loss": "binary_cross_entropy"}, "needs outputs in .* output_activation='sigmoid'"),
        ({"device": "tpu9"}, "device='tpu9' cannot be used here"),
        ({"early_stopping": 1}, "early_stopping=1; expected True or False"),
    ],
)
def test_parameters_are_refused_by_name(params, message, tumours):
    with pytest.raises((ValueError, TypeError), match=message):
        Autoencoder(**params).fit(tumours[0].clip(0, 1))


def test_codes_of_the_wrong_width_are_refused(tumours):
    detector = PCADetector(latent_dim=3).fit(tumours[0])
    with pytest.raises(ValueError, match="Z has 2 columns; codes of this PCADetector have 3"):
        detector.inverse_transform(np.zeros((4, 2)))


# Thresholds -----------------------------------------------------------------------------------

errors = arrays(np.float64, st.integers(2, 60), elements=st.floats(0, 1e6), unique=True)


@given(errors, st.floats(0, 1))
def test_threshold_flags_the_share(error, share):
    assert (-error < find_threshold(-error, share)).sum() == round(share * len(error))


@given(st.integers(20, 20_000), st.integers(-9, 9))
def test_rows_are_scored_by_models_that_do_not_know_them(n, seed):
    parts = folds(n, seed)
    assert len({len(some) for some, _ in parts}) == 1
    for some, others in parts:
        assert not np.isin(others, some).any()
        assert len(some) >= n // 3
    scored = np.concatenate([others for _, others in parts])
    assert len(np.unique(scored)) == len(scored) >= min(n - 4, 2000)


@given(errors, errors)
def test_p_values_are_shares_of_scores_as_low(known, error):
    found = p_values(-error, np.sort(-known))
    expected = [(1 + (-known <= -e).sum()) / (1 + len(known)) for e in error]
    np.testing.assert_array_equal(found, expected)


CALIBRATED = [
    PCADetector(),
    KernelAutoencoder(),
    Autoencoder(random_state=0),
    VariationalAutoencoder(random_state=0),
    DenoisingAutoencoder(random_state=0),
    AutoencoderEnsemble(estimator=Autoencoder(epochs=40), n_estimators=3, random_state=0),
    AnomalyDetector(n_estimators=1, random_state=0),
]


@pytest.mark.parametrize("detector", CALIBRATED, ids=name_of)
@pytest.mark.parametrize("n", [300, 2100])
def test_few_new_normal_rows_are_flagged(detector, n, rng):
    X = rng.standard_normal((n + 2000, 3)) @ rng.standard_normal((3, 12))
    X += 0.3 * rng.standard_normal(X.shape)
    detector = clone(detector).fit(X[:n])
    assert 0.003 < (detector.predict(X[n:]) == -1).mean() < 0.06
    found = detector.p_values(X[n:])
    assert found.min() >= 1 / (1 + n)
    assert found.max() <= 1
    assert (found < 0.1).mean() < 0.15
    flagged = detector.predict(X[n:]) == -1
    assert flagged[found <= 0.03].all()
    assert not flagged[found > 0.045].any()  # the most anomalous training row may raise it so far


@pytest.mark.parametrize("detector", [KernelAutoencoder(), AnomalyDetector(random_state=0)])
def test_a_sorted_table_is_calibrated_on_all_of_it(detector, rng):
    X = rng.standard_normal((4000, 3)) * np.linspace(0.1, 3, 4000)[:, None]
    flagged = clone(detector).fit(X).predict(X[::-1]) == -1
    assert 0.015 < flagged.mean() < 0.045


def test_a_warning_of_all_columns_comes_once(rng):
    with pytest.warns(UserWarning, match="keeps all columns") as told:
        PCADetector(latent_dim=4).fit(rng.standard_normal((100, 4)))
    assert len(told) == 1


def test_what_follows_the_threshold_is_the_same_after_another_fit(rng):
    X = rng.standard_normal((100, 4))
    detector = PCADetector().fit(X)
    calibrated = detector.calibration_scores_
    np.testing.assert_array_equal(detector.fit(X).calibration_scores_, calibrated)
    detector.set_params(contamination=0.1).fit(X)
    with pytest.raises(AttributeError, match="contamination=0.1"):
        detector.p_values(X)


# Search and pipelines -------------------------------------------------------------------------


@pytest.mark.parametrize("with_y", [True, False])
def test_grid_search_over_a_pipeline(with_y, tumours):
    _, test, truth = tumours
    pipeline = make_pipeline(StandardScaler(), Autoencoder(epochs=3, random_state=0))
    grid = {
        "autoencoder__latent_dim": [2, 4],
        "autoencoder__network": [(32,), (64, 32)],
    }
    folds, scoring = KFold(2, shuffle=True, random_state=0), "roc_auc" if with_y else None
    search = GridSearchCV(pipeline, grid, n_jobs=2, cv=folds, scoring=scoring)
    search.fit(test, truth if with_y else None)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.predict(test).shape == truth.shape


def test_score_without_labels_prefers_the_wider_code(tumours):
    search = GridSearchCV(PCADetector(), {"latent_dim": [2, 10, 29]}, cv=3).fit(tumours[0])
    assert search.best_params_ == {"latent_dim": 29}


@pytest.mark.parametrize("column", [["a", "b"] * 50, pd.date_range("2026-01-01", periods=100)])
def test_a_column_that_is_not_numeric_is_named(column, rng):
    frame = pd.DataFrame(rng.standard_normal((100, 3)), columns=list("xyz")).assign(site=column)
    with pytest.raises(
        ValueError,
        match="Column 'site' of X (is not numeric .* Encode it|holds times .* Leave times out)",
    ):
        Autoencoder().fit(frame)


@pytest.mark.filterwarnings("ignore:The network did not learn")
@every_estimator
def test_numbers_of_numpy_are_numbers(estimator, rng):
    X = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 8))
    quick = {"epochs": 2, "batch_size": 16, "latent_dim": 2, "max_features": 3}
    plain = seeded_clone(estimator)
    plain.set_params(**{name: quick[name] for name in quick.keys() & plain.get_params()})
    numbers = {
        name: np.array(value)[()]
        for name, value in plain.get_params().items()
        if type(value) in (int, float)
    }
    given = clone(plain).set_params(**numbers).fit(X)
    np.testing.assert_array_equal(given.score_samples(X), plain.fit(X).score_samples(X))
    assert given.offset_ == plain.offset_


@every_estimator
def test_torchs_modes_change_nothing(estimator, tumours):
    train, test, _ = tumours
    scores = seeded_clone(estimator).fit(train).score_samples(test)
    with torch.inference_mode():
        np.testing.assert_array_equal(
            seeded_clone(estimator).fit(train).score_samples(test), scores
        )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        other = seeded_clone(estimator).fit(train).score_samples(test)
    finally:
        torch.set_default_dtype(before)
    np.testing.assert_array_equal(other, scores)
