"""The threshold: stretches of time not learned from, events, few points, and many units."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from aedetect import KernelAutoencoder, SeriesDetector, SlidingWindow, make_series_detector

LENGTH = 24


def wave(rng, n):
    return np.sin(np.arange(n) * 2 * np.pi / LENGTH) + 0.1 * rng.standard_normal(n)


def noise(rng, n):
    return rng.standard_normal(n)


@pytest.mark.parametrize("contamination", ["auto", 0.0, 0.05])
@pytest.mark.parametrize("causal", [False, True])
def test_points_without_a_value_do_not_set_the_threshold(contamination, causal, rng):
    X = wave(rng, 1200)[:, None]
    X[300:450] = np.nan
    options = {"length": LENGTH, "causal": causal, "contamination": contamination}
    detector = make_series_detector(**options, random_state=0).fit(X)
    assert -1e3 < detector.offset_ < 0
    points = detector.score_points(X)
    share = (points["label"][points["score"] > -1e300] == -1).mean()
    assert share < 0.06 if contamination == "auto" else abs(share - contamination) < 1e-3
    new = wave(rng, 1200)[:, None]
    new[500:540], new[700:800] = 50, np.nan
    assert (detector.predict(new)[500:540] == -1).all()
    assert (detector.predict(new)[730:770] == -1).all()


@pytest.mark.parametrize("estimator", [None, KernelAutoencoder(random_state=0)])
@pytest.mark.parametrize(("n", "size"), [(960, 5), (960, 24), (2000, 41)])
def test_an_event_in_the_table_is_flagged(n, size, estimator, rng):
    X = 50 + 20 * wave(rng, n)[:, None]
    X[n // 2 : n // 2 + size] = 200
    detector = make_series_detector(estimator, length=LENGTH, random_state=0).fit(X)
    flagged = detector.predict(X) == -1
    assert flagged[n // 2 : n // 2 + size].all()
    far = np.abs(np.arange(n) - n // 2) > size + LENGTH
    assert flagged[far].mean() < 0.02
    assert (detector.predict(50 + 20 * wave(rng, 2000)[:, None]) == -1).mean() < 0.06


@pytest.mark.parametrize("make", [wave, noise, lambda _, n: np.sin(np.arange(n) * np.pi / 12)])
def test_where_nothing_stands_out_the_threshold_is_that_of_unseen_points(make, rng, monkeypatch):
    X = make(rng, 2000)[:, None]
    detector = make_series_detector(length=LENGTH, random_state=0)
    offset = detector.fit(X).offset_
    monkeypatch.setattr("aedetect.series.calibration.ENOUGH", 10**6)
    assert clone(detector).fit(X).offset_ == offset


@pytest.mark.parametrize("make", [wave, noise])
def test_too_few_points_are_warned_of(make, rng):
    detector = make_series_detector(length=LENGTH, random_state=0)
    message = r"X has 287 points, too few .* 24 points .* Fit on 288 or more, or set length to 23"
    with pytest.warns(UserWarning, match=message):
        detector.fit(make(rng, 287)[:, None])
    detector.set_params(contamination=0.05).fit(make(rng, 287)[:, None])
    detector.set_params(contamination="auto")
    shares = []
    for _ in range(12):
        detector.fit(make(rng, 12 * LENGTH)[:, None])
        shares.append((detector.predict(make(rng, 1000)[:, None]) == -1).mean())
    assert np.mean(shares) < 0.1


def units(rng, level, n=600):
    parts = [pd.DataFrame({"x": wave(rng, n) + level * k, "unit": k}) for k in range(5)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("level", [0, 1, 3])
def test_units_at_unlike_levels_have_a_threshold_as_one_would(level, rng):
    detector = make_series_detector(key="unit", length=LENGTH, random_state=0)
    shares = []
    for _ in range(4):
        detector.fit(units(rng, level))
        shares.append((detector.predict(units(rng, level)) == -1).mean())
    assert 0.01 < np.mean(shares) < 0.06
    new = units(rng, level)
    new.loc[900:947, "x"] = level + 3 * (new.loc[900:947, "x"] - level)
    assert (detector.predict(new)[900:948] == -1).mean() > 0.9


def test_series_too_short_to_be_cut_are_left_out_as_a_whole(rng):
    parts = [pd.DataFrame({"x": wave(rng, 3 * LENGTH), "unit": k}) for k in range(40)]
    X = pd.concat(parts, ignore_index=True)
    detector = make_series_detector(key="unit", length=LENGTH, random_state=0).fit(X)
    new = pd.DataFrame({"x": wave(rng, 3000), "unit": 0})
    assert 0.005 < (detector.predict(new) == -1).mean() < 0.07


@pytest.mark.parametrize("late", [slice(0, 960), slice(240, 1200)])
def test_a_channel_known_in_one_fifth_of_the_time(late, rng):
    X = np.c_[wave(rng, 1200), wave(rng, 1200)]
    X[late, 1] = np.nan
    detector = make_series_detector(length=LENGTH, random_state=0).fit(X)
    assert (detector.predict(X) == -1).mean() < 0.1


def test_what_cannot_be_learned_from_is_named(rng):
    X = pd.DataFrame({"a": wave(rng, 600), "b": wave(rng, 600)})
    X.loc[np.arange(600) % 10 != 0, "b"] = np.nan
    message = r"Channel 'b' has no value at 19 of the 24 places .* \(length=24, stride=10\)"
    with pytest.raises(ValueError, match=message):
        make_series_detector(length=LENGTH, stride=10).fit(X)
    make_series_detector(length=LENGTH, random_state=0).fit(X)
    with pytest.raises(ValueError, match="length=60: windows with a value are 1, .* at least 2"):
        SeriesDetector(window=SlidingWindow(length=60), contamination=0.1).fit(X[:60])
    days = X.set_index(pd.bdate_range("2024", periods=600))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Time is irregular")
        with pytest.raises(ValueError, match="length=24: the longest series .* has 5 points"):
            make_series_detector(length=LENGTH).fit(days)
