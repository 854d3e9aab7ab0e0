"""What ``aedetect images`` does: learn from a folder, score another, and draw what is strange."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ..detectors.patches import PatchDetector
from ..files import whole_file
from ..images.filter import ImageFilter
from ..images.reading import read_images
from ..rows.threshold import FEWEST, p_values
from ..tables.text import listed
from ..tables.writing import write_csv
from .report.page import style_and_hash, template

SIZE = 32  # of a patch, where images are as large
RED, OPAQUE = np.array([0.9, 0.1, 0.1]), 0.7
SMALLEST = 160  # pixels of the longer side: drawn larger if smaller
LEVEL = 1e-5  # less than one of the greys of 16 bits


def compared(
    train: Path, test: Path, output: Path, shape: tuple[int, int] | None, seed: int
) -> Iterator[str]:
    """Score the images of a folder by those of another, and write what was found.

    Parameters
    ----------
    train, test : Path
        Folders of normal images, and of images to score.
    output : Path
        Folder for ``index.html``, ``scores.csv`` and ``overlays``; made if missing.
    shape : (int, int) or None
        Height and width to resize to.
    seed : int

    Yields
    ------
    str
        Lines of a summary.
    """
    template("images.html.jinja")  # what is missing is said before anything is read
    known = read_images(train, shape=shape)
    new = read_images(test, shape=shape, colour=known.pixels.ndim == 4)
    sides = known.pixels.shape[1:3]
    if new.pixels.shape[1:3] != sides:
        found, wanted = (f"{a} x {b}" for a, b in (new.pixels.shape[1:3], sides))
        raise ValueError(
            f"{test} has images of {found} pixels, {train} of {wanted}; give one --shape for both"
        )
    patches = PatchDetector(size=min(SIZE, *sides), random_state=seed)
    detector = Pipeline([("filter", ImageFilter(standardize=True)), ("patches", patches)])
    detector.fit(known.pixels)
    maps = patches.error_maps(detector[:-1].transform(new.pixels))

    table = pd.DataFrame({"image": new.names, "score": patches.score_maps(maps)})
    blank = _blank(new.pixels) & ~_blank(known.pixels).any()
    table.loc[blank, "score"] = -np.inf
    if hasattr(patches, "calibration_scores_"):
        table["p_value"] = p_values(table["score"].to_numpy(), patches.calibration_scores_)
    table["label"] = np.where(table["score"] >= patches.offset_, 1, -1)
    table["overlay"] = [f"overlays/{i + 1:05}.png" for i in range(len(table))]

    brightest = known.pixels.max() or 1  # little in images of 12 bits
    (output / "overlays").mkdir(parents=True, exist_ok=True)
    for pixels, errors, name in zip(new.pixels, maps, table["overlay"], strict=True):
        _draw(output / name, pixels / brightest, errors, patches.map_limits_)
    write_csv(table, output / "scores.csv")
    flagged = int((table["label"] == -1).sum())
    _write_page(output / "index.html", table, flagged, len(known.names), -patches.offset_)
    if "p_value" not in table:
        yield (
            f"Of fewer than {FEWEST} normal images there are no p-values; an image is flagged that "
            "is stranger than each of them."
        )
    if blank.any():
        names = listed(table["image"][blank].to_list())
        yield f"Flagged because blank, as no normal image is: {names}."
    yield (
        f"{test}: {flagged} of {len(table)} images flagged, by {len(known.names)} normal ones of "
        f"{sides[0]} x {sides[1]} pixels. All are in {output / 'index.html'}."
    )


def overlaid(pixels: np.ndarray, errors: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Paint an image red where its errors are above those of normal images.

    Parameters
    ----------
    pixels : ndarray of shape (height, width) or (height, width, channels)
        From 0 to 1.
    errors : ndarray of shape (height, width)
    limits : (float, float)
        The error that paint begins at, and the one where it is thickest.

    Returns
    -------
    ndarray of shape (height, width, 3)
        From 0 to 1.
    """
    low, high = limits
    paint = OPAQUE * ((errors - low) / max(high - low, 1e-300)).clip(0, 1)[..., None]
    channels = np.broadcast_to(np.atleast_3d(pixels), (*errors.shape, 3))
    return channels * (1 - paint) + RED * paint


def _blank(images: np.ndarray) -> np.ndarray:
    """Which of some images are of one colour, of which standardised nothing is left to score."""
    return np.ptp(images, axis=(1, 2)).reshape(len(images), -1).max(axis=1) < LEVEL


def _write_page(
    path: Path, table: pd.DataFrame, flagged: int, n_train: int, threshold: float
) -> None:
    style, style_hash = style_and_hash()
    text = template("images.html.jinja").render(
        rows=table.sort_values("score", kind="stable").to_dict("records"),
        flagged=flagged,
        n_train=n_train,
        threshold=threshold,
        style=style,
        style_hash=style_hash,
    )
    with whole_file(path) as file:
        file.write_text(text, encoding="utf-8")


def _draw(path: Path, pixels: np.ndarray, errors: np.ndarray, limits: tuple[float, float]) -> None:
    """Write an image, and beside it the same with paint, as PNG."""
    from PIL import Image

    pair = overlaid(pixels, errors * 0, (1, 2)), overlaid(pixels, errors, limits)
    both = np.hstack([(255 * side.clip(0, 1)).round().astype(np.uint8) for side in pair])
    times = -(-SMALLEST // max(errors.shape))
    with whole_file(path) as temporary:
        Image.fromarray(both.repeat(times, axis=0).repeat(times, axis=1)).save(temporary, "png")
