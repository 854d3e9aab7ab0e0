"""What is done to images before anything learns from them."""

import math
from typing import Any, Self

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.base import TransformerMixin
from sklearn.utils import Tags

from ..params import Count, NotNegative, Params
from .windows import as_array, images_of


class ImageFilter(TransformerMixin, Params):
    """Blur images, and take away their background, brightness and contrast.

    Blurred, strokes that lie beside each other become alike; standardised, so do images of one
    thing in different light; without background, so do those in uneven light, and what is small
    stands out from what is large. There is nothing to learn.

    Parameters
    ----------
    blur : float, default=0.0
        Standard deviation of a Gaussian, in pixels; 0 for none.
    background : float, default=0.0
        Standard deviation of a wider Gaussian, in pixels, whose blur is taken to be the background
        and subtracted; 0 for none.
    standardize : bool, default=False
        Whether to bring each image to mean 0 and standard deviation 1 over all of its values. A
        constant image becomes 0.
    shape : (int, int) or None, default=None
        Height and width where images come as rows (n, height * width).

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import ImageFilter
    >>> light = np.array([[[1.0, 3.0], [1.0, 3.0]]])
    >>> ImageFilter(standardize=True).fit_transform(light)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """

    blur: NotNegative = 0.0
    background: NotNegative = 0.0
    standardize: bool = False
    shape: tuple[Count, ...] | None = None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check parameters and images.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, n_features)
            Images.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `X` has rows, and `shape` does not say how they are images.
        """
        self._check_params()
        self._images(as_array(X))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Filter images.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, n_features)
            Images.

        Returns
        -------
        ndarray
            Of the shape of `X`.
        """
        self._check_params()
        X = as_array(X)
        images = self._images(X)
        background = _blurred(images, self.background) if self.background else 0
        images = (_blurred(images, self.blur) if self.blur else images) - background
        if self.standardize:
            images = _standardized(images)
        return images.reshape(X.shape)

    def _images(self, X: np.ndarray) -> np.ndarray:
        """Images (n, height, width, channels)."""
        if X.ndim != 2:
            images = images_of(X)
            if self.shape is not None and images.shape[1:3] != tuple(self.shape):
                raise ValueError(f"shape={self.shape}; X has images of {images.shape[1:3]} pixels.")
            return images
        if self.shape is None or len(self.shape) != 2 or math.prod(self.shape) != X.shape[1]:
            raise ValueError(
                f"shape={self.shape}; X has rows of {X.shape[1]} values. Expected the height and "
                f"width of images of so many pixels."
            )
        return images_of(X.reshape(-1, *self.shape))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.three_d_array = True
        return tags


def _blurred(images: np.ndarray, deviation: float) -> np.ndarray:
    return np.asarray(gaussian_filter(images, (0, deviation, deviation, 0)))


def _standardized(images: np.ndarray) -> np.ndarray:
    """Images of mean 0 and standard deviation 1, or of zeros where values differ by rounding."""
    all_of_one = (1, 2, 3)
    centred = images - images.mean(axis=all_of_one, keepdims=True)
    reach = np.abs(centred).max(axis=all_of_one, keepdims=True)
    largest = np.abs(images).max(axis=all_of_one, keepdims=True)
    varies = reach > 4 * np.finfo(images.dtype).eps * largest
    centred = np.where(varies, centred / np.where(varies, reach, 1), 0)  # squares stay in range
    return centred / np.where(varies, centred.std(axis=all_of_one, keepdims=True), 1)
