"""A stream gets the scores of one pass, and remembers no more than it needs."""

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
    assert stream.recent_.shape == (9, 2)


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
