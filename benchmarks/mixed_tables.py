"""Detection on tables of numbers, texts and gaps, from the files as they are.

``python benchmarks/mixed_tables.py --data DIR`` reads NSL-KDD (its column of difficulty is left
out), hypothyroid and adult from ``nsl_kdd_*.csv.gz``, ``hypothyroid.csv.gz`` and
``adult_train.csv.gz``. Detectors learn from a random half of the normal rows (at most --rows) and
score the other half and all other rows (at most --rows of each). AUROC, means over seeds: the
detectors that `make_detector` makes, and others behind the same encoding; hypothyroid once more
with 30 % of its cells removed.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from adbench import NearestRows
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import Autoencoder, PCADetector, TableEncoder, make_detector

DETECTORS = {
    "default": lambda seed: make_detector().set_params(detector__random_state=seed),
    "Autoencoder": lambda seed: make_detector(Autoencoder(random_state=seed)),
    "PCA": lambda _: make_detector(PCADetector()),
    "kNN": lambda _: make_pipeline(
        TableEncoder(), SimpleImputer(), StandardScaler(), NearestRows()
    ),
    "IForest": lambda seed: make_pipeline(TableEncoder(), IsolationForest(random_state=seed)),
}


def tables(folder: Path) -> dict[str, tuple[pd.DataFrame, np.ndarray]]:
    parts = [pd.read_csv(path) for path in sorted(folder.glob("nsl_kdd_*.csv.gz"))]
    attacks = pd.concat(parts, ignore_index=True)
    thyroid = pd.read_csv(folder / "hypothyroid.csv.gz", dtype=str)
    adult = pd.read_csv(folder / "adult_train.csv.gz", dtype=str)
    sick = (thyroid["Class"] != "negative").to_numpy()
    thyroid = thyroid.drop(columns="Class")
    gone = np.random.default_rng(0).random(thyroid.shape) < 0.3
    return {
        "NSL-KDD": (
            attacks.drop(columns=["attack", "difficulty"]),
            (attacks["attack"] != "normal").to_numpy(),
        ),
        "hypothyroid": (thyroid, sick),
        "hypothyroid, 30 % gone": (thyroid.mask(gone), sick),
        "adult": (adult.drop(columns="income"), (adult["income"] == ">50K").to_numpy()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'':24}" + "".join(f"{name:>13}" for name in DETECTORS))
    for name, (table, odd) in tables(args.data).items():
        found: dict[str, list[float]] = {detector: [] for detector in DETECTORS}
        for seed in range(args.seeds):
            rng = np.random.default_rng(seed)
            normal, others = (rng.permutation(np.flatnonzero(odd == kind)) for kind in (0, 1))
            half = len(normal) // 2
            scored = np.r_[normal[half:][: args.rows], others[: args.rows]]
            for detector, make in DETECTORS.items():
                fitted = make(seed).fit(table.iloc[normal[:half][: args.rows]])
                scores = fitted.score_samples(table.iloc[scored])
                found[detector].append(roc_auc_score(odd[scored], -scores))
        print(
            f"{name:24}" + "".join(f"{np.mean(aucs):13.3f}" for aucs in found.values()), flush=True
        )


if __name__ == "__main__":
    main()
