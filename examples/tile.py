"""Where is a magnetic tile broken? Patches of clean tiles tell.

A detector learns from photographs of clean tiles. The figure shows defective ones, with the outline
that people drew around the defect in blue, and in red what the detector finds, on a scale that
clean tiles set: on those, hardly anything is red. A blowhole is found where it is; of a fray, which
is as wide as a patch, only the border is seen, and a crack no darker than the grain is missed.

Run: ``python examples/tile.py --data DIR tiles.png``, where DIR holds ``mt_free_128.npz`` and
``mt_defect_128.npz`` (Magnetic-tile-defect-datasets, cut and resized to 128 x 128 pixels; masks
packed by ``np.packbits``).
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
from matplotlib import pyplot
from sklearn.pipeline import make_pipeline

from aedetect import ImageFilter, PatchDetector

KINDS = ("Blowhole", "Crack", "Break", "Fray", "Uneven")


def halved(X: np.ndarray) -> np.ndarray:
    return X.reshape(len(X), 64, 2, 64, 2).mean(axis=(2, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of both files")
    parser.add_argument("figure", help="PNG to write")
    arguments = parser.parse_args()
    clean, defective = (
        np.load(arguments.data / f"mt_{part}_128.npz") for part in ("free", "defect")
    )
    masks = np.unpackbits(defective["mask"], axis=-1).astype(bool)
    largest = [
        max(np.flatnonzero(defective["label"] == kind), key=lambda i: masks[i].sum())
        for kind in KINDS
    ]
    train, held_out = halved(clean["X"][::2]), halved(clean["X"][1:2])
    shown = np.concatenate([held_out, halved(defective["X"][largest])])

    scale = ImageFilter(background=3, standardize=True)  # the light is uneven
    detector = make_pipeline(scale, PatchDetector(pooling=0.1, random_state=0))
    detector.fit(train)
    Z = detector[:-1].transform(shown)
    maps, p = detector[-1].error_maps(Z), detector[-1].p_values(Z)
    low, high = detector[-1].map_limits_
    figure, axes = pyplot.subplots(1, len(shown), figsize=(12, 2.6), layout="constrained")
    outlines = [None, *masks[largest]]
    for ax, tile, errors, name, outline, rare in zip(
        axes, shown, maps, ("clean", *KINDS), outlines, p, strict=True
    ):
        ax.imshow(tile, cmap="gray")
        paint = 0.7 * ((errors - low) / (high - low)).clip(0, 1)
        ax.imshow(np.ones_like(errors), cmap="Reds", vmin=0, vmax=1.2, alpha=paint)
        if outline is not None:
            ax.contour(np.arange(128) / 2, np.arange(128) / 2, outline, [0.5], colors="#56B4E9")
        ax.set(xticks=[], yticks=[], title=f"{name}, p = {rare:.2g}")
    figure.savefig(arguments.figure, dpi=100)
    print(f"p-values of defective tiles: {', '.join(f'{value:.3f}' for value in p[1:])}")


if __name__ == "__main__":
    main()
