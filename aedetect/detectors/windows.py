"""What is strange in a window of series: its values, or its shape."""

import numpy as np

from ..models.base import learned
from ..models.gaussian import GaussianModel
from ..models.windows import WindowModel, shapes_of
from ..params import Count, Positive
from ..rows.linear import observed_deviations
from ..rows.shapes import FLAT
from .base import Detector


class WindowDetector(Detector):
    """Score windows of series by Mahalanobis' distances of their values and of their shape.

    Two Gaussians in noise, as in `GaussianDetector`: one of windows as they are, one of windows in
    which each channel has mean 0 and standard deviation 1. The first knows usual levels and
    amplitudes, the second what is small and of the wrong form. The score is minus the mean of the
    two distances.

    Parameters
    ----------
    noise : float, default=1.0
        Variance of the noise of either, as a multiple of the mean variance of the columns.
    n_channels : int, default=None
        A row holds so many channels, one after the other, as `SlidingWindow` returns them. None:
        as many as the windows of a `SeriesDetector` around it, otherwise one.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Mean window.
    latent_dim_ : int
        Width of a code: axes of windows as they are.
    offset_ : float
        Threshold on the score.
    calibration_scores_ : ndarray
        Sorted scores of rows by models that did not learn from them. Only with
        ``contamination="auto"`` and at least 20 rows.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    See Also
    --------
    GaussianDetector : The first of the two alone.
    SeriesDetector : Spreads scores of windows over points.

    Examples
    --------
    A sine that runs at twice its speed is among the usual values all the time:

    >>> import numpy as np
    >>> from aedetect import SlidingWindow, WindowDetector
    >>> time = np.arange(1200) * 2 * np.pi / 40
    >>> x = np.random.default_rng(0).uniform(0.2, 1, 1200)[:, None] * np.sin(time)[:, None]
    >>> windows = SlidingWindow(length=40).fit(x)
    >>> detector = WindowDetector().fit(windows.transform(x))
    >>> odd = 0.5 * np.sin(2 * time[:40])[:, None]
    >>> detector.predict(windows.transform(odd))
    array([-1])
    """

    noise: Positive = 1.0
    n_channels: Count | None = None

    _min_features = 1

    def _learn(self, X: np.ndarray) -> WindowModel:
        n_channels = self.n_channels or 1
        if X.shape[1] % n_channels:
            raise ValueError(
                f"n_channels={n_channels} does not divide the {X.shape[1]} columns of X; a row "
                "holds as many values of each channel."
            )
        by_channel = X.reshape(len(X), n_channels, -1).swapaxes(0, 1).reshape(n_channels, -1)
        spread = observed_deviations(by_channel.T)
        least = FLAT * np.where(spread > 0, spread, 1)
        shapes = GaussianModel.of(shapes_of(X, least), self.noise, FLAT**2)
        return WindowModel(GaussianModel.of(X, self.noise), shapes, least)

    mean_ = learned("values.mean", "Mean window.")
    latent_dim_ = learned("latent_dim", "Width of a code.")
