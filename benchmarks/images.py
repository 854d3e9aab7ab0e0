"""Images: one-class MNIST and Fashion-MNIST, embeddings of MVTec, and defects of magnetic tiles.

``OMP_NUM_THREADS=1 python benchmarks/images.py --data DIR [--only NAME ...] [--classes C ...]``,
where DIR holds ``images`` and ``adbench``:

- mnist, fashion: as in ``variants.py``, detectors learn 2,000 training images of a class and score
  the whole test set. A minute or two for ``--classes 0 1``; blur and bandwidth of
  `make_image_detector` were chosen with ``--choose``, which sees training images only.
- mvtec: ``MVTec-AD_*.npz`` of ADBench, one vector of 512 features an image. Half of the normal ones
  are learned from, all others are scored; mean of ``--seeds`` random halves.
- tiles: defects of ``mt_defect_128.npz``, found by detectors that know clean tiles; ``tiles.py``
  says how. Filter and patches were chosen with ``--choose-tiles``, on the other half of the defects.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from tiles import choice, tiles

import aedetect as ae

FEW = 200  # held-out training images of a class to choose by


class NearestRows:
    """Mean distance to the five nearest training rows."""

    def fit(self, X: np.ndarray) -> "NearestRows":
        self.rows = NearestNeighbors(n_neighbors=5).fit(X.reshape(len(X), -1))
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self.rows.kneighbors(X.reshape(len(X), -1))[0].mean(axis=1)


def read(folder: Path, pattern: str) -> tuple[np.ndarray, np.ndarray]:
    loaded = [np.load(file) for file in sorted(folder.glob(pattern))]
    if not loaded:
        raise SystemExit(f"{folder} has no {pattern}")
    X, y = (np.concatenate([arrays[key] for arrays in loaded]) for key in "Xy")
    return X / 255.0, y


def one_class(folder: Path, name: str, classes: list[int]) -> Iterator[tuple[str, str]]:
    (X, y), (X_test, y_test) = (read(folder, f"{name}_{part}*.npz") for part in ("train", "test"))
    detectors: dict[str, Callable[[], Any]] = {
        "kNN, mean of 5": NearestRows,
        "KernelAutoencoder": ae.KernelAutoencoder,
        "make_image_detector": ae.make_image_detector,
    }
    for title, make in detectors.items():
        aurocs = [
            roc_auc_score(y_test == c, make().fit(X[y == c][:2000]).score_samples(X_test))
            for c in classes
        ]
        yield title, f"AUROC {np.mean(aurocs):.3f}"


def choose(folder: Path, classes: list[int]) -> Iterator[tuple[str, str]]:
    """Blur and bandwidth by how well training images of a class are told from those of others."""
    data = [read(folder, f"{name}_train*.npz") for name in ("mnist", "fashion")]
    for blur in (0.0, 0.7, 1.0, 1.4, 2.0):
        for bandwidth in (0.25, 0.4, 0.6):
            means = []
            for X, y in data:
                held_out = np.concatenate(
                    [np.flatnonzero(y == c)[2000 : 2000 + FEW] for c in range(10)]
                )
                detector = ae.make_image_detector()
                detector.set_params(filter__blur=blur, detector__bandwidth=bandwidth)
                scores = [
                    detector.fit(X[y == c][:2000]).score_samples(X[held_out]) for c in classes
                ]
                aurocs = map(roc_auc_score, [y[held_out] == c for c in classes], scores)
                means.append(np.mean(list(aurocs)))
            yield f"blur {blur}, bandwidth {bandwidth}", " ".join(f"{m:.4f}" for m in means)


def mvtec(folder: Path, n_seeds: int) -> Iterator[tuple[str, str]]:
    detectors: dict[str, Callable[[], Any]] = {
        "kNN, mean of 5": NearestRows,
        "KernelAutoencoder": ae.KernelAutoencoder,
        "PCADetector": ae.PCADetector,
        "GaussianDetector": ae.GaussianDetector,
    }
    files = sorted(folder.glob("MVTec-AD_*.npz"))
    for title, make in detectors.items():
        means = []
        for file in files:
            arrays = np.load(file, allow_pickle=True)
            X, odd = arrays["X"].astype(np.float64), arrays["y"].ravel() == 1
            aurocs = []
            for seed in range(n_seeds):
                normal = np.random.default_rng(seed).permutation(np.flatnonzero(~odd))
                known = normal[: len(normal) // 2]
                others = np.setdiff1d(np.arange(len(X)), known)
                scores = make().fit(X[known]).score_samples(X[others])
                aurocs.append(roc_auc_score(odd[others], -scores))
            means.append(np.mean(aurocs))
        told = " ".join(f"{100 * mean:.1f}" for mean in means)
        yield title, f"AUROC {100 * np.mean(means):.1f} ({told})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of images and adbench")
    names = ("mnist", "fashion", "mvtec", "tiles")
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--classes", nargs="*", type=int, default=list(range(10)))
    parser.add_argument("--seeds", type=int, default=5, help="random halves of MVTec")
    parser.add_argument("--choose", action="store_true", help="blur and bandwidth, instead")
    parser.add_argument("--choose-tiles", action="store_true", help="settings of patches, instead")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Columns have unlike scales")  # features share a unit
    images, tables = arguments.data / "images", arguments.data / "adbench"
    parts = {
        "mnist": lambda: one_class(images, "mnist", arguments.classes),
        "fashion": lambda: one_class(images, "fashion", arguments.classes),
        "mvtec": lambda: mvtec(tables, arguments.seeds),
        "tiles": lambda: tiles(images),
    }
    chosen = {name: parts[name] for name in arguments.only}
    if arguments.choose:
        chosen = {"choice": lambda: choose(images, arguments.classes)}
    if arguments.choose_tiles:
        chosen = {"choice": lambda: choice(images)}
    for name, part in chosen.items():
        start = time.process_time()
        for title, told in part():
            seconds = time.process_time() - start
            print(f"{name:8} {title:26} {told}  {seconds:.0f} CPU s", flush=True)
            start = time.process_time()


if __name__ == "__main__":
    main()
