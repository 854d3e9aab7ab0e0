"""Where points are missing, about as many normal points are flagged as elsewhere, and anomalies."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

from aedetect import SlidingWindow, make_series_detector
from aedetect.series.partial import known_points
from aedetect.series.window import tape_of

LENGTH = 24


def noise(rng, n):
    return rng.standard_normal((n, 1))


def wave(rng, n):
    t = np.arange(n)[:, None] + rng.uniform(0, LENGTH)
    return np.sin(t * 2 * np.pi / LENGTH + [0, 1]) + 0.2 * rng.standard_normal((n, 2))


def walk(rng, n):
    x = np.zeros((n, 1))
    for i in range(1, n):
        x[i] = 0.9 * x[i - 1] + rng.standard_normal()
    return x


def many(make, rng, n_series, n):
    """Short series one below the other, with a key."""
    parts = [pd.DataFrame(make(rng, n)).assign(key=i) for i in range(n_series)]
    return pd.concat(parts, ignore_index=True).rename(columns=str)


@pytest.mark.parametrize("make", [noise, wave, walk])
@pytest.mark.parametrize(
    "estimator", [None, IsolationForest(random_state=0)], ids=["ours", "theirs"]
)
def test_no_more_false_alarms_than_elsewhere(make, estimator, rng):
    options = {"length": LENGTH, "causal": True, "key": "key", "random_state": 0}
    detector = make_series_detector(estimator, **options).fit(many(make, rng, 1, 4000))
    new = many(make, rng, 200, 3 * LENGTH)
    flagged = (detector.predict(new) == -1).reshape(200, -1)
    begin, rest = flagged[:, : LENGTH - 1].mean(), flagged[:, LENGTH - 1 :].mean()
    assert 0.01 < rest < 0.06
    assert begin < rest + 0.015


@pytest.mark.parametrize("make", [noise, wave, walk])
def test_an_anomaly_at_the_very_beginning_is_flagged(make, rng):
    options = {"length": LENGTH, "causal": True, "random_state": 0}
    detector = make_series_detector(**options).fit(make(rng, 2000))
    for at in (0, 1, 5, 15):
        new = make(rng, 50)
        new[at] += 8 * new.std()
        assert detector.predict(new)[at] == -1


def test_full_windows_keep_their_scores(rng):
    X = wave(rng, 500)
    window = SlidingWindow(length=LENGTH, standardise="train", causal=True)
    detector = make_series_detector(length=LENGTH, causal=True, random_state=0).fit(X)
    rows = window.fit(X).transform(X)
    by_hand = detector.estimator_.score_samples(rows[LENGTH - 1 :])
    np.testing.assert_allclose(detector.score_samples(X)[LENGTH - 1 :], by_hand)


def test_a_sensor_that_was_off_begins_anew(rng):
    detector = make_series_detector(length=LENGTH, causal=True, random_state=0).fit(wave(rng, 3000))
    X = wave(rng, 100)
    off = np.r_[wave(rng, 60), np.full((LENGTH, 2), np.nan), X]
    np.testing.assert_allclose(detector.score_samples(off)[-100:], detector.score_samples(X))


def test_points_known_are_counted_from_the_first_one():
    X = np.arange(8.0)[:, None]
    X[[3, 4, 5]] = np.nan
    tape = tape_of(SlidingWindow(length=3, causal=True).fit(X), X)
    assert known_points(tape).clip(0).tolist() == [1, 2, 3, 3, 3, 0, 1, 2]


def test_a_share_of_the_training_points_is_no_larger_there(rng):
    options = {"length": LENGTH, "causal": True, "key": "key", "random_state": 0}
    table = many(wave, rng, 100, 2 * LENGTH)
    detector = make_series_detector(**options).set_params(contamination=0.1).fit(table)
    flagged = (detector.predict(table) == -1).reshape(100, -1)
    assert flagged.mean() == pytest.approx(0.1, abs=0.01)
    assert flagged[:, : LENGTH - 1].mean() < 0.15


def test_series_shorter_than_a_window_are_scored_but_not_learned_from(rng):
    short = many(wave, rng, 30, LENGTH - 4)
    for causal in (False, True):
        detector = make_series_detector(length=LENGTH, causal=causal, key="key", random_state=0)
        with pytest.raises(ValueError, match="length=24: the longest series .* has 20 points"):
            detector.fit(short)
        scores = detector.fit(many(wave, rng, 10, 200)).score_samples(short)
        assert scores.min() > -1e3


def test_a_gap_in_what_was_learned_does_not_blind_it_to_beginnings(rng):
    learned = wave(rng, 1200)
    learned[300:450] = np.nan
    detector = make_series_detector(length=LENGTH, causal=True, random_state=0).fit(learned)
    new = wave(rng, 100)
    new[:12] = 50
    assert (detector.predict(new)[:12] == -1).all()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("make", [noise, wave, walk])
@pytest.mark.parametrize("gap", [1, 3, 16])
def test_beside_a_gap_normal_points_are_not_flagged_and_anomalies_are(gap, make, causal, rng):
    detector = make_series_detector(length=LENGTH, causal=causal, random_state=0)
    detector.fit(make(rng, 4000))
    x, near = make(rng, 4000), np.zeros(4000, bool)
    starts = np.arange(100, 3900, 150)
    for start in starts:
        x[start : start + gap] = np.nan
        near[start - LENGTH : start + gap + LENGTH] = True
    near &= ~np.isnan(x).any(axis=1)
    assert (detector.predict(x)[near] == -1).mean() < 0.08
    odd = starts + gap + 4
    x[odd] += 8 * np.nanstd(x)
    assert (detector.predict(x)[odd] == -1).all()


def test_a_channel_that_falls_silent_is_no_alarm(rng):
    detector = make_series_detector(length=LENGTH, random_state=0).fit(wave(rng, 2000))
    new = wave(rng, 2000)
    new[:, 1] = np.nan
    assert (detector.predict(new) == -1).mean() < 0.08


def test_two_sensors_that_take_turns(rng):
    def turns(n):
        x = wave(rng, n)
        x[::2, 0] = x[1::2, 1] = np.nan
        return x

    detector = make_series_detector(length=LENGTH, random_state=0).fit(turns(2000))
    assert detector.partial_.counts[-1] == LENGTH / 2
    assert (detector.predict(turns(2000)) == -1).mean() < 0.06


def test_normal_series_shorter_than_a_window_are_rarely_flagged(rng):
    detector = make_series_detector(length=LENGTH, key="key", random_state=0)
    detector.fit(many(wave, rng, 1, 3000))
    for n in (1, 3, 12, 23):
        assert (detector.predict(many(wave, rng, 50, n)) == -1).mean() < 0.25


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_a_channel_silent_for_long_does_not_hide_what_is_strange(share, rng):
    def day(n, noise):
        phase = np.arange(n)[:, None] * 2 * np.pi / LENGTH + np.arange(3)
        return np.sin(phase) + noise * rng.standard_normal((n, 3))

    x = day(2400, 0.1)
    x[-int(share * 2400) :, 1] = np.nan
    x[700:708, 0] = x[699, 0]
    detector = make_series_detector(length=LENGTH, random_state=0).fit(x)
    flagged = detector.predict(x) == -1
    assert flagged[700:708].all()
    assert flagged[-int(share * 2400) + LENGTH :].mean() < 0.06


@pytest.mark.parametrize("make", [noise, wave, walk])
@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_missing_values_all_over_leave_the_threshold_where_it_belongs(rate, make, rng):
    def holed():
        x = make(rng, 4000)
        x[rng.random(x.shape) < rate] = np.nan
        return x

    detector = make_series_detector(length=LENGTH, random_state=0)
    shares = [(detector.fit(holed()).predict(holed()) == -1).mean() for _ in range(3)]
    assert 0.004 < np.mean(shares) < 0.06
