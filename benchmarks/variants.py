"""One-class detection on MNIST and Fashion-MNIST: every variant beside simple baselines.

For each of the ten classes, a detector learns from the first 2,000 training images of that class
and scores the whole test set; the table shows the mean AUROC over the classes. Run:
``OMP_NUM_THREADS=1 python benchmarks/variants.py --data DIR [--published CSV]``, where DIR holds
``mnist_train.npz``, ``mnist_test.npz``, ``fashion_train*.npz`` (one file or several) and
``fashion_test.npz``, each with X (n, 28, 28) in 0..255 and y; CSV has the columns dataset, method
and mean.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import aedetect as ae

SHAPE = (1, 28, 28)
SETS = {"MNIST": "mnist", "Fashion": "fashion"}


class NearestRows:
    """Mean distance to the five nearest training rows."""

    def fit(self, X: np.ndarray) -> "NearestRows":
        self.rows = NearestNeighbors(n_neighbors=5).fit(X)
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self.rows.kneighbors(X)[0].mean(axis=1)


def smooth(X: np.ndarray) -> np.ndarray:
    """Blur images by one pixel: strokes that lie beside each other become alike."""
    return gaussian_filter(X.reshape(-1, 28, 28), (0, 1, 1)).reshape(len(X), -1)


def detectors() -> dict[str, Callable[[], Any]]:
    net = {"network": ae.Dense(hidden=(256, 64)), "latent_dim": 32, "random_state": 0}
    wide = {**net, "latent_dim": 64, "epochs": 30}
    net["epochs"] = 30
    sparse = ae.Dense(hidden=(256,), code_activation="relu")
    conv = ae.Conv2d(shape=SHAPE, channels=(8, 16))
    return {
        "PCA, 32 components": lambda: ae.PCADetector(latent_dim=32),
        "kNN, mean of 5": NearestRows,
        "Autoencoder": lambda: ae.Autoencoder(**net),
        "Autoencoder, Tied": lambda: ae.Autoencoder(
            latent_dim=32, network=ae.Tied(), epochs=30, random_state=0
        ),
        "Autoencoder, Conv2d": lambda: ae.Autoencoder(
            latent_dim=32, network=conv, epochs=15, random_state=0
        ),
        "SparseAutoencoder": lambda: ae.SparseAutoencoder(**{**wide, "network": sparse}),
        "DenoisingAutoencoder": lambda: ae.DenoisingAutoencoder(**wide),
        "ContractiveAutoencoder": lambda: ae.ContractiveAutoencoder(jacobian="hutchinson", **net),
        "VariationalAutoencoder": lambda: ae.VariationalAutoencoder(**net),
        "MemoryAutoencoder": lambda: ae.MemoryAutoencoder(**net),
        "AnomalyDetector, trim=0": lambda: ae.AnomalyDetector(trim=0.0, random_state=0),
        "KernelAutoencoder": ae.KernelAutoencoder,
        "KernelAutoencoder, smoothed": lambda: make_pipeline(
            FunctionTransformer(smooth), ae.KernelAutoencoder(bandwidth=0.4)
        ),
    }


def read(folder: Path, name: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    files = sorted(folder.glob(f"{name}_{part}*.npz"))
    if not files:
        raise SystemExit(f"{folder} has no {name}_{part}*.npz")
    loaded = [np.load(file) for file in files]
    X, y = (np.concatenate([arrays[key] for arrays in loaded]) for key in "Xy")
    return X.reshape(len(X), -1) / 255.0, y


def mean_auroc(make: Callable[[], Any], train: tuple, test: tuple) -> float:
    figures = []
    for label in range(10):
        detector = make().fit(train[0][train[1] == label][:2000])
        figures.append(roc_auc_score(test[1] == label, detector.score_samples(test[0])))
    return float(np.mean(figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the image files")
    parser.add_argument("--published", type=Path, help="CSV of published figures")
    parser.add_argument("--only", nargs="*", help="names of detectors to run")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="latent_dim=.* is not below")
    torch.set_num_threads(1)
    data = {
        name: [read(arguments.data, stem, part) for part in ("train", "test")]
        for name, stem in SETS.items()
    }
    print(
        f"{'mean AUROC over ten classes':30}" + "".join(f"{name:>10}" for name in data) + "   CPU s"
    )
    for name, make in detectors().items():
        if arguments.only and name not in arguments.only:
            continue
        start = time.process_time()
        figures = [mean_auroc(make, *parts) for parts in data.values()]
        seconds = time.process_time() - start
        print(f"{name:30}" + "".join(f"{f:10.3f}" for f in figures) + f"{seconds:8.0f}", flush=True)
    if arguments.published:
        with arguments.published.open() as file:
            for row in csv.DictReader(file):
                if row["dataset"].startswith("MNIST"):
                    print(f"published: {row['method'][:60]:60} {row['mean']}")


if __name__ == "__main__":
    main()
