"""Windows cover images, and what is stitched from them has no seams."""

import numpy as np
import pytest

from aedetect.images import windows as module
from aedetect.images.windows import images_of, starts, stitched, weights, windows

SIZES = [(8, 3), (8, 8), (5, 2), (1, 1), (13, 4)]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.float16])
def test_numbers_keep_their_digits(dtype):
    largest = 65504 if dtype is np.float16 else min(2**53 - 1, np.iinfo(dtype).max)
    assert images_of(np.full((1, 2, 2), largest, dtype)).max() == largest


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_windows_begin_at_both_ends_and_leave_no_gap(size, stride):
    for side in range(size, 30):
        begun = starts(side, size, min(stride, size))
        assert begun[0] == 0
        assert begun[-1] == side - size
        assert (np.diff(begun) > 0).all()
        assert (np.diff(begun) <= min(stride, size)).all()


@pytest.mark.parametrize(("size", "stride"), SIZES)
def test_windows_are_the_slices(size, stride, rng):
    images = rng.normal(size=(3, 13, 17, 2))
    found = windows(images, size, stride)
    for a, i in enumerate(starts(13, size, stride)):
        for b, j in enumerate(starts(17, size, stride)):
            assert (found[:, a, b] == images[:, i : i + size, j : j + size]).all()


@pytest.mark.parametrize(("size", "stride"), SIZES)
@pytest.mark.parametrize("at_once", [1, 2**22])
def test_what_windows_say_of_a_pixel_alike_is_what_the_map_says(
    size, stride, at_once, rng, monkeypatch
):
    """Each window returns its own pixels: the image comes back, whatever the overlap."""
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    images = rng.normal(size=(4, 13, 17, 2))
    maps = list(stitched(images, size, stride, lambda patches: patches.mean(-1)))
    np.testing.assert_allclose(maps, images.mean(-1))


def test_a_window_that_disagrees_leaves_no_edge():
    """Of windows that overlap by three quarters, one says 1: the map rises and falls in steps."""
    image = np.zeros((1, 64, 64, 1))
    image[0, 24, 24] = 1

    def first_pixel(patches):
        return np.broadcast_to(patches[:, :1, :1, 0], patches.shape[:3])

    (found,) = stitched(image, 16, 4, first_pixel)
    steps = max(np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1))
    assert found.max() > 0.2
    assert steps < 0.25 * found.max()
    assert (found[:24] == 0).all()
    assert (found[40:] == 0).all()


def test_weights_are_even_and_fall_to_the_edges():
    weight = weights(8)
    assert (weight > 0).all()
    np.testing.assert_allclose(weight, weight[::-1, ::-1])
    assert weight[0, 0] < 0.01 * weight.max()
