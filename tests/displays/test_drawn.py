"""What is drawn is what was computed."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    MAD,
    AnomalyDetector,
    Autoencoder,
    CalibrationDisplay,
    ConformalDetector,
    Conv1d,
    Conv2d,
    DenoisingAutoencoder,
    Dense,
    FeatureErrorDisplay,
    GaussianNoise,
    KernelDisplay,
    LatentDisplay,
    LossCurveDisplay,
    PCADetector,
    ReconstructionDisplay,
    ScoreDisplay,
    Threshold,
    TravelDisplay,
    explain,
    make_detector,
)
from aedetect.rows.threshold import p_values

FOREST = IsolationForest(n_estimators=20, random_state=0)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# Scores ---------------------------------------------------------------------------------------


def test_bars_are_shares_of_each_kind(tumours):
    train, test, truth = tumours
    detector = PCADetector().fit(train)
    display = ScoreDisplay.from_estimator(detector, test, truth)
    errors = -detector.score_samples(test)
    assert display.bins_[[0, -1]] == pytest.approx([errors.min(), errors.max()])
    assert np.ptp(np.diff(np.log(display.bins_))) < 1e-9  # they span several powers of ten
    assert display.ax_.get_xscale() == "log"
    for kind, bars in zip((1, -1), display.ax_.containers, strict=True):
        counts, _ = np.histogram(errors[truth == kind], display.bins_)
        heights = [bar.get_height() for bar in bars]
        assert heights == pytest.approx(counts / (truth == kind).sum())
        assert sum(heights) == pytest.approx(1)
        assert {bar.get_hatch() for bar in bars} == {"" if kind == 1 else "//"}
    assert legend(display.ax_)[:2] == [
        f"normal ({(truth == 1).sum()})",
        f"anomalous ({(truth == -1).sum()})",
    ]


def test_errors_that_may_be_negative_or_alike_have_a_plain_axis():
    display = ScoreDisplay.from_predictions([1.0, -3.0, -20.0])
    assert display.ax_.get_xscale() == "linear"
    assert display.bins_[[0, -1]].tolist() == [-1, 20]
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


# Training and codes ---------------------------------------------------------------------------


def test_curves_are_those_of_the_fit(digits):
    model = Autoencoder(
        early_stopping=True, n_iter_no_change=2, learning_rate=0.02, random_state=0
    ).fit(digits[:300])
    display = LossCurveDisplay.from_estimator(model)
    training, held_out, kept = display.ax_.lines
    np.testing.assert_array_equal(training.get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(held_out.get_ydata(), model.validation_loss_curve_)
    for line in (training, held_out):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, model.n_iter_ + 1))
    assert training.get_linestyle() != held_out.get_linestyle()
    assert set(kept.get_xdata()) == {model.best_epoch_}
    assert display.ax_.get_yscale() == "log"


def test_held_out_losses_that_began_later_stand_at_the_end():
    display = LossCurveDisplay(losses=[3.0, 2.0, 1.0], held_out=[-1.0]).plot()
    assert display.ax_.lines[1].get_xdata().tolist() == [3]
    assert display.ax_.get_yscale() == "linear"


@pytest.mark.parametrize("width", [1, 2, 5])
def test_points_are_codes_or_their_principal_components(width, digits):
    detector = Autoencoder(latent_dim=width, epochs=5, random_state=0).fit(digits[:200])
    y = np.where(np.arange(200) < 50, -1, 1)
    display = LatentDisplay.from_estimator(detector, digits[:200], y)
    codes = detector.transform(digits[:200])
    if width == 1:
        expected = np.column_stack([np.arange(200), codes[:, 0]])
    else:
        expected = codes if width == 2 else PCA(2).fit_transform(codes.astype(np.float64))
    np.testing.assert_allclose(np.abs(display.points_), np.abs(expected), rtol=1e-4, atol=1e-5)
    drawn = [np.asarray(points.get_offsets()) for points in display.ax_.collections]
    np.testing.assert_array_equal(drawn[0], display.points_[50:])
    np.testing.assert_array_equal(drawn[1], display.points_[:50])


# Rows -----------------------------------------------------------------------------------------


def test_images_are_the_rows_what_was_rebuilt_and_its_errors(digits):
    scaler, detector = StandardScaler(), PCADetector(latent_dim=6)
    pipeline = make_pipeline(scaler, detector).fit(digits[:500])
    rows, train = digits[500:505], digits[:500]
    display = ReconstructionDisplay.from_estimator(pipeline, rows, shape=(8, 8), X_train=train)
    rebuilt = scaler.inverse_transform(detector.reconstruct(scaler.transform(rows)))
    errors = detector.score_features(scaler.transform(rows))
    for cells, values in zip(display.axes_, (rows, rebuilt, errors), strict=True):
        images = [cell.images[0].get_array() for cell in cells]
        np.testing.assert_allclose(images, values.reshape(-1, 8, 8), rtol=1e-10)
    usual = detector.score_features(scaler.transform(train))
    limits = {cell.images[0].get_clim() for cell in display.axes_[2]}
    assert limits == {tuple(np.quantile(usual, [0.5, 0.99]))}
    titles = [float(cell.get_title()) for cell in display.axes_[0]]
    assert titles == pytest.approx(-pipeline.score_samples(rows), rel=0.1)


def test_images_come_in_any_layout(digits):
    model = Autoencoder(network=Conv2d(shape=(1, 8, 8)), epochs=3, random_state=0)
    model.fit(digits[:100])
    layouts = [(8, 8), (1, 8, 8), (8, 8, 1)]
    displays = [
        ReconstructionDisplay.from_estimator(model, digits[:4].reshape(4, *layout))
        for layout in layouts
    ]
    for display in displays:
        np.testing.assert_array_equal(display.rows, digits[:4].reshape(4, 8, 8))
        np.testing.assert_allclose(display.errors, displays[0].errors, rtol=1e-5)


def test_series_are_lines_over_a_strip_of_errors(rng):
    X = np.sin(np.linspace(0, 9, 30) + rng.uniform(0, 6, (100, 1)))
    detector = PCADetector(latent_dim=2).fit(X + 0.01 * rng.standard_normal(X.shape))
    display = ReconstructionDisplay.from_estimator(detector, X[:3])
    for (upper, lower), row in zip(display.axes_.T, X, strict=False):
        given, rebuilt = upper.lines
        np.testing.assert_array_equal(given.get_ydata(), row)
        np.testing.assert_allclose(rebuilt.get_ydata(), detector.reconstruct(row[None])[0])
        np.testing.assert_allclose(
            lower.images[0].get_array(), detector.score_features(row[None]), atol=1e-12
        )


@pytest.fixture(scope="module")
def table():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    benign = X[y == 1].iloc[:, :10].assign(side=["left", "right", "left"] * 119)
    strange = X[y == 0].iloc[:12, :10].assign(side="both").reset_index(drop=True)
    return make_detector(PCADetector()).fit(benign), strange


def test_map_and_bars_are_what_explain_says(table):
    detector, rows = table
    display = FeatureErrorDisplay.from_estimator(detector, rows)
    image = display.ax_.images[0].get_array()
    told = explain(detector, rows, top=11)
    wide = told.pivot(index="row", columns="column", values="share")[list(rows.columns)]
    np.testing.assert_allclose(image, wide)
    np.testing.assert_allclose(image.sum(axis=1), 1)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == list(rows.columns)

    display.plot(row=5)
    best = told[told["row"] == 5].head(8)
    widths = [bar.get_width() for bar in display.ax_.patches]
    np.testing.assert_allclose(widths, best["share"])
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    for label, line in zip(labels, best.itertuples(), strict=True):
        column, values = label.split("\n")
        assert column == line.column
        observed, expected = values.split(", expected ")
        if line.column == "side":
            assert (observed, expected) == ("both", line.expected)
        else:
            assert float(observed) == pytest.approx(line.observed, rel=1e-3)
            assert float(expected) == pytest.approx(line.expected, rel=1e-3)


def test_many_columns_are_numbered(digits):
    display = FeatureErrorDisplay.from_estimator(PCADetector().fit(digits), digits[:5])
    assert display.ax_.get_xlabel() == "column (from 0)"


# Networks -------------------------------------------------------------------------------------


def test_kernels_are_the_weights_of_the_first_layer(digits):
    dense = Autoencoder(network=Dense(hidden=(70, 8)), epochs=2, random_state=0).fit(digits[:99])
    weights = dense.weights_["encoder.0.weight"]  # (64 + 1, 70)
    display = KernelDisplay.from_estimator(dense, shape=(8, 8))
    np.testing.assert_array_equal(display.kernels[3].ravel(), weights[:64, 3])
    assert len(display.shown_) == 64
    norms = np.linalg.norm(weights[:64], axis=0)
    left_out = np.setdiff1d(np.arange(70), display.shown_)
    assert norms[left_out].max() <= norms[display.shown_].min()
    for cell, kernel in zip(display.axes_.flat, display.shown_, strict=False):
        image = cell.images[0]
        np.testing.assert_array_equal(image.get_array().ravel(), weights[:64, kernel])
        assert image.get_clim() == (-np.abs(weights[:64]).max(), np.abs(weights[:64]).max())
    curves = KernelDisplay.from_estimator(dense)
    line = curves.axes_[0, 0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), weights[:64, curves.shown_[0]])


@pytest.mark.parametrize(
    ("network", "shape"),
    [(Conv2d(shape=(4, 4, 4), channels=(3, 5)), (12, 3, 3)), (Conv1d(shape=(2, 32)), (32, 3))],
)
def test_kernels_of_a_convolution_are_one_for_each_channel_out_and_in(network, shape, digits):
    model = Autoencoder(network=network, epochs=2, random_state=0).fit(digits[:99])
    display = KernelDisplay.from_estimator(model)
    assert display.kernels.shape == shape
    first = model.weights_["encoder.1.weight"]  # (out, in, *kernel)
    np.testing.assert_array_equal(display.kernels[first.shape[1] + 1], first[1, 1])


def test_travel_leads_at_right_angles_to_the_principal_axis(rng):
    X = pd.DataFrame(rng.normal(size=(100, 1)) * [3, 1] + rng.normal(size=(100, 2)) * 0.1)
    X.columns = ["length", "width"]
    detector = PCADetector(latent_dim=1).fit(X)
    display = TravelDisplay.from_estimator(detector, X)
    (axis,) = detector.components_
    centred = display.points - detector.mean_
    expected = np.outer(centred @ axis, axis) - centred
    np.testing.assert_allclose(display.travel, expected, atol=1e-12)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("length", "width")
    low, high = X.min().to_numpy(), X.max().to_numpy()
    np.testing.assert_allclose(display.points.min(axis=0), low - (high - low) / 4)
    np.testing.assert_allclose(display.points.max(axis=0), high + (high - low) / 4)

    arrows = np.column_stack([display.arrows_.U, display.arrows_.V])
    step = np.ptp(display.points, axis=0) / 20
    assert np.linalg.norm(arrows / step, axis=1).max() <= 1 + 1e-9
    np.testing.assert_allclose(
        arrows[:, 0] * display.travel[:, 1], arrows[:, 1] * display.travel[:, 0]
    )
    assert (arrows * display.travel).sum(axis=1).min() >= 0
    np.testing.assert_allclose(display.arrows_.get_array(), np.linalg.norm(expected, axis=1))


def test_a_denoising_autoencoder_leads_towards_the_data():
    X, _ = make_moons(300, noise=0.05, random_state=0)
    X *= [1, 20]
    detector = make_pipeline(
        StandardScaler(),
        DenoisingAutoencoder(
            latent_dim=8, corruption=GaussianNoise(scale=0.3), epochs=60, random_state=0
        ),
    ).fit(X)
    display = TravelDisplay.from_estimator(detector, X)
    scale, inner = detector
    rebuilt = scale.inverse_transform(inner.reconstruct(scale.transform(display.points)))
    np.testing.assert_allclose(display.points + display.travel, rebuilt, rtol=1e-5, atol=1e-5)

    def distance(points):
        return cdist(scale.transform(points), scale.transform(X)).min(axis=1)

    far = distance(display.points) > 0.5
    assert far.sum() > 100
    closer = distance(rebuilt)[far] < distance(display.points)[far]
    assert closer.mean() > 0.95


# Calibration ----------------------------------------------------------------------------------


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
