"""A stream gets the scores of one pass, and remembers no more than it needs."""

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aedetect import PCADetector, StreamDetector, make_series_detector


def table(n=300):
    """Two series that alternate, with a gap in time, missing values and a jump."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": np.sin(np.arange(n) / 5), "b": rng.normal(size=n)})
    frame["unit"] = rng.choice(["one", "two"], n)
    steps = np.ones(n)
    steps[n // 2] = 50
    frame.index = pd.Timestamp("2024") + pd.to_timedelta(
        pd.Series(steps).groupby(frame["unit"].to_numpy()).cumsum(), "min"
    )
    frame.iloc[40:44, 0] = np.nan
    frame.iloc[200:210, 0] = 5.0
    return frame


TABLE = table()
DETECTOR = make_series_detector(key="unit", length=9, causal=True, random_state=0).fit(TABLE)
ONE_PASS = DETECTOR.score_points(TABLE)


@given(st.lists(st.integers(1, 299), max_size=12, unique=True))
@settings(deadline=None)
def test_streaming_equals_one_pass(cuts):
    stream = StreamDetector(estimator=DETECTOR)
    edges = [0, *sorted(cuts), len(TABLE)]
    parts = [stream.update(TABLE.iloc[i:j]) for i, j in pairwise(edges)]
    streamed = pd.concat(parts)
    assert streamed.index.equals(TABLE.index)
    np.testing.assert_allclose(streamed["score"], ONE_PASS["score"], rtol=1e-6)
    np.testing.assert_array_equal(streamed["label"], ONE_PASS["label"])
    assert len(stream.recent_) <= 2 * 8


def test_rows_of_an_array_one_at_a_time(rng):
    X = rng.normal(size=(120, 2))
    detector = make_series_detector(length=10, causal=True, random_state=0).fit(X)
    stream = StreamDetector(estimator=detector)
    scores = [stream.update(row[None])["score"].item() for row in X]
    np.testing.assert_allclose(scores, detector.score_samples(X), rtol=1e-6)
    assert stream.recent_.values.shape == (9, 2)


def test_what_cannot_stream_is_refused(rng):
    X = rng.normal(size=(120, 2))
    with pytest.raises(TypeError, match="estimator is a PCADetector; expected a fitted Series"):
        StreamDetector(estimator=PCADetector().fit(X)).update(X)
    with pytest.raises(ValueError, match="windows look ahead"):
        StreamDetector(estimator=make_series_detector(length=5).fit(X)).update(X)


def test_refused_points_are_not_remembered():
    stream = StreamDetector(estimator=DETECTOR)
    first = stream.update(TABLE.iloc[:100])
    with pytest.raises(ValueError, match="times of X go back"):
        stream.update(TABLE.iloc[:50])
    rest = stream.update(TABLE.iloc[100:])
    np.testing.assert_allclose(pd.concat([first, rest])["score"], ONE_PASS["score"], rtol=1e-6)


@pytest.fixture(scope="module")
def hourly():
    """A table with times, and a detector that learned from it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    frame.index = pd.date_range("2024-01-01", periods=200, freq="h")
    return frame, make_series_detector(length=10, causal=True, random_state=0).fit(frame)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[["a"]], "feature names should match"),
        (lambda X: X[["b", "a"]], "same order"),
        (lambda X: X.assign(c=1.0), "feature names should match"),
        (lambda X: X[:0], "0 sample"),
        (
            lambda X: X.reset_index(drop=True),
            "holds no times; that of the points before held times",
        ),
        (lambda X: X.tz_localize("UTC"), "with a time zone; .* held times without a time zone"),
    ],
)
def test_later_points_are_read_as_the_first_ones(change, message, hourly):
    X, detector = hourly
    stream = StreamDetector(estimator=detector)
    stream.update(X[:50])
    with pytest.raises(ValueError, match=message):
        stream.update(change(X[50:60]))
    rest = stream.update(X[50:])["score"]
    np.testing.assert_allclose(rest, detector.score_samples(X)[50:], rtol=1e-6)


@pytest.mark.parametrize("index", [lambda t: t.tz_localize("Europe/Berlin"), lambda t: t - t[0],
                                   lambda t: t.to_period("h")])  # fmt: skip
def test_times_of_all_kinds_have_gaps(index, hourly):
    X, detector = hourly
    X = X.set_index(index(X.index))
    X = pd.concat([X[:50], X[80:]])
    one_pass, stream = detector.score_samples(X), StreamDetector(estimator=detector)
    streamed = [stream.update(X[i : i + 7])["score"] for i in range(0, len(X), 7)]
    np.testing.assert_allclose(np.concatenate(streamed), one_pass, rtol=1e-6)
    assert not np.allclose(one_pass, detector.score_samples(X.reset_index(drop=True)))


def test_points_in_other_forms(rng):
    x = rng.normal(size=(200, 1))
    detector = make_series_detector(length=10, causal=True, random_state=0).fit(x)
    gappy = x.copy()
    gappy[50] = -9999
    masked = np.ma.masked_equal(gappy, -9999)
    series = pd.Series(x[:, 0], name="x")
    polars = pytest.importorskip("polars").DataFrame({"x": x[:, 0]})
    for X in (masked, series, polars, x.tolist()):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X has feature names")
            stream = StreamDetector(estimator=detector)
            streamed = [stream.update(X[i : i + 20])["score"] for i in range(0, 200, 20)]
            np.testing.assert_allclose(
                np.concatenate(streamed), detector.score_samples(X), rtol=1e-6
            )


def test_irregular_times_are_warned_of_once(hourly):
    X, detector = hourly
    times = X.index.to_numpy().copy()
    times[[5, 90]] += np.timedelta64(20, "m")
    X, stream = X.set_index(times), StreamDetector(estimator=detector)
    stream.update(X[:5])
    with pytest.warns(UserWarning, match="Time is irregular"):
        stream.update(X[5:6])
    for i in range(6, 120):
        stream.update(X[i : i + 1])


def test_windows_of_one_point_notice_times_that_go_back(hourly):
    X, _ = hourly
    detector = make_series_detector(length=1, causal=True, random_state=0).fit(X)
    stream = StreamDetector(estimator=detector)
    stream.update(X[50:60])
    with pytest.raises(ValueError, match="times of X go back"):
        stream.update(X[:10])
