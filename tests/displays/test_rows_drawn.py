"""Curves, codes, images and explanations are what was computed."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    Autoencoder,
    Conv2d,
    FeatureErrorDisplay,
    LatentDisplay,
    LossCurveDisplay,
    PCADetector,
    ReconstructionDisplay,
    explain,
    make_detector,
)


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
