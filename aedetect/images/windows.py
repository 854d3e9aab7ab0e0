"""Windows on images, and maps stitched from what is said of each window."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..rows.inputs import readable

AT_ONCE = 2**22  # values of windows in memory

Errors = Callable[[np.ndarray], np.ndarray]  # of windows (m, size, size, c): the same without c


def starts(side: int, size: int, stride: int) -> np.ndarray:
    """Where windows begin along a side: every `stride` pixels, and one that ends with the side."""
    return np.append(np.arange(0, side - size, stride), side - size)


def windows(images: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Windows (n, a, b, size, size, c) on images (n, height, width, c), as a copy."""
    rows, columns = (starts(side, size, stride) for side in images.shape[1:3])
    views = sliding_window_view(images, (size, size), axis=(1, 2))[:, rows[:, None], columns]
    return np.moveaxis(views, 3, -1)


def some_windows(
    images: np.ndarray, size: int, at_most: int, rng: np.random.Generator
) -> np.ndarray:
    """Windows (m, size, size, c) from anywhere: all there are, or as many as allowed, drawn."""
    views = sliding_window_view(images, (size, size), axis=(1, 2))
    n = math.prod(views.shape[:3])
    drawn = np.arange(n) if n <= at_most else np.sort(rng.choice(n, at_most, replace=False))
    return np.moveaxis(views[np.unravel_index(drawn, views.shape[:3])], 1, -1)


def as_array(X: Any) -> np.ndarray:
    """Images or rows in any form as one array.

    Raises
    ------
    ValueError, TypeError
        If they have several shapes, or are no numbers at all.
    """
    X = readable(X)
    if isinstance(X, list | tuple) and len(shapes := set(map(np.shape, X))) > 1:
        found = " and ".join(map(str, sorted(shapes)[:2]))
        raise ValueError(f"X has images of several shapes, {found}; expected one shape for all.")
    return np.asarray(X)


def images_of(X: Any) -> np.ndarray:
    """Images as an array (n, height, width, channels) of floating-point numbers.

    Raises
    ------
    ValueError, TypeError
        If `X` has another shape, or holds what is no finite number.
    """
    images = as_array(X)
    if images.ndim not in (3, 4) or not images.size or images.dtype.kind not in "buif":
        raise ValueError(
            f"X is an array of {images.dtype} of shape {images.shape}; expected numbers of shape "
            "(n, height, width) or (n, height, width, channels)."
        )
    if images.dtype not in (np.float32, np.float64):  # which of them holds every digit
        images = images.astype(np.float32 if images.dtype.itemsize <= 2 else np.float64)
    if not np.isfinite(images).all():
        raise ValueError(f"X holds {images[~np.isfinite(images)][0]}; expected finite numbers.")
    return images if images.ndim == 4 else images[..., None]


def weights(size: int) -> np.ndarray:
    """Weights (size, size) of a window's pixels: Hann's, near 0 at its edges and never 0.

    A window thus fades where its neighbours take over, and leaves no seam.
    """
    side = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    return np.outer(side, side)


def stitched(images: np.ndarray, size: int, stride: int, errors: Errors) -> Iterator[np.ndarray]:
    """Maps (height, width), one an image: weighted means of what windows say of each pixel.

    Parameters
    ----------
    images : ndarray of shape (n, height, width, c)
    size, stride : int
        Side of a window, and pixels from one to the next; windows overlap or touch.
    errors : callable
        Takes windows (m, size, size, c), and returns the error of each pixel, (m, size, size).

    Yields
    ------
    ndarray of shape (height, width), float64
    """
    rows, columns = (starts(side, size, stride) for side in images.shape[1:3])
    weight, covered = weights(size), np.zeros(images.shape[1:3])
    for i in rows:
        for j in columns:
            covered[i : i + size, j : j + size] += weight
    at_once = max(1, AT_ONCE // (len(columns) * size**2 * images.shape[3]))
    for begin in range(0, len(images), at_once):
        some = images[begin : begin + at_once]
        total = np.zeros(some.shape[:3])
        for i in rows:
            strip = windows(some[:, i : i + size], size, stride)[:, 0]  # (n, b, size, size, c)
            found = errors(strip.reshape(-1, *strip.shape[2:])).reshape(strip.shape[:4])
            for b, j in enumerate(columns):
                total[:, i : i + size, j : j + size] += weight * found[:, b]
        yield from total / covered
