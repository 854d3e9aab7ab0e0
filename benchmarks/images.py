"""Images: one-class MNIST and Fashion-MNIST, embeddings of MVTec, and defects of magnetic tiles.

``OMP_NUM_THREADS=1 python benchmarks/images.py --data DIR [--only NAME ...] [--classes C ...]``,
where DIR holds ``images`` and ``adbench``:

- mnist, fashion: as in ``variants.py``, detectors learn 2,000 training images of a class and score
  the whole test set. A minute or two for ``--classes 0 1``; blur and bandwidth of
  `make_image_detector` were chosen with ``--choose``, which sees training images only.
- mvtec: ``MVTec-AD_*.npz`` of ADBench, one vector of 512 features an image. Half of the normal ones
  are learned from, all others are scored; mean of ``--seeds`` random halves.
- tiles: ``mt_free_128.npz``, ``mt_defect_128.npz``, halved to 64 x 64 pixels, each standardised.
  Half of the clean ones are learned from, the others and all defective ones are scored. A tile was
  photographed under six lights: "apart" keeps all of its photographs on one side, by their numbers,
  "random" does not, and so lets a detector recognise clean tiles. The AUROC of pixels is the mean
  over defective images; PRO (Bergmann et al., 2020) is up to a false positive rate of 0.3.
"""

import argparse
import re
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, label
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline

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


def tiles(folder: Path) -> Iterator[tuple[str, str]]:
    clean, defective = (np.load(folder / f"mt_{part}_128.npz") for part in ("free", "defect"))
    masks = np.unpackbits(defective["mask"], axis=-1).astype(bool)
    X, odd = halved(clean["X"]), halved(defective["X"])
    for split, order in (("apart", by_tile(clean["path"])), ("random", None)):
        order = np.random.default_rng(0).permutation(len(X)) if order is None else order
        known, others = X[order[: len(X) // 2]], X[order[len(X) // 2 :]]
        for title, make in (("PCADetector, 64", whole), ("PatchDetector", patches)):
            scores, maps = make(known, np.concatenate([others, odd]))
            truth = np.arange(len(scores)) >= len(others)
            yield (
                f"{title}, {split}",
                f"image AUROC {roc_auc_score(truth, -scores):.3f}  "
                + told_of_pixels(maps[: len(others)], maps[len(others) :], masks),
            )


def halved(X: np.ndarray) -> np.ndarray:
    return X.reshape(len(X), 64, 2, 64, 2).mean(axis=(2, 4))


def by_tile(paths: np.ndarray) -> np.ndarray:
    """Order in which photographs of one tile are together: numbers rise alike under each light."""
    names = [re.search(r"exp(\d+)_num_(\d+)", path) for path in paths]
    light, number = np.array([[int(part) for part in name.groups()] for name in names]).T
    rank = np.empty(len(paths))
    for value in np.unique(light):
        here = np.flatnonzero(light == value)
        rank[here[number[here].argsort()]] = np.arange(len(here)) / len(here)
    return rank.argsort(kind="stable")


def whole(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The baseline: principal components of whole images."""
    scale = ae.ImageFilter(standardize=True)
    detector = ae.PCADetector(latent_dim=64, contamination=0.0).fit(scale.fit_transform(train))
    Z = scale.transform(test)
    return detector.score_samples(Z), gaussian_filter(detector.score_features(Z), (0, 2, 2))


def patches(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    detector = make_pipeline(
        ae.ImageFilter(standardize=True),
        ae.PatchDetector(
            estimator=ae.PCADetector(latent_dim=64), stride=4, max_patches=8000, random_state=0
        ),
    ).fit(train)
    Z = detector[:-1].transform(test)
    return detector[-1].score_samples(Z), detector[-1].error_maps(Z)


def told_of_pixels(clean: np.ndarray, odd: np.ndarray, masks: np.ndarray) -> str:
    """AUROC of pixels, and PRO, of maps (n, 64, 64) against masks (n, 128, 128)."""
    odd = odd.repeat(2, axis=1).repeat(2, axis=2)
    aurocs = [
        roc_auc_score(mask.ravel(), errors.ravel())
        for mask, errors in zip(masks, odd, strict=True)
        if mask.any()
    ]
    rates = np.linspace(0, 0.3, 61)
    thresholds = np.quantile(np.r_[clean.repeat(4), odd[~masks]], 1 - rates)
    overlaps = []
    for mask, errors in zip(masks, odd, strict=True):
        regions, n = label(mask)
        overlaps += [
            (errors[regions == k][:, None] > thresholds).mean(axis=0) for k in range(1, n + 1)
        ]
    pro = np.trapezoid(np.mean(overlaps, axis=0), rates) / rates[-1]
    return f"pixel AUROC {np.mean(aurocs):.3f}  PRO {pro:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of images and adbench")
    names = ("mnist", "fashion", "mvtec", "tiles")
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    parser.add_argument("--classes", nargs="*", type=int, default=list(range(10)))
    parser.add_argument("--seeds", type=int, default=5, help="random halves of MVTec")
    parser.add_argument("--choose", action="store_true", help="blur and bandwidth, instead")
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
    for name, part in chosen.items():
        start = time.process_time()
        for title, told in part():
            seconds = time.process_time() - start
            print(f"{name:8} {title:26} {told}  {seconds:.0f} CPU s", flush=True)
            start = time.process_time()


if __name__ == "__main__":
    main()
