"""What `AnomalyDetector` costs on tables of several sizes, beside simple detectors.

``python benchmarks/large_tables.py`` fits tables of normal numbers and scores their rows, at most
10,000 of them unless stated otherwise, and prints wall-clock seconds and memory beyond the table
itself. A table of a million rows is scored in full, by `AnomalyDetector` and IsolationForest only.

With ``--data DIR`` (as for ``adbench.py``) it then learns from half of the normal rows of the
longest tables and scores 6,000 others, to say what is lost by remembering 20,000 rows instead of up
to 50,000.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from adbench import NearestRows
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

from aedetect import AnomalyDetector

SIZES = ((2_000, 20), (5_000, 500), (100_000, 30), (1_000_000, 30))
DETECTORS: dict[str, Callable[[], Any]] = {
    "AnomalyDetector": lambda: AnomalyDetector(random_state=0),
    "IsolationForest": lambda: IsolationForest(random_state=0),
    "kNN": NearestRows,
    "LOF": lambda: LocalOutlierFactor(novelty=True),
}


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def cost(name: str, n: int, d: int) -> None:
    """Print a line; in a process of its own, as memory is counted by its peak."""
    X = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
    warm = DETECTORS[name]().fit(X[:300])
    warm.score_samples(X[:300])
    scored = X if n > 100_000 else X[:10_000]
    before, start = peak_bytes(), time.perf_counter()
    detector = DETECTORS[name]().fit(X)
    fitted = time.perf_counter()
    detector.score_samples(scored)
    done = time.perf_counter()
    per_row = 1e6 * (done - fitted) / len(scored)
    print(
        f"{n:>9,} x {d:<3} {name:16} fit {fitted - start:6.2f} s, score {done - fitted:6.2f} s = "
        f"{per_row:4.0f} us a row, {(peak_bytes() - before) / 2**20:4.0f} MiB beyond the table"
    )


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
    parser.add_argument("--data", type=Path, help="folder of the tables")
    parser.add_argument("--tables", type=int, default=3, help="how many of the longest")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, n, d = arguments.one
        cost(name, int(n), int(d))
        return
    for n, d in SIZES:
        for name in list(DETECTORS)[: 2 if n > 100_000 else None]:
            subprocess.run([sys.executable, __file__, "--one", name, str(n), str(d)], check=True)
    if arguments.data:
        files = sorted(arguments.data.glob("[0-9]*.npz"), key=rows, reverse=True)
        for file in files[: arguments.tables]:
            loss(file)


def rows(file: Path) -> int:
    return len(np.load(file, allow_pickle=True)["y"])


if __name__ == "__main__":
    main()
