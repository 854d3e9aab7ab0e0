"""Kernels are weights, and arrows lead where rows are rebuilt."""

import numpy as np
import pandas as pd
import polars
import pytest
import torch
from matplotlib.text import Text
from scipy.spatial.distance import cdist
from sklearn.datasets import make_moons
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from aedetect import (
    Autoencoder,
    Conv1d,
    Conv2d,
    DenoisingAutoencoder,
    Dense,
    FeatureErrorDisplay,
    GaussianNoise,
    KernelDisplay,
    PCADetector,
    TravelDisplay,
)
from aedetect.networks.base import Network
from aedetect.networks.layers import Coder


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


def test_names_are_no_formulas(rng):
    table = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a $x^$", "$b$"])
    detector = PCADetector(latent_dim=1).fit(table)
    for display in (
        TravelDisplay.from_estimator(detector, table),
        FeatureErrorDisplay.from_estimator(detector, table[:5]),
        FeatureErrorDisplay.from_estimator(detector, table[:5]).plot(row=1),
    ):
        display.figure_.canvas.draw()
        texts = [text for text in display.figure_.findobj(Text) if "$" in text.get_text()]
        assert texts
        assert not any(text.get_parse_math() for text in texts)


def test_travel_of_a_table_of_polars(rng):
    table = polars.DataFrame(rng.normal(size=(60, 2)), schema=["a", "b"])
    detector = PCADetector(latent_dim=1).fit(table)
    display = TravelDisplay.from_estimator(detector, table)
    expected = TravelDisplay.from_estimator(detector, table.to_pandas())
    np.testing.assert_array_equal(display.travel, expected.travel)


class Other(Network):
    def build(self, n_features, latent_dim, generators, heads=1):
        return Linear(n_features, latent_dim, len(generators))


class Linear(Coder):
    def __init__(self, n_features, latent_dim, k):
        super().__init__()
        self.axes = nn.Parameter(torch.eye(n_features, latent_dim).repeat(k, 1, 1))

    def encode(self, x):
        return self.fill(x) @ self.axes

    def decode(self, z):
        return z @ self.axes.mT


def test_kernels_of_a_network_of_another_shape_are_refused(digits):
    detector = Autoencoder(network=Other(), latent_dim=5, epochs=5, random_state=0)
    detector.fit(digits[:200])
    with pytest.raises(TypeError, match="no parameter named encoder"):
        KernelDisplay.from_estimator(detector)
