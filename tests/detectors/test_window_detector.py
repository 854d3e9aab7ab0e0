"""Windows by their values and by their shape, beside two Gaussians."""

import numpy as np
import pytest
from scipy.stats import zscore

from aedetect import GaussianDetector, SeriesDetector, SlidingWindow, WindowDetector


def waves(rng, n=60, length=40):
    """Two channels, (n, 2 * length), at unlike levels: sines of any phase and amplitude."""
    phases, sizes = rng.uniform(0, 2 * np.pi, (n, 2, 1)), rng.uniform(0.2, 1, (n, 2, 1))
    time = np.arange(length) * 2 * np.pi / length
    x = sizes * np.sin(time + phases) + 0.02 * rng.standard_normal((n, 2, length))
    return (x * [[1], [30]] + [[0], [500]]).reshape(n, -1)


def test_the_score_is_the_mean_of_two_gaussians(rng):
    X, new = waves(rng), waves(rng)
    detector = WindowDetector(n_channels=2, noise=0.3).fit(X)

    def shapes(X):
        return zscore(X.reshape(len(X), 2, -1), axis=-1).reshape(X.shape)

    pairs = (X, new), (shapes(X), shapes(new))
    both = [GaussianDetector(noise=0.3).fit(learned).score_samples(rows) for learned, rows in pairs]
    np.testing.assert_allclose(detector.score_samples(new), np.mean(both, axis=0), rtol=1e-9)


def test_a_small_wave_of_the_wrong_shape_is_strange(rng):
    X = waves(rng, 400)
    odd = waves(rng, 20)
    odd[:, :40] = 0.3 * np.sin(np.arange(40) * 4 * 2 * np.pi / 40)
    assert (WindowDetector(n_channels=2).fit(X).predict(odd) == -1).all()
    assert (GaussianDetector().fit(X).predict(odd) == -1).mean() < 0.5


@pytest.mark.parametrize("scale", [1, 1e-6])
def test_noise_in_a_flat_window_is_not_blown_up(scale, rng):
    x = np.sin(np.arange(2000) * 2 * np.pi / 40)
    x[1000:1400] = 0
    x = scale * (x + 1e-4 * rng.standard_normal(2000))[:, None]
    windows = SlidingWindow(length=40).fit(x)
    detector = WindowDetector().fit(windows.transform(x))
    flat = scale * 1e-4 * rng.standard_normal((100, 1))
    assert (detector.predict(windows.transform(flat)) == 1).all()


def test_channels_that_do_not_divide_a_row_are_refused(rng):
    with pytest.raises(ValueError, match=r"n_channels=3 does not divide the 80 columns of X"):
        WindowDetector(n_channels=3).fit(waves(rng))


def test_rounding_in_flat_windows_is_no_shape(rng):
    X = np.repeat(rng.standard_normal((300, 1)), 10, axis=1)
    detector = WindowDetector().fit(X)
    new = np.repeat(rng.standard_normal((1000, 1)), 10, axis=1)
    new[:, 3] += 1e-9
    assert (detector.predict(new) == -1).mean() < 0.08
    np.testing.assert_allclose(
        detector.score_samples(new), GaussianDetector().fit(X).score_samples(new) / 2, atol=1e-6
    )


def test_gaps_do_not_make_a_channel_look_quiet(rng):
    X = rng.standard_normal((400, 2, 10))
    X[20:, 1] = np.nan
    least = WindowDetector(n_channels=2).fit(X.reshape(400, 20)).model_.least
    np.testing.assert_allclose(least, 0.01, rtol=0.15)


def test_a_detector_of_series_tells_it_the_channels(rng):
    X, window = rng.standard_normal((300, 2)), SlidingWindow(length=10)
    detector = SeriesDetector(window=window, estimator=WindowDetector(noise=0.5)).fit(X)
    assert len(detector.estimator_.model_.least) == 2
    detector.set_params(estimator__n_channels=4)
    with pytest.raises(ValueError, match="n_channels=4; windows have 2"):
        detector.fit(X)
