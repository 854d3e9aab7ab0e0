"""Magnetic tiles, 64 x 64 pixels: what ``images.py`` prints of them, and how it was chosen.

Half of the clean tiles are learned from, the others and defective ones are scored. A tile was
photographed under six lights: "apart" keeps all of its photographs on one side, by their numbers,
"random" does not, and so lets a detector recognise clean tiles. The AUROC of pixels is the mean
over defective images; PRO (Bergmann et al., 2020) is up to a false positive rate of 0.3.

Every second defective tile is scored; ``choice`` uses the others. Of the clean half that is learned
from, a third is held out, each in turn. The best setting has the largest mean of both AUROCs, of
images and of pixels.
"""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, label
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

import aedetect as ae

ESTIMATORS = {
    "PCA, 1/32": lambda values: ae.PCADetector(latent_dim=values // 32),
    "PCA, 1/16": lambda values: ae.PCADetector(latent_dim=values // 16),
    "PCA, 1/8": lambda values: ae.PCADetector(latent_dim=values // 8),
    "Gaussian, noise 0.1": lambda _: ae.GaussianDetector(noise=0.1),
}
BACKGROUNDS, SIZES = (0.0, 3.0, 6.0), (16, 32)
SMOOTHINGS, POOLINGS = (1.5, 2.0, 3.0), ("max", 0.003, 0.01, 0.03, 0.1)
CHOSEN, SCORED = slice(0, None, 2), slice(1, None, 2)  # of the defective tiles


def tiles(folder: Path) -> Iterator[tuple[str, str]]:
    X, order = clean_tiles(folder)
    odd, masks = defective_tiles(folder, SCORED)
    orders = {"apart": order, "random": np.random.default_rng(0).permutation(len(X))}
    for split, chosen in orders.items():
        known, others = X[chosen[: len(X) // 2]], X[chosen[len(X) // 2 :]]
        for title, make in (("PCADetector, 64", whole), ("PatchDetector", patches)):
            scores, maps = make(known, np.concatenate([others, odd]))
            truth = np.arange(len(scores)) >= len(others)
            yield (
                f"{title}, {split}",
                f"image AUROC {roc_auc_score(truth, -scores):.3f}  "
                + told_of_pixels(maps[: len(others)], maps[len(others) :], masks),
            )


def clean_tiles(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """All clean tiles, and an order of them in which photographs of one tile are together."""
    clean = np.load(folder / "mt_free_128.npz")
    return halved(clean["X"]), by_tile(clean["path"])


def defective_tiles(folder: Path, some: slice) -> tuple[np.ndarray, np.ndarray]:
    """Some defective tiles, and masks of their defects, (n, 128, 128)."""
    defective = np.load(folder / "mt_defect_128.npz")
    masks = np.unpackbits(defective["mask"], axis=-1).astype(bool)
    return halved(defective["X"])[some], masks[some]


def halved(X: np.ndarray) -> np.ndarray:
    return X.reshape(len(X), 64, 2, 64, 2).mean(axis=(2, 4))


def by_tile(paths: np.ndarray) -> np.ndarray:
    """Order by tile: numbers rise alike under each light."""
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
    scale = ae.ImageFilter(background=3.0, standardize=True)
    detector = make_pipeline(scale, ae.PatchDetector(pooling=0.1, random_state=0))
    Z = detector.fit(train)[:-1].transform(test)
    maps = detector[-1].error_maps(Z)
    return detector[-1].score_maps(maps), maps


def told_of_pixels(clean: np.ndarray, odd: np.ndarray, masks: np.ndarray) -> str:
    """AUROC of pixels, and PRO, of maps (n, 64, 64) against masks (n, 128, 128)."""
    auroc, odd = pixel_auroc(odd, masks), doubled(odd)
    rates = np.linspace(0, 0.3, 61)
    thresholds = np.quantile(np.r_[clean.repeat(4), odd[~masks]], 1 - rates)
    overlaps = []
    for mask, errors in zip(masks, odd, strict=True):
        regions, n = label(mask)
        overlaps += [
            (errors[regions == k][:, None] > thresholds).mean(axis=0) for k in range(1, n + 1)
        ]
    pro = np.trapezoid(np.mean(overlaps, axis=0), rates) / rates[-1]
    return f"pixel AUROC {auroc:.3f}  PRO {pro:.3f}"


def doubled(maps: np.ndarray) -> np.ndarray:
    return maps.repeat(2, axis=1).repeat(2, axis=2)


def pixel_auroc(maps: np.ndarray, masks: np.ndarray) -> float:
    aurocs = [
        roc_auc_score(mask.ravel(), errors.ravel())
        for mask, errors in zip(masks, doubled(maps), strict=True)
        if mask.any()
    ]
    return float(np.mean(aurocs))


def choice(folder: Path) -> Iterator[tuple[str, str]]:
    """For each filter, estimator and size, the best smoothing and pooling."""
    X, order = clean_tiles(folder)
    thirds = np.array_split(X[order[: len(X) // 2]], 3)
    odd, masks = defective_tiles(folder, CHOSEN)
    for background, size, name in product(BACKGROUNDS, SIZES, ESTIMATORS):
        scale = ae.ImageFilter(background=background, standardize=True)
        images = [scale.fit_transform(some) for some in (*thirds, odd)]
        detector = ae.PatchDetector(
            estimator=ESTIMATORS[name](size**2), size=size, smoothing=0.0, random_state=0
        )
        folds = [found(detector, images, i, masks) for i in range(3)]
        both = np.mean(folds, axis=0)  # AUROCs (smoothings, poolings, 2)
        means = both.mean(axis=-1)
        s, p = np.unravel_index(means.argmax(), means.shape)
        image, pixel = both[s, p]
        yield (
            f"{name}, size {size}, background {background:g}",
            f"mean {means[s, p]:.4f}  image AUROC {image:.3f}  pixel AUROC {pixel:.3f}  "
            f"(smoothing {SMOOTHINGS[s]}, pooling {POOLINGS[p]})",
        )


def found(
    detector: ae.PatchDetector, images: list[np.ndarray], i: int, masks: np.ndarray
) -> list[list[list[float]]]:
    """Both AUROCs for each smoothing and pooling, where the i-th third is held out."""
    *thirds, odd = images
    clean = thirds.pop(i)
    maps = detector.fit(np.concatenate(thirds)).error_maps(np.concatenate([clean, odd]))
    usual, truth = detector.usual_, np.repeat([False, True], [len(clean), len(odd)])
    aurocs = []
    for smoothing in SMOOTHINGS:
        smooth = gaussian_filter(maps, (0, smoothing, smoothing))
        detector.usual_ = gaussian_filter(usual, smoothing)
        pixel = pixel_auroc(smooth[truth], masks)
        scores = [detector.set_params(pooling=p).score_maps(smooth) for p in POOLINGS]
        aurocs.append([[roc_auc_score(truth, -score), pixel] for score in scores])
    return aurocs
