"""A detector for small images that show one thing each."""

from sklearn.pipeline import Pipeline

from ..images.filter import ImageFilter
from .kernel import KernelAutoencoder

BLUR, BANDWIDTH = 1.0, 0.4  # best on held-out training images of MNIST and Fashion-MNIST together


def make_image_detector(*, shape: tuple[int, int] | None = None) -> Pipeline:
    """Make a detector for images of one size, each of one thing in the middle, such as digits.

    Images are blurred by one pixel, and rebuilt from the training images around them. Pixels share
    a unit, and none is scaled: a pixel that hardly varies says little. For large images, and to
    see where they are strange, use `PatchDetector`.

    Parameters
    ----------
    shape : (int, int), default=None
        Height and width where images come as rows; None: images come as arrays (n, height, width)
        or (n, height, width, channels).

    Returns
    -------
    Pipeline
        `ImageFilter`, then `KernelAutoencoder`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import make_image_detector
    >>> X, digit = load_digits(return_X_y=True)
    >>> detector = make_image_detector(shape=(8, 8)).fit(X[digit == 3][:120])
    >>> float((detector.predict(X[digit != 3]) == -1).mean()) > 0.8
    True
    """
    blur = ImageFilter(blur=BLUR, shape=shape)
    return Pipeline([("filter", blur), ("detector", KernelAutoencoder(bandwidth=BANDWIDTH))])
