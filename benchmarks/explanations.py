"""How often `explain` names the column that was changed.

``python benchmarks/explanations.py --data DIR`` reads five tables of ADBench (*.npz with X and y).
Detectors learn from up to 750 normal rows; in each of 100 others one column, drawn at random, is
moved by 6 standard deviations up or down. It prints the share of these rows for which that column
comes first, and the same for two alternatives: the largest deviation from a column's mean, in
standard deviations, and, if PyOD is installed, the dimensional scores of its ECOD, which
`explain_outlier` draws.
"""

import argparse
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aedetect import Autoencoder, KernelAutoencoder, PCADetector, explain, make_detector

TABLES = ("7_Cardiotocography", "27_PageBlocks", "31_satimage-2", "41_Waveform", "43_WDBC")
DETECTORS = {
    "default": None,
    "PCA": PCADetector(),
    "Autoencoder": Autoencoder(random_state=0),
    "kernel": KernelAutoencoder(),
}


def by_explain(detector: Any) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def first(learned: np.ndarray, rows: np.ndarray) -> np.ndarray:
        names = [f"column {i}" for i in range(rows.shape[1])]
        fitted = make_detector(detector).fit(pd.DataFrame(learned, columns=names))
        told = explain(fitted, pd.DataFrame(rows, columns=names), top=1)["column"]
        return told.str.removeprefix("column ").astype(int).to_numpy()

    return first


def by_deviation(learned: np.ndarray, rows: np.ndarray) -> np.ndarray:
    spread = learned.std(axis=0)
    deviation = np.abs(rows - learned.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
    return deviation.argmax(axis=1)


def by_ecod(learned: np.ndarray, rows: np.ndarray) -> np.ndarray:
    from pyod.models.ecod import ECOD

    detector = ECOD().fit(learned)
    detector.decision_function(rows)
    return detector.O[-len(rows) :].argmax(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'':14}" + "".join(f"{name:>20}" for name in TABLES) + f"{'mean':>8}")
    ways = {name: by_explain(detector) for name, detector in DETECTORS.items()}
    ways["deviation"] = by_deviation
    if find_spec("pyod"):
        ways["PyOD ECOD"] = by_ecod
    for name, first in ways.items():
        hits = []
        for table in TABLES:
            with np.load(args.data / f"{table}.npz", allow_pickle=True) as file:
                X = file["X"][file["y"] == 0].astype(float)
            rng = np.random.default_rng(0)
            X = X[rng.permutation(len(X))[:1500]]
            learned, others = np.array_split(X, 2)
            spread = learned.std(axis=0)
            moved, rows = rng.choice(np.flatnonzero(spread > 0), 100), np.arange(100)
            changed = others[rows % len(others)].copy()
            changed[rows, moved] += 6 * spread[moved] * rng.choice([-1, 1], 100)
            hits.append(np.mean(first(learned, changed) == moved))
        cells = "".join(f"{hit:20.2f}" for hit in hits)
        print(f"{name:14}{cells}{np.mean(hits):8.3f}", flush=True)


if __name__ == "__main__":
    main()
