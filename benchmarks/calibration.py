"""How many new normal rows each detector flags with the threshold it chooses itself.

``python benchmarks/calibration.py --data DIR`` reads ``*.npz`` with X and y (1 = anomaly), from
https://github.com/Minqi824/ADBench (BSD-2), folder adbench/datasets/Classical. Detectors learn from
half of the normal rows (at most --rows) of a table. Printed are the percentage of the other half
that is flagged, averaged over seeds, and in brackets the percentage of anomalies flagged. Tables
with fewer than 200 rows to learn from are left out. Then, for each detector of this package, the
CPU time of a fit with the threshold it chooses, as a multiple of one with a given share. Finally,
for tables that are both learned from and scored, what `EmpiricalNull` flags (by the default
detector, its `null_p_values`, as `aedetect detect` does): in pure noise, with 50 rows planted in
500,000, and in tables with 5, 10 and 20 % of anomalies, compared with flagging the known share, and
with the most that any threshold reaches of whose flags a tenth at most are normal.
"""

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import false_discovery_control
from sklearn.base import BaseEstimator
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import f1_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderEnsemble,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    EmpiricalNull,
    KernelAutoencoder,
    MemoryAutoencoder,
    PCADetector,
    SparseAutoencoder,
    Threshold,
    VariationalAutoencoder,
)

OURS = {
    "PCA": PCADetector(),
    "kernel": KernelAutoencoder(),
    "default": AnomalyDetector(),
    "plain": Autoencoder(),
    "sparse": SparseAutoencoder(),
    "denoising": DenoisingAutoencoder(),
    "contractive": ContractiveAutoencoder(),
    "variational": VariationalAutoencoder(),
    "memory": MemoryAutoencoder(),
    "ensemble": AutoencoderEnsemble(n_estimators=4),
}
FEWEST = 200


def peers() -> dict[str, Any]:
    """Detectors of scikit-learn and, where it is installed, of PyOD, with their own thresholds."""
    found: dict[str, Any] = {
        "IForest": IsolationForest(),
        "LOF": LocalOutlierFactor(novelty=True),
    }
    try:
        from pyod.models.auto_encoder import AutoEncoder
        from pyod.models.knn import KNN
    except ModuleNotFoundError:
        return found
    return found | {"PyOD kNN": PyOD(KNN), "PyOD AE": PyOD(AutoEncoder)}


