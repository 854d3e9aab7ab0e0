"""Folders of images as arrays."""

import os
import struct
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..params import Count, refuse_unless
from ..tables.text import listed
from ..warn import warn

GREY = ("1", "L", "LA", "La")
DEEP = ("I", "I;16", "I;16B", "I;16L")  # Pillow's names of greys of 16 bits
BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error)


class Images(NamedTuple):
    """Images of one size, and where each came from.

    Attributes
    ----------
    names : list of str
        Paths below the folder, in alphabetical order; bytes that are no UTF-8 are escaped.
    pixels : ndarray of shape (n, height, width), or (n, height, width, 3) in colour; float32
        From 0 to 1.
    """

    names: list[str]
    pixels: np.ndarray


def read_images(
    folder: str | os.PathLike[str],
    *,
    shape: tuple[int, int] | None = None,
    colour: bool | None = None,
) -> Images:
    """Read all images in a folder and in those below it.

    Any format that Pillow reads will do. Images are turned as their cameras say, transparency is
    dropped, and of moving images the first is taken. Links are followed, and a folder is read once.
    Names that begin with a dot, also of folders, are left out.

    Parameters
    ----------
    folder : path
        Where the files are.
    shape : (int, int), default=None
        Height and width to resize to; None: as they are, and all of one size.
    colour : bool, default=None
        Whether to read three channels; None: if an image has colour, all are read so.

    Returns
    -------
    Images
        ``names`` and ``pixels``.

    Raises
    ------
    ValueError
        If no file is an image, or if images have several sizes; the message names two. If a
        parameter cannot be used.
    OSError
        If `folder` is none.
    ImportError
        If Pillow is missing.

    Warns
    -----
    UserWarning
        Of files that are skipped, because they are no images, broken, of values that are neither
        of 8 nor of 16 bits, or too large (Pillow's limit is 89 million pixels), and of folders that
        may not be read, or are linked twice.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from PIL import Image
    >>> from aedetect import read_images
    >>> with TemporaryDirectory() as folder:
    ...     Image.fromarray(np.full((4, 6), 255, np.uint8)).save(Path(folder, "white.png"))
    ...     names, pixels = read_images(folder)
    >>> names, pixels.shape, float(pixels.max())
    (['white.png'], (1, 4, 6), 1.0)
    """
    refuse_unless(tuple[Count, ...] | None, "shape", shape)
    if shape is not None and len(shape) != 2:
        raise ValueError(f"shape={shape}; expected height and width.")
    refuse_unless(bool | None, "colour", colour)
    root = Path(folder)
    names: list[str] = []
    arrays: list[np.ndarray] = []
    skipped: list[str] = []
    for path in _files(root, skipped):
        name = _name(path, root)
        try:
            arrays.append(_read(path, shape, colour))
            names.append(name)
        except _UnreadableError as error:
            skipped.append(f"{name} ({error})")
    if not names:
        told = f": {listed(skipped)}" if skipped else ""
        raise ValueError(f"{root} holds no image that can be read{told}")
    if skipped:
        warn(f"Skipped in {root}: {listed(skipped)}")
    return Images(names, _together(names, arrays))


class _UnreadableError(Exception):
    """A file that is no image, or a broken one."""


def _name(path: str | Path, root: Path) -> str:
    """Path below a folder; bytes that are no UTF-8 become escapes."""
    return Path(path).relative_to(root).as_posix().encode(errors="backslashreplace").decode()


def _files(root: Path, skipped: list[str]) -> list[Path]:
    """Files below a folder in alphabetical order; says what else is there."""
    next(root.iterdir(), None)  # raises where it is no folder

    def failed(error: OSError) -> None:
        skipped.append(f"{_name(error.filename, root)} (may not be read)")

    found: list[Path] = []
    known: set[str] = set()
    for folder, below, names in os.walk(root, onerror=failed, followlinks=True):
        if (real := os.path.realpath(folder)) in known:
            skipped.append(f"{_name(folder, root)} (read already)")
            below.clear()  # links may lead in circles
            continue
        known.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    found.sort()
    skipped += [f"{_name(path, root)} (no file)" for path in found if not os.path.isfile(path)]
    return [path for path in found if os.path.isfile(path)]


def _read(path: Path, shape: tuple[int, int] | None, colour: bool | None) -> np.ndarray:
    """One image, (height, width) or (height, width, 3), from 0 to 1."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ModuleNotFoundError as error:
        raise ImportError("images are read with Pillow: pip install 'aedetect[images]'") from error

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                image: Any = ImageOps.exif_transpose(opened)
                deep = image.mode in DEEP
                if not deep:
                    grey = image.mode in GREY or colour is False
                    image = image.convert("L" if grey else "RGB")
                values = np.asarray(image, np.float32) / (65535 if deep else 255)
                if opened.mode == "F" or not 0 <= values.min() <= values.max() <= 1:
                    raise _UnreadableError("neither 8 nor 16 bits")
    except UnidentifiedImageError as error:
        raise _UnreadableError("no image") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _UnreadableError("too large") from error
    except PermissionError as error:
        raise _UnreadableError("may not be read") from error
    except BROKEN as error:
        raise _UnreadableError("broken") from error
    values = _coloured(values) if colour else values
    return values if shape is None else _resized(values, shape)


def _coloured(values: np.ndarray) -> np.ndarray:
    """The same with three channels, if it has none."""
    return np.stack([values] * 3, axis=-1) if values.ndim == 2 else values


def _resized(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    channels = np.atleast_3d(values)
    small = [
        np.asarray(Image.fromarray(channels[..., c]).resize(shape[::-1], Image.Resampling.BILINEAR))
        for c in range(channels.shape[2])
    ]
    return np.stack(small, axis=-1).reshape(*shape, *values.shape[2:])


def _together(names: list[str], arrays: list[np.ndarray]) -> np.ndarray:
    """Images as one array, with three channels if some have them."""
    if any(array.ndim == 3 for array in arrays):
        arrays = [_coloured(array) for array in arrays]
    for name, array in zip(names, arrays, strict=True):
        if array.shape != arrays[0].shape:
            first, other = (f"{x.shape[0]} x {x.shape[1]}" for x in (arrays[0], array))
            raise ValueError(
                f"Images have several sizes: {names[0]!r} is of {first} pixels, {name!r} of "
                f"{other}. Give one shape for all, height and width."
            )
    return np.stack(arrays)
