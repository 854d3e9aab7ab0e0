"""Detectors of series in files: the same scores and alarms, and nothing that does not fit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    KernelAutoencoder,
    PCADetector,
    SeriesDetector,
    SlidingWindow,
    StreamDetector,
    load,
    make_series_detector,
    save,
)


@pytest.fixture
def table(rng):
    """Two series that alternate, with times, a channel of two values and a strange stretch."""
    n = 800
    t = np.repeat(np.arange(n // 2), 2)
    frame = pd.DataFrame({"a": np.sin(t / 4), "b": np.cos(t / 4)}) + 0.1 * rng.normal(size=(n, 2))
    frame["valve"], frame["unit"] = rng.integers(0, 2, n), np.tile(["one", "two"], n // 2)
    frame.loc[600:630, "b"] *= -1
    return frame.set_index(pd.Timestamp("2024") + pd.to_timedelta(t, "min"))


@pytest.mark.filterwarnings("ignore:Channels are left out")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "estimator",
    [None, KernelAutoencoder(random_state=0), make_pipeline(StandardScaler(), PCADetector())],
    ids=["default", "kernel", "pipeline"],
)
def test_a_loaded_detector_scores_as_before(estimator, causal, table, tmp_path):
    made = make_series_detector(estimator, length=12, key="unit", causal=causal, random_state=0)
    detector = made.fit(table)
    save(detector, tmp_path / "series")
    loaded = load(tmp_path / "series")
    assert repr(loaded) == repr(detector)
    np.testing.assert_array_equal(loaded.score_samples(table), detector.score_samples(table))
    pd.testing.assert_frame_equal(loaded.alarms(table), detector.alarms(table))
    again = clone(loaded).fit(table)
    np.testing.assert_array_equal(again.score_samples(table), detector.score_samples(table))


@pytest.mark.filterwarnings("ignore:Channels are left out")
def test_a_stream_goes_on_from_a_file(table, tmp_path):
    detector = make_series_detector(length=12, key="unit", causal=True, random_state=0).fit(table)
    save(detector, tmp_path / "series")
    stream = StreamDetector(estimator=load(tmp_path / "series"))
    stream.update(table[400:500])
    rest = stream.update(table[500:])["score"]
    np.testing.assert_allclose(rest, detector.score_samples(table)[500:], rtol=1e-6)


def test_windows_and_what_is_not_fitted(rng, tmp_path):
    X = rng.normal(size=(100, 2))
    window = SlidingWindow(length=8, standardise="window").fit(X)
    save(window, tmp_path / "window")
    np.testing.assert_array_equal(load(tmp_path / "window").transform(X), window.transform(X))
    detector = SeriesDetector(window=SlidingWindow(length=8), estimator=PCADetector())
    save(detector, tmp_path / "detector")
    assert repr(load(tmp_path / "detector")) == repr(detector)


def test_what_a_file_cannot_hold_is_named(rng, tmp_path):
    X, forest = rng.normal(size=(100, 2)), IsolationForest(n_estimators=5, random_state=0)
    detector = SeriesDetector(window=SlidingWindow(length=8), estimator=forest).fit(X)
    with pytest.raises(TypeError, match="IsolationForest is no estimator"):
        save(detector, tmp_path / "forest")
    streamed = make_series_detector(length=8, causal=True).fit(X)
    with pytest.raises(TypeError, match="StreamDetector is no estimator"):
        save(StreamDetector(estimator=streamed), tmp_path / "stream")
    assert not list(tmp_path.iterdir())


FORGED = {
    "length": lambda d: setattr(d.window_, "length_", 10**9),
    "a length that is no number": lambda d: setattr(d.window_, "length_", "8"),
    "channels": lambda d: setattr(d.window_, "channels_", np.array([0, 7])),
    "units": lambda d: setattr(d.window_, "scale_", np.zeros(2)),
    "means": lambda d: setattr(d.window_, "mean_", np.zeros(3)),
    "time": lambda d: setattr(d.window_, "step_", -1.0),
    "window": lambda d: setattr(d, "window_", SlidingWindow()),
    "threshold": lambda d: setattr(d, "offset_", float("nan")),
    "detector": lambda d: setattr(d, "estimator_", PCADetector().fit(np.tile(np.eye(5), (8, 1)))),
    "features": lambda d: setattr(d, "n_features_in_", 3),
    "partial": lambda d: setattr(
        d, "partial_", replace(d.partial_, medians=d.partial_.medians[1:])
    ),
    "counts": lambda d: setattr(d, "partial_", replace(d.partial_, counts=d.partial_.counts + 1)),
}


@pytest.mark.parametrize("kind", FORGED)
def test_what_does_not_fit_together_is_refused(kind, rng, tmp_path, monkeypatch):
    detector = make_series_detector(length=8, causal=True).fit(rng.normal(size=(100, 2)))
    FORGED[kind](detector)
    with pytest.raises(ValueError, match=r"\w"):
        save(detector, tmp_path / "forged")
    monkeypatch.setattr("aedetect.apps.saved._check", lambda _: None)
    save(detector, tmp_path / "forged")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="forged cannot be loaded"):
        load(tmp_path / "forged")