class PyOD(BaseEstimator):
    """A detector of PyOD, as it comes: it flags a tenth of the training rows."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make

    def fit(self, X: np.ndarray, y: object = None) -> "PyOD":
        self.detector_ = self.make().fit(X)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return 1 - 2 * self.detector_.predict(X)


def seeded(detector: Any, seed: int, **params: Any) -> Any:
    """A fresh detector behind standardised columns."""
    if isinstance(detector, PyOD):
        return make_pipeline(StandardScaler(), PyOD(detector.make))
    params |= {"random_state": seed} if "random_state" in detector.get_params() else {}
    return make_pipeline(StandardScaler(), type(detector)(**detector.get_params() | params))


def shares(path: Path, detectors: dict[str, Any], args: argparse.Namespace) -> None:
    """Print a line: what each detector flags of a table's other normal rows."""
    with np.load(path, allow_pickle=True) as file:
        X, y = file["X"].astype(float), file["y"]
    normal = np.flatnonzero(y == 0)
    n = min(len(normal) // 2, args.rows)
    if n < FEWEST:
        return
    flagged = defaultdict(list)
    for seed in range(args.seeds):
        order = np.random.default_rng(seed).permutation(normal)
        learned, others, odd = X[order[:n]], X[order[n : 2 * n]], X[y == 1][: args.rows]
        for name, detector in detectors.items():
            fitted = seeded(detector, seed).fit(learned)
            flagged[name].append([(fitted.predict(part) == -1).mean() for part in (others, odd)])
    cells = {name: 100 * np.mean(found, axis=0) for name, found in flagged.items()}
    line = " ".join(f"{new:5.1f} ({odd:3.0f})" for new, odd in cells.values())
    print(f"{path.stem:20} {n:6} {line}", flush=True)
    for name, (new, _) in cells.items():
        args.found[name].append(new)


def costs(detectors: dict[str, Any], rounds: int) -> None:
    """Print CPU times of fits with contamination="auto" over those with 0.1."""
    print("\nA fit with contamination='auto' over one with 0.1, CPU time, medians")
    print(f"{'rows x columns':20} " + " ".join(f"{name:>11}" for name in detectors))
    for n, d in ((250, 10), (1_000, 20), (4_900, 20), (5_000, 20), (20_000, 20)):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
        ratios = []
        for detector in detectors.values():
            times: dict[Any, list[float]] = {"auto": [], 0.1: []}
            for _ in range(rounds):
                for contamination, taken in times.items():
                    start = time.process_time()
                    seeded(detector, 0, contamination=contamination).fit(X)
                    taken.append(time.process_time() - start)
            ratios.append(np.median(times["auto"]) / np.median(times[0.1]))
        print(
            f"{n:7,} x {d:3}" + " " * 8 + " ".join(f"{ratio:11.2f}" for ratio in ratios), flush=True
        )


def quick_start() -> None:
    """Print what README's quick start flags."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    benign, malignant = X[y == 1], X[y == 0]
    print("\nREADME's quick start, per cent flagged")
    for detector in (
        AnomalyDetector(random_state=0),
        make_pipeline(StandardScaler(), Autoencoder(latent_dim=4, random_state=0)),
    ):
        fitted = detector.fit(benign[:250])
        new, odd = (100 * (fitted.predict(rows) == -1).mean() for rows in (benign[250:], malignant))
        print(f"{type(detector).__name__:20} new normal rows {new:4.1f}, malignant ones {odd:4.1f}")


def noise(rng: np.random.Generator, kind: str, n: int, d: int) -> np.ndarray:
    if kind == "mixed":
        return np.c_[rng.random((n, d // 2)) < 0.5, rng.standard_normal((n, d - d // 2))]
    if kind == "correlated":
        return rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
    draw = {"t with 3": lambda size: rng.standard_t(3, size), "Cauchy": rng.standard_cauchy}
    return (draw.get(kind) or getattr(rng, kind))(size=(n, d))


KINDS = (
    "standard_normal", "correlated", "uniform", "t with 3", "lognormal", "exponential", "laplace",
    "Cauchy", "mixed",
)  # fmt: skip


def one_table(detector: Any, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which rows of a table are flagged at a false discovery rate of .1, and all scores."""
    if isinstance(detector, AnomalyDetector):
        fitted = AnomalyDetector(contamination=0.0, random_state=0).fit(X)
        return false_discovery_control(fitted.null_p_values(X)) <= 0.1, fitted.score_samples(X)
    table = Threshold(estimator=seeded(detector, 0), rule=EmpiricalNull()).fit(X)
    return table.predict(X) == -1, table.score_samples(X)


def false_discoveries(detectors: dict[str, Any], args: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    print("\nEmpiricalNull(fdr=.1): per cent of pure noise flagged")
    print(f"{'':34} " + " ".join(f"{name:>11}" for name in detectors))
    shapes = [(kind, n, d) for kind in KINDS for n, d in ((1_000, 10), (5_000, 20))]
    for kind, n, d in [*shapes, ("standard_normal", 1_000, 2_000), ("mixed", 1_000, 2_000)]:
        X = noise(rng, kind, n, d)
        found = [100 * one_table(detector, X)[0].mean() for detector in detectors.values()]
        print(f"{kind:16} {n:7,} x {d:5,}  " + " ".join(f"{share:11.2f}" for share in found))
    X = noise(rng, "correlated", 500_000, 20)
    X[:50] += 5 * X.std(axis=0) * rng.standard_normal((50, 20))
    for name in sorted({"PCA", "default", "plain"} & detectors.keys()):
        flagged, _ = one_table(detectors[name], X)
        print(
            f"50 planted in 500,000, {name}: {flagged[:50].sum()} found, {flagged[50:].sum()} false"
        )
    if args.data:
        known_share(detectors, args)


def known_share(detectors: dict[str, Any], args: argparse.Namespace) -> None:
    print("\nTables with anomalies: mean F1 by EmpiricalNull, the share known, the best at fdr=.1")
    print(f"{'':27} " + " ".join(f"{name:>14}" for name in detectors))
    for share in (0.05, 0.1, 0.2):
        found = defaultdict(list)
        for path in sorted(args.data.glob("[0-9]*.npz")):
            with np.load(path, allow_pickle=True) as file:
                X, y = file["X"].astype(float), file["y"]
            normal, odd = np.flatnonzero(y == 0)[: args.rows], np.flatnonzero(y == 1)
            odd = odd[: int(len(normal) * share / (1 - share))]
            normal = normal[: int(len(odd) * (1 - share) / share)]
            if len(odd) < 15:
                continue
            rows, truth = X[np.r_[normal, odd]], np.r_[normal * 0, odd * 0 + 1]
            for name, detector in detectors.items():
                flagged, scores = one_table(detector, rows)
                told = scores <= np.sort(scores)[len(odd) - 1]
                f1 = [f1_score(truth, x, zero_division=0) for x in (flagged, told)]
                found[name].append([*f1, best_f1(truth, scores)])
        cells = (np.mean(values, axis=0) for values in found.values())
        print(f"{share:27.0%} " + " ".join(" {:.2f} {:.2f} {:.2f}".format(*cell) for cell in cells))


def best_f1(truth: np.ndarray, scores: np.ndarray, fdr: float = 0.1) -> float:
    """Largest F1 of thresholds of whose flags at most this share are normal rows."""
    found, flagged = np.cumsum(truth[np.argsort(scores)]), np.arange(1, len(truth) + 1)
    allowed = found >= (1 - fdr) * flagged
    return float(np.max(2 * found / (flagged + truth.sum()), where=allowed, initial=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of ADBench's tables")
    parser.add_argument("--rows", type=int, default=6_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="of the costs")
    parser.add_argument("--only", nargs="*", help="detectors, by name")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    ours = {name: d for name, d in OURS.items() if not args.only or name in args.only}
    detectors = ours | {n: d for n, d in peers().items() if not args.only or n in args.only}
    quick_start()
    if args.data:
        args.found = defaultdict(list)
        print("\nPer cent of new normal rows flagged (of anomalies)")
        print(f"{'':20} {'rows':>6} " + " ".join(f"{name:>11}" for name in detectors))
        for path in sorted(args.data.glob("[0-9]*.npz")):
            shares(path, detectors, args)
        for label, function in (("mean", np.mean), ("most", np.max)):
            values = (function(found) for found in args.found.values())
            print(f"{label:27} " + " ".join(f"{value:5.1f}      " for value in values))
    costs(ours, args.rounds)
    false_discoveries(ours, args)


if __name__ == "__main__":
    main()
