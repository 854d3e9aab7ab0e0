"""What is done to images before anything learns from them."""

import math
from typing import Any, Self

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.base import TransformerMixin
from sklearn.utils import Tags

from ..params import Count, NotNegative, Params
from .windows import images_of


class ImageFilter(TransformerMixin, Params):
    """Blur images, and take away their brightness and contrast.

    Blurred, strokes that lie beside each other become alike; standardised, so do images of one
    thing in different light. There is nothing to learn.

    Parameters
    ----------
    blur : float, default=0.0
        Standard deviation of a Gaussian, in pixels; 0 for none.
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
        self._images(X)
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
        images = self._images(X)
        shape = np.shape(X)
        if self.blur:
            images = gaussian_filter(images, (0, self.blur, self.blur, 0))
        if self.standardize:
            centred = images - images.mean(axis=(1, 2, 3), keepdims=True)
            spread = centred.std(axis=(1, 2, 3), keepdims=True)
            images = centred / np.where(spread > 0, spread, 1)
        return images.reshape(shape)

    def _images(self, X: Any) -> np.ndarray:
        """Images (n, height, width, channels)."""
        shape = np.shape(X)
        if len(shape) != 2:
            return images_of(X)
        if self.shape is None or len(self.shape) != 2 or math.prod(self.shape) != shape[1]:
            raise ValueError(
                f"shape={self.shape}; X has rows of {shape[1]} values. Expected the height and "
                f"width of images of so many pixels."
            )
        return images_of(np.reshape(np.asarray(X), (-1, *self.shape)))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.three_d_array = True
        return tags
