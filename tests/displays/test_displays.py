"""What all displays promise: where they draw, what they leave behind, what they refuse."""

import itertools
import sys

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import aedetect
from aedetect import (
    Autoencoder,
    CalibrationDisplay,
    Conv1d,
    Conv2d,
    FeatureErrorDisplay,
    KernelDisplay,
    LatentDisplay,
    LossCurveDisplay,
    PCADetector,
    ReconstructionDisplay,
    ScoreDisplay,
    Threshold,
    TravelDisplay,
)
from aedetect.displays.canvas import kinds_of

ROWS = np.random.default_rng(1).normal(size=(60, 2)) @ np.random.default_rng(2).normal(size=(2, 16))
ROWS += 0.1 * np.random.default_rng(3).normal(size=ROWS.shape)
Y = np.r_[np.ones(30), -np.ones(30)]
MODEL = make_pipeline(StandardScaler(), Autoencoder(epochs=20, random_state=0)).fit(ROWS)
FLAT = PCADetector(latent_dim=1).fit(ROWS[:, :2])
IMAGES = Autoencoder(network=Conv2d(shape=(1, 4, 4)), epochs=20, random_state=0).fit(ROWS)
SERIES = Autoencoder(network=Conv1d(shape=(1, 16)), epochs=20, random_state=0).fit(ROWS)
WRAPPED = Threshold(estimator=MODEL).fit(ROWS)

DRAW = {
    "score": lambda ax: ScoreDisplay.from_estimator(MODEL, ROWS, Y, ax=ax),
    "score of one kind": lambda ax: ScoreDisplay.from_estimator(WRAPPED, ROWS, ax=ax),
    "images": lambda ax: ReconstructionDisplay.from_estimator(
        WRAPPED, ROWS[:7], shape=(4, 4), X_train=ROWS, ax=ax
    ),
    "series": lambda ax: ReconstructionDisplay.from_estimator(MODEL, ROWS[:3], ax=ax),
    "loss": lambda ax: LossCurveDisplay.from_estimator(MODEL, ax=ax),
    "latent": lambda ax: LatentDisplay.from_estimator(WRAPPED, ROWS, Y, ax=ax),
    "features": lambda ax: FeatureErrorDisplay.from_estimator(MODEL, ROWS, ax=ax),
    "row": lambda ax: FeatureErrorDisplay.from_estimator(WRAPPED, ROWS, row=3, ax=ax),
    "dense kernels": lambda ax: KernelDisplay.from_estimator(MODEL, shape=(4, 4), ax=ax),
    "curves": lambda ax: KernelDisplay.from_estimator(SERIES, ax=ax),
    "convolution": lambda ax: KernelDisplay.from_estimator(IMAGES, ax=ax),
    "travel": lambda ax: TravelDisplay.from_estimator(FLAT, ROWS[:, :2], Y, ax=ax),
    "calibration": lambda ax: CalibrationDisplay.from_estimator(WRAPPED, ROWS, ax=ax),
}
all_displays = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)


def test_every_display_is_drawn_here():
    drawn = {type(draw(None)).__name__ for draw in DRAW.values()}
    assert drawn == {name for name in aedetect.__all__ if name.endswith("Display")}


