"""Histograms and calibration curves are what was computed."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    MAD,
    AnomalyDetector,
    CalibrationDisplay,
    ConformalDetector,
    PCADetector,
    ScoreDisplay,
    Threshold,
)
from aedetect.rows.threshold import p_values

FOREST = IsolationForest(n_estimators=20, random_state=0)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_bars_are_shares_of_each_kind(tumours):
    train, test, truth = tumours
    detector = PCADetector().fit(train)
    display = ScoreDisplay.from_estimator(detector, test, truth)
    errors = -detector.score_samples(test)
    assert display.bins_[[0, -1]] == pytest.approx([np.quantile(errors, 0.001), errors.max()])
    assert np.ptp(np.diff(np.log(display.bins_))) < 1e-9  # they span several powers of ten
    assert display.ax_.get_xscale() == "log"
    for kind, bars in zip((1, -1), display.ax_.containers, strict=True):
        ends = display.bins_[[0, -1]]
        counts, _ = np.histogram(errors[truth == kind].clip(*ends), display.bins_)
        heights = [bar.get_height() for bar in bars]
        assert heights == pytest.approx(counts / (truth == kind).sum())
        assert sum(heights) == pytest.approx(1)
        assert {bar.get_hatch() for bar in bars} == {"" if kind == 1 else "//"}
    assert legend(display.ax_)[:2] == [
        f"normal ({(truth == 1).sum()})",
        f"anomalous ({(truth == -1).sum()})",
    ]


@pytest.mark.parametrize(
    "scores",
    [[-0.1, -0.1, np.nextafter(-0.1, -1)], [-1e300] * 3, [-1.0, -2.0, -3.0, -1e300], [0.0, 0.0]],
    ids=["alike", "lost", "one lost", "zero"],
)
def test_every_row_is_in_a_bar(scores):
    display = ScoreDisplay.from_predictions(scores, offset=-2.5)
    heights = [bar.get_height() for bar in display.ax_.containers[0]]
    assert sum(heights) == pytest.approx(1)
    assert np.isfinite(display.bins_).all()
    display.figure_.canvas.draw()


def test_errors_that_may_be_negative_or_alike_have_a_plain_axis():
    display = ScoreDisplay.from_predictions([1.0, -3.0, -20.0])
    assert display.ax_.get_xscale() == "linear"
    assert display.bins_[[0, -1]] == pytest.approx([-1, 20], abs=0.01)
    alike = ScoreDisplay.from_predictions([-2.0, -2.0])
    assert sum(bar.get_height() for bar in alike.ax_.containers[0]) == pytest.approx(1)


@pytest.mark.parametrize(
    "detector",
    [
        FOREST,
        PCADetector(),
        make_pipeline(StandardScaler(), PCADetector()),
        AnomalyDetector(random_state=0),
        ConformalDetector(estimator=FOREST, random_state=0),
        ConformalDetector(estimator=PCADetector(), method="jackknife+", alpha=0.1),
        Threshold(estimator=make_pipeline(StandardScaler(), PCADetector()), rule=MAD(k=2)),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_rows_beyond_the_line_are_those_that_are_flagged(detector, tumours):
    train, test, _ = tumours
    detector.fit(train[:100])
    display = ScoreDisplay.from_estimator(detector, test)
    (line,) = display.ax_.lines
    assert set(line.get_xdata()) == {display.threshold}
    np.testing.assert_array_equal(display.errors > display.threshold, detector.predict(test) == -1)


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.11])
def test_expected_share_of_false_alarms_is_the_largest_p_value_that_is_flagged(alpha, rng):
    detector = ConformalDetector(estimator=FOREST, alpha=alpha, random_state=0)
    detector.fit(rng.standard_normal((400, 3)))
    display = ScoreDisplay.from_estimator(detector, rng.standard_normal((50, 3)))
    just_flagged = np.nextafter(detector.offset_, -np.inf)
    assert display.false_alarms == p_values(just_flagged, detector.calibration_scores_)
    assert alpha - 1 / 101 < display.false_alarms <= alpha
    assert legend(display.ax_)[-1].endswith(f"{display.false_alarms:.1%} false alarms expected")


def test_share_of_false_alarms_is_told_where_it_is_known(tumours):
    train, test, _ = tumours
    inner = PCADetector()
    moved = Threshold(estimator=inner, rule=MAD(k=1)).fit(train)
    known = moved.estimator_.calibration_scores_
    share = ScoreDisplay.from_estimator(moved, test).false_alarms
    assert share == (1 + (known < moved.offset_).sum()) / (1 + len(known))
    for unknown in (
        FOREST.fit(train),
        ConformalDetector(estimator=inner, method="jackknife+").fit(train[:50]),
    ):
        assert ScoreDisplay.from_estimator(unknown, test).false_alarms is None


def test_a_threshold_that_flags_nothing_is_no_line():
    display = ScoreDisplay.from_predictions(
        [-1.0, -2.0], offset=-np.inf, calibration_scores=[-1.0, -3.0]
    )
    assert display.false_alarms == 0
    assert len(display.ax_.lines) == 0


@pytest.mark.parametrize(
    "detector",
    [
        ConformalDetector(estimator=make_pipeline(StandardScaler(), PCADetector()), random_state=0),
        make_pipeline(StandardScaler(), PCADetector()),
        Threshold(estimator=PCADetector()),
    ],
    ids=["conformal", "pipeline", "threshold"],
)
def test_observed_share_is_that_of_rows_with_a_smaller_p_value(detector, rng):
    X = rng.standard_normal((700, 4)) * [1, 2, 1, 1]
    detector.fit(X[:400])
    display = CalibrationDisplay.from_estimator(detector, X[400:])
    p = display.p_values
    (steps,) = [line for line in display.ax_.lines if line.get_drawstyle() == "steps-post"]
    levels = np.array([0.003, 0.03, 0.1, 0.17])
    drawn = steps.get_ydata()[np.searchsorted(steps.get_xdata(), levels, "right") - 1]
    np.testing.assert_allclose(drawn, [(p <= level).mean() for level in levels])
    diagonal = display.ax_.lines[0]
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())


@pytest.mark.parametrize("n_calibration", [None, 99])
def test_band_holds_19_of_20_calibrated_detectors(n_calibration, rng):
    n, repeats, level = 150, 4000, 0.1
    if n_calibration is None:
        p = rng.uniform(size=(repeats, n))
    else:
        known = np.sort(rng.standard_normal((repeats, n_calibration)))
        new = rng.standard_normal((repeats, n))
        p = np.stack([p_values(*pair) for pair in zip(new, known, strict=True)])
    display = CalibrationDisplay(p_values=p[0], n_calibration=n_calibration).plot()
    at = np.abs(display.levels_ - level).argmin()
    share = (p <= level + 1e-9).mean(axis=1)
    inside = (share >= display.low_[at]) & (share <= display.high_[at])
    assert 0.94 < inside.mean() < 0.98
