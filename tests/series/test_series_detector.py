"""Scores, labels and intervals of points, from the scores of windows."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from aedetect import PCADetector, SeriesDetector, SlidingWindow, make_series_detector
from aedetect.metrics import OutlierScorer

OF_ROWS = (  # checks that take a row's score to be that row's alone, or blobs for series
    "sample_order_invariance", "subset_invariance", "check_outliers_train",
)  # fmt: skip


def wave(rng, n=1200, period=24):
    t = np.arange(n) * 2 * np.pi / period
    return pd.DataFrame(
        {"a": np.sin(t), "b": np.cos(t), "c": 0.0}, index=pd.date_range("2024", periods=n, freq="h")
    ) + 0.1 * rng.standard_normal((n, 3))


def test_the_interval_and_the_channel_are_found(rng):
    X = wave(rng)
    detector = make_series_detector(random_state=0).fit(X[:800])
    assert detector.window_.length_ == 24
    new = X[800:].copy()
    new.iloc[200:230, 1] *= -1
    alarms = detector.alarms(new)
    worst = alarms.loc[alarms["score"].idxmin()]
    assert worst["channels"].split(", ")[0] == "b"
    assert new.index[200] <= worst["peak"] < new.index[230]
    assert worst["start"] <= worst["peak"] <= worst["end"]
    points = detector.score_points(new)
    assert worst["score"] == points["score"].min() == points.loc[worst["peak"], "score"]
    inside = (points.index >= worst["start"]) & (points.index <= worst["end"])
    assert (points["label"][inside] == -1).mean() > 0.8
    truth = np.zeros(len(new), int)
    truth[200:230] = 1
    assert OutlierScorer("roc_auc", labels="01")(detector, new, truth) > 0.9


def test_intervals_hold_every_flagged_point_and_begin_and_end_with_one(rng):
    X = wave(rng)
    X["unit"] = np.where(np.arange(len(X)) % 2, "one", "two")
    detector = make_series_detector(key="unit", length=12, random_state=0).fit(X)
    labels, alarms = detector.predict(X), detector.alarms(X)
    flagged = pd.Series(labels == -1, X.index)
    assert flagged.sum() > 0
    held = pd.Series(False, X.index)
    for _, alarm in alarms.iterrows():
        own = (X["unit"] == alarm["unit"]) & (X.index >= alarm["start"]) & (X.index <= alarm["end"])
        assert flagged[alarm["start"]]
        assert flagged[alarm["end"]]
        assert not (held & own).any()
        held |= own
    assert held[flagged].all()


def test_about_three_percent_of_new_normal_points_are_flagged(rng):
    X = wave(rng, 6000).to_numpy()
    for causal in (False, True):
        detector = make_series_detector(causal=causal, length=24, random_state=0).fit(X[:3000])
        assert 0.005 < (detector.predict(X[3000:]) == -1).mean() < 0.07


def test_the_share_asked_for_is_flagged(rng):
    X = wave(rng)
    detector = SeriesDetector(contamination=0.1, random_state=0).fit(X)
    assert (detector.predict(X) == -1).mean() == pytest.approx(0.1, abs=0.01)


def test_channels_add_up_to_the_score(rng):
    X = wave(rng)
    for estimator in (PCADetector(), make_pipeline(StandardScaler(), PCADetector())):
        detector = SeriesDetector(estimator=estimator, random_state=0).fit(X)
        channels = detector.score_channels(X)
        assert list(channels) == ["a", "b", "c"]
        np.testing.assert_allclose(channels.mean(axis=1), detector.score_samples(X))


@pytest.mark.filterwarnings("ignore:Channels are left out")
@pytest.mark.parametrize("named", [True, False])
def test_channels_that_are_left_out_are_not_named(named, rng):
    X = wave(rng)
    X.insert(0, "valve", rng.integers(0, 2, len(X)))
    names = ["a", "b", "c"] if named else ["x1", "x2", "x3"]
    X = X if named else X.to_numpy()
    detector = make_series_detector(length=24, random_state=0).fit(X)
    assert list(detector.score_channels(X)) == names
    found = set(", ".join(detector.alarms(X)["channels"]).split(", "))
    assert found
    assert found <= set(names)


def test_the_score_is_the_mean_over_windows_of_any_detector(rng):
    X = wave(rng)
    window = SlidingWindow(length=20, stride=3).fit(X)
    forest = IsolationForest(random_state=0)
    detector = SeriesDetector(window=window, estimator=forest, max_windows=10**6).fit(X)
    by_hand = forest.fit(window.transform(X)).score_samples(window.transform(X))
    expected = window.point_scores(X, by_hand)["score"]
    np.testing.assert_allclose(detector.score_samples(X), expected)
    assert (detector.alarms(X)["channels"] == "").all()
    with pytest.raises(TypeError, match="IsolationForest does not tell the errors of values"):
        detector.score_channels(X)


def test_a_stretch_without_values_is_an_alarm_and_single_gaps_are_not(rng):
    X = wave(rng)
    detector = make_series_detector(length=24, random_state=0).fit(X)
    gappy = X.mask(rng.random(X.shape) < 0.02)
    assert (detector.predict(gappy) == -1).mean() < 0.1
    gappy.iloc[400:500] = np.nan
    scores = detector.score_samples(gappy)
    assert np.isfinite(scores).all()
    assert (scores[430:470] == -1e300).all()
    assert scores[[399, 500]].min() > -1e3
    alarms = detector.alarms(gappy)
    assert (alarms["start"] <= gappy.index[430]).any()


def test_alarms_end_at_gaps_in_time(rng):
    X = wave(rng)
    detector = make_series_detector(length=24, random_state=0).fit(X)
    X.iloc[600:620] = 5
    worst = detector.alarms(X).nsmallest(1, "score").iloc[0]
    assert worst["start"] < X.index[600] < X.index[619] < worst["end"]
    late = X.index + pd.to_timedelta(np.where(np.arange(len(X)) < 610, 0, 5), "h")
    alarms = detector.alarms(X.set_index(late))
    assert late[609] in alarms["end"].to_numpy()
    assert late[610] in alarms["start"].to_numpy()


@pytest.mark.parametrize("causal", [False, True])
def test_channels_to_blame_are_those_of_the_windows_over_the_peak(causal, rng):
    X = wave(rng, 2000).to_numpy(copy=True)
    detector = make_series_detector(length=24, causal=causal, random_state=0).fit(X)
    for i in range(100, 1900, 120):
        X[i : i + 5, i // 120 % 3] += 4
    alarms = detector.alarms(X)
    assert len(alarms) >= 14
    errors = -detector.score_channels(X).to_numpy()[alarms["peak"]]
    firsts = [f"x{channel}" for channel in errors.argmax(axis=1)]
    assert [blamed.split(", ")[0] for blamed in alarms["channels"]] == firsts


def test_lists_sparse_and_polars_score_as_arrays(rng):
    X = wave(rng).to_numpy(copy=True)
    detector = make_series_detector(length=24, random_state=0).fit(X)
    X[:50] = 0
    expected, alarms = detector.score_points(X), detector.alarms(X)
    polars = pytest.importorskip("polars")
    for other in (X.tolist(), csr_array(X), polars.from_numpy(X), np.ma.array(X)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X has feature names")
            pd.testing.assert_frame_equal(detector.score_points(other), expected)
            pd.testing.assert_frame_equal(detector.alarms(other), alarms)


def test_a_failed_fit_changes_nothing(rng):
    X = wave(rng)
    detector = make_series_detector(random_state=0).fit(X)
    before = detector.score_samples(X)
    with pytest.raises(ValueError, match="times of X go back"):
        detector.fit(X[::-1])
    np.testing.assert_array_equal(detector.score_samples(X), before)
    with pytest.raises(ValueError, match="key='peak' is the name of a column of alarms"):
        detector.set_params(window__key="peak").fit(X.assign(peak="one"))
    np.testing.assert_array_equal(detector.score_samples(X), before)


GENERATED = parametrize_with_checks([SeriesDetector()])


@pytest.mark.filterwarnings("ignore:X has", "ignore:All columns", "ignore:latent_dim")
@pytest.mark.parametrize(
    "check",
    [c for _, c in GENERATED.args[1] if not any(part in str(c) for part in OF_ROWS)],
    ids=GENERATED.kwargs["ids"],
)
def test_scikit_learn_check(check):
    check(SeriesDetector())