@all_displays
def test_draws_where_it_is_told_and_opens_no_figure(draw):
    ax = Figure().subplots()
    display = draw(ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert pyplot.get_fignums() == []


@all_displays
def test_opens_one_figure_and_draws_again_elsewhere(draw):
    display = draw(None)
    assert [pyplot.figure(n) for n in pyplot.get_fignums()] == [display.figure_]
    other = Figure().subplots()
    assert display.plot(ax=other) is display
    assert display.ax_ is other
    assert len(pyplot.get_fignums()) == 1


@all_displays
def test_all_of_it_fits_into_600_pixels(draw):
    figure = draw(None).figure_
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    assert width == 600
    box = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


@all_displays
def test_text_does_not_overlap(draw):
    figure = draw(None).figure_
    figure.canvas.draw()
    for ax in figure.axes:
        ticks = [
            [label for label in axis.get_ticklabels() if label.get_text() and label.get_visible()]
            for axis in (ax.xaxis, ax.yaxis)
            if ax.axison
        ]
        for labels in ticks:
            boxes = [label.get_window_extent().shrunk(0.9, 0.9) for label in labels]
            assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


@all_displays
def test_a_missing_matplotlib_is_named(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Display draws with .*pip install 'aedetect\[plot\]'"):
        draw(None)


def test_kinds_differ_by_more_than_their_colour():
    a, b = kinds_of(Y, 60)
    assert all(x != y for x, y in zip(a[2:], b[2:], strict=True))
    assert a.rows.tolist() == [True] * 30 + [False] * 30
    assert (b.rows == ~a.rows).all()
    assert [kind.name for kind in kinds_of(np.ones(3, int), 3)] == ["normal"]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1] * 30, r"y holds 0; expected \+1 for normal and -1 for anomalous rows"),
        (np.ones(59), r"y has shape \(59,\); expected \(60,\)"),
        (["normal"] * 60, "y holds 'normal'; expected"),
    ],
)
@pytest.mark.parametrize("display", [ScoreDisplay, LatentDisplay, TravelDisplay])
def test_other_labels_are_refused_and_leave_no_figure(display, y, message):
    detector, X = (FLAT, ROWS[:, :2]) if display is TravelDisplay else (MODEL, ROWS)
    with pytest.raises(ValueError, match=message):
        display.from_estimator(detector, X, y)
    assert pyplot.get_fignums() == []


FOREST = IsolationForest(n_estimators=5, random_state=0).fit(ROWS)
REFUSED = {
    "IsolationForest has no transform": lambda: LatentDisplay.from_estimator(FOREST, ROWS),
    "IsolationForest has no loss_curve_": lambda: LossCurveDisplay.from_estimator(FOREST),
    "PCADetector has no loss_curve_": lambda: LossCurveDisplay.from_estimator(FLAT),
    "PCADetector has no weights_": lambda: KernelDisplay.from_estimator(FLAT),
    "IsolationForest has no p_values": lambda: CalibrationDisplay.from_estimator(FOREST, ROWS),
    "IsolationForest has no score_features": lambda: FeatureErrorDisplay.from_estimator(
        FOREST, ROWS
    ),
    "IsolationForest has no reconstruct": lambda: TravelDisplay.from_estimator(FOREST, ROWS),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_detector_that_lacks_it_is_refused(message):
    with pytest.raises(TypeError, match=message):
        REFUSED[message]()
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("X has 60 rows; expected at most 16",
         lambda: ReconstructionDisplay.from_estimator(MODEL, ROWS)),
        (r"shape=\(3, 4\); a row of X has shape \(16,\)",
         lambda: ReconstructionDisplay.from_estimator(MODEL, ROWS[:3], shape=(3, 4))),
        (r"shape=\(3, 4\); expected .* that holds 16 values",
         lambda: KernelDisplay.from_estimator(MODEL, shape=(3, 4))),
        ("row=60; expected one of the 60 rows, 0 to 59",
         lambda: FeatureErrorDisplay.from_estimator(MODEL, ROWS, row=60)),
        ("X has 16 columns; expected 2", lambda: TravelDisplay.from_estimator(MODEL, ROWS)),
        ("scores holds nan; expected finite",
         lambda: ScoreDisplay.from_predictions([-1.0, np.nan])),
        (r"codes has shape \(3,\); expected 2 axes",
         lambda: LatentDisplay.from_predictions([1.0, 2.0, 3.0])),
        (r"codes has shape \(1, 3\); a plane needs at least 2 rows",
         lambda: LatentDisplay.from_predictions([[1.0, 2.0, 3.0]])),
        ("p_values reach from 0.5 to 2; expected 0 to 1",
         lambda: CalibrationDisplay.from_predictions([0.5, 2.0])),
    ],
)  # fmt: skip
def test_unusable_input_is_refused(message, call):
    with pytest.raises(ValueError, match=message):
        call()
    assert pyplot.get_fignums() == []
