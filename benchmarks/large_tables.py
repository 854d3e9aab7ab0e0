"""What `AnomalyDetector` costs on a million rows, and what learning from a part of them loses.

``OMP_NUM_THREADS=1 python benchmarks/large_tables.py --data DIR`` fits 1,000,000 x 30 normal
numbers, and prints CPU seconds and memory beyond the data. Then, for the tables in DIR (as for
``adbench.py``) with most rows, it learns from half of their normal rows and scores 6,000 others:
with the default `max_items`, and with 50,000.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from aedetect import AnomalyDetector


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def million() -> None:
    X = np.random.default_rng(0).standard_normal((1_000_000, 30), dtype=np.float32)
    AnomalyDetector(random_state=0).fit(X[:1000])  # the first call loads things
    before, start = peak_bytes(), time.process_time()
    detector = AnomalyDetector(random_state=0).fit(X)
    fitted = time.process_time()
    print(f"fit on 1,000,000 x 30: {fitted - start:.0f} CPU s, ", end="")
    print(f"{(peak_bytes() - before) / 2**20:.0f} MiB beyond the data")
    detector.score_samples(X[:10_000])
    print(f"scoring 10,000 rows: {time.process_time() - fitted:.1f} CPU s")


def loss(file: Path) -> None:
    data, rng = np.load(file, allow_pickle=True), np.random.default_rng(0)
    X, y = data["X"].astype(float), data["y"].ravel()
    normal = rng.permutation(np.flatnonzero(y == 0))
    train = normal[: len(normal) // 2]
    rest = np.setdiff1d(np.arange(len(X)), train)
    test = rng.choice(rest, min(6000, len(rest)), replace=False)
    aurocs = []
    for options in ({}, {"max_items": 50_000}):
        detector = AnomalyDetector(trim=0.0, random_state=0, **options).fit(X[train])
        aurocs.append(roc_auc_score(y[test], -detector.score_samples(X[test])))
    print(
        f"{file.stem}: {len(train)} rows, AUROC {aurocs[0]:.4f}, from up to 50,000 {aurocs[1]:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--tables", type=int, default=3, help="how many of the longest")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    million()
    files = sorted(arguments.data.glob("[0-9]*.npz"), key=rows, reverse=True)
    for file in files[: arguments.tables]:
        loss(file)


def rows(file: Path) -> int:
    return len(np.load(file, allow_pickle=True)["y"])


if __name__ == "__main__":
    main()
