"""Folders of images: what is read, what is skipped, and what is refused."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image

from aedetect import read_images


@pytest.fixture
def grey(rng):
    return rng.integers(0, 256, (5, 7), dtype=np.uint8)


@pytest.fixture
def colour(rng):
    return rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def save(array, path, **options):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array).save(path, **options)


def test_grey_images_are_read_from_0_to_1_in_the_order_of_their_names(tmp_path, grey):
    save(grey, tmp_path / "b.png")
    save(255 - grey, tmp_path / "a.png")
    save(grey, tmp_path / "good" / "c.bmp")
    save(grey, tmp_path / ".thumbnails" / "d.png")
    names, pixels = read_images(tmp_path)
    assert names == ["a.png", "b.png", "good/c.bmp"]
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, np.stack([255 - grey, grey, grey]) / 255, rtol=1e-6)


@pytest.mark.parametrize("read_as", [None, True])
def test_one_colour_image_makes_all_of_three_channels(tmp_path, grey, colour, read_as):
    save(grey, tmp_path / "a.png")
    save(colour, tmp_path / "b.png")
    _, pixels = read_images(tmp_path, colour=read_as)
    np.testing.assert_allclose(pixels[0], np.stack([grey] * 3, -1) / 255, rtol=1e-6)
    np.testing.assert_allclose(pixels[1], colour / 255, rtol=1e-6)


def test_colour_is_taken_or_left(tmp_path, grey, colour):
    save(grey, tmp_path / "a.png")
    assert read_images(tmp_path, colour=True).pixels.shape == (1, 5, 7, 3)
    save(colour, tmp_path / "a.png")
    (value,) = read_images(tmp_path, colour=False).pixels
    luma = colour @ [0.299, 0.587, 0.114] / 255  # ITU-R 601
    np.testing.assert_allclose(value, luma, atol=1 / 255)


def test_sixteen_bits_keep_their_digits(tmp_path, rng):
    deep = rng.integers(0, 2**16, (5, 7), dtype=np.uint16)
    save(deep, tmp_path / "a.png")
    np.testing.assert_allclose(read_images(tmp_path).pixels[0], deep / 65535, rtol=1e-6)


def test_bits_palettes_and_transparency_are_pixels_too(tmp_path, grey, colour):
    Image.fromarray(grey > 99).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_images(tmp_path).pixels[0], grey > 99)
    Image.fromarray(colour).quantize(64).save(tmp_path / "a.png")
    assert read_images(tmp_path).pixels.shape == (1, 5, 7, 3)
    save(np.concatenate([colour, colour[..., :1]], axis=-1), tmp_path / "a.png")
    np.testing.assert_allclose(read_images(tmp_path).pixels[0], colour / 255, rtol=1e-6)


def test_cameras_say_what_is_up(tmp_path, colour):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    save(colour, tmp_path / "a.png", exif=exif)
    turned = np.rot90(colour, -1)
    np.testing.assert_allclose(read_images(tmp_path).pixels[0], turned / 255, rtol=1e-6)


def test_what_is_no_image_or_broken_is_skipped_by_name(tmp_path, grey):
    save(np.kron(grey, np.ones((20, 20), np.uint8)), tmp_path / "good.png")
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "empty.png").write_bytes(b"")
    data = (tmp_path / "good.png").read_bytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match="Skipped") as said:
        names, _ = read_images(tmp_path)
    assert names == ["good.png"]
    for told in ("'empty.png (no image)'", "'half.png (broken)'", "'notes.txt (no image)'"):
        assert told in str(said[0].message)
    assert said[0].filename == __file__


def test_greys_with_transparency_are_grey(tmp_path, grey):
    save(np.stack([grey, grey], axis=-1), tmp_path / "a.png")
    np.testing.assert_allclose(read_images(tmp_path).pixels[0], grey / 255, rtol=1e-6)


def test_pixels_without_a_known_range_are_skipped_by_name(tmp_path, grey):
    save(grey.astype(np.float32), tmp_path / "float.tif")
    save(10_000_000 * grey.astype(np.int32), tmp_path / "int.tif")
    save(grey, tmp_path / "good.png")
    with pytest.warns(UserWarning, match="'float.tif .neither 8 nor 16 bits.', 'int.tif .neither"):
        names, _ = read_images(tmp_path)
    assert names == ["good.png"]


def test_a_file_that_may_not_be_read_is_skipped_by_name(tmp_path, grey, monkeypatch):
    save(grey, tmp_path / "a.png")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ValueError, match=r"'a.png \(may not be read\)'"):
        read_images(tmp_path)


@pytest.mark.filterwarnings("always::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [30, 15])  # Pillow warns, or raises, of 35 pixels
def test_an_image_beyond_the_limit_is_skipped(limit, tmp_path, grey, monkeypatch):
    save(grey, tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=r"'a.png \(too large\)'"):
        read_images(tmp_path)


def test_two_sizes_are_refused_and_resized_on_demand(tmp_path, grey):
    save(grey, tmp_path / "a.png")
    save(np.kron(grey.T, np.ones((4, 4), np.uint8)), tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"'a.png' is of 5 x 7 pixels, 'b.png' of 28 x 20"):
        read_images(tmp_path)
    pixels = read_images(tmp_path, shape=(7, 5)).pixels
    assert pixels.shape == (2, 7, 5)
    assert np.corrcoef(pixels[1].ravel(), grey.T.ravel())[0, 1] > 0.9  # each pixel was 4 x 4


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no image that can be read"):
        read_images(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(ValueError, match=r"no image that can be read: 'notes.txt \(no image\)'"):
        read_images(tmp_path)
    for wrong in ("notes.txt", "nowhere"):
        with pytest.raises(OSError, match=wrong):
            read_images(tmp_path / wrong)


def test_metadata_that_cannot_be_read_is_no_concern(tmp_path, grey, monkeypatch):
    save(grey, tmp_path / "a.png")
    opened = Image.open

    def warns(path):
        warnings.warn("Corrupt EXIF data", UserWarning, stacklevel=1)
        return opened(path)

    monkeypatch.setattr(Image, "open", warns)
    assert read_images(tmp_path).names == ["a.png"]


def test_names_of_other_encodings_are_escaped(tmp_path, grey):
    save(grey, tmp_path / os.fsdecode(b"caf\xe9.png"))
    assert read_images(tmp_path).names == [r"caf\udce9.png"]


def test_links_are_followed_and_do_not_lead_in_circles(tmp_path, grey):
    save(grey, tmp_path / "elsewhere" / "a.png")
    save(grey, tmp_path / "root" / "b.png")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "nothing.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "root")
    told = r"'linked/up \(read already\)', 'nothing.png \(no file\)'"
    with pytest.warns(UserWarning, match=told):
        names, _ = read_images(tmp_path / "root")
    assert names == ["b.png", "linked/a.png"]


def test_a_folder_that_may_not_be_read_is_named(tmp_path, grey, monkeypatch):
    for name in ("closed", "open"):
        save(grey, tmp_path / name / "a.png")
    listed = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.warns(UserWarning, match=r"'closed \(may not be read\)'"):
        names, _ = read_images(tmp_path)
    assert names == ["open/a.png"]


def test_colour_is_taken_left_or_up_to_the_images(tmp_path):
    with pytest.raises(ValueError, match="colour='grey'; expected True or False or None"):
        read_images(tmp_path, colour="grey")


@pytest.mark.parametrize("shape", [(0, 5), (5,), 5, (2.5, 2)])
def test_shapes_are_two_counts(tmp_path, shape):
    with pytest.raises(ValueError, match="shape="):
        read_images(tmp_path, shape=shape)
