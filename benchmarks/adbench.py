"""Detection on the tables of ADBench, beside simple detectors and published figures.

``python benchmarks/adbench.py --data DIR [--published CSV]`` reads ``*.npz`` with X and y (1 =
anomaly), from https://github.com/Minqi824/ADBench (BSD-2), folder adbench/datasets/Classical; of
larger sets 10,000 rows are drawn. Settings:

semi-clean     learn from a random half of the normal rows, score all others;
semi           the same as in Livernoche et al. (2024): sets under 1,000 rows are first drawn with
               replacement to 1,000, so copies of training rows are among those scored;
unsup-clean    learn from all rows and score them;
unsup          the same on rows drawn with replacement, as many as there are.

Every run is added to a CSV file (--output) as soon as it is done; runs already in the file are not
repeated. The tables show means over sets (of means over seeds) of AUROC and average
precision, mean ranks, wins, and median CPU seconds of fit and score. The published CSV is a table
of AUROC in per cent, with a column of set names and one for each method.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from aedetect import AnomalyDetector, Autoencoder, PCADetector
from aedetect.models.parts import Swaps, Tails
from aedetect.models.surprise import SurpriseModel

SETTINGS = ("semi-clean", "semi", "unsup-clean", "unsup")
MAX_ROWS = 10_000
FIELDS = ("setting", "set", "detector", "seed", "auroc", "ap", "fit", "score")


class NearestRows(OutlierMixin, BaseEstimator):
    """Mean distance to the five nearest training rows, a training row's own copy left out."""

    def fit(self, X: np.ndarray, y: None = None) -> "NearestRows":
        self.search_ = NearestNeighbors(n_neighbors=min(6, len(X))).fit(X)
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        distances = self.search_.kneighbors(X)[0]
        itself = distances[:, :1] == 0
        return -np.where(itself, distances[:, 1:], distances[:, :-1]).mean(axis=1)


class PyOD(BaseEstimator):
    """A detector of PyOD, high = normal."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed

    def fit(self, X: np.ndarray, y: None = None) -> "PyOD":
        from pyod.models import auto_encoder, ecod, vae

        options = {"verbose": 0, "random_state": self.seed}
        self.model_ = {
            "AutoEncoder": lambda: auto_encoder.AutoEncoder(**options),
            "VAE": lambda: vae.VAE(**options),
            "ECOD": lambda: ecod.ECOD(),
        }[self.name]().fit(X)
        return self

    def score_samples(self, X: np.ndarray) -> np.ndarray:
        return -self.model_.decision_function(X)


def scaled(detector: Any) -> Any:
    return make_pipeline(StandardScaler(), detector)


DETECTORS: dict[str, Callable[[int, float], Any]] = {  # seed, share to trim where that is known
    "AnomalyDetector": lambda seed, _: AnomalyDetector(random_state=seed),
    "AnomalyDetector, trim known": lambda seed, trim: AnomalyDetector(trim=trim, random_state=seed),
    "Autoencoder": lambda seed, _: scaled(Autoencoder(random_state=seed)),
    "PCADetector": lambda _, __: scaled(PCADetector()),
    "kNN": lambda _, __: scaled(NearestRows()),
    "LOF": lambda _, __: scaled(LocalOutlierFactor(n_neighbors=20, novelty=True)),
    "IsolationForest": lambda seed, _: IsolationForest(random_state=seed),
    "OCSVM": lambda _, __: scaled(OneClassSVM()),
    "PyOD AutoEncoder": lambda seed, _: PyOD("AutoEncoder", seed),
    "PyOD VAE": lambda seed, _: PyOD("VAE", seed),
    "PyOD ECOD": lambda seed, _: PyOD("ECOD", seed),
}
ABLATION = {"tails": Tails, "swaps": Swaps}
for name in ABLATION:
    DETECTORS[f"without {name}"] = lambda seed, trim, name=name: without(name, seed, trim)
STANDARD = [name for name in DETECTORS if not name.startswith("without")]


def without(name: str, seed: int, trim: float) -> AnomalyDetector:
    """Build the detector with one of its parts taken away."""

    class Without(AnomalyDetector):
        def _learn(self, X: np.ndarray) -> SurpriseModel:
            model = super()._learn(X)
            others = [other for other in model.others if not isinstance(other.part, ABLATION[name])]
            return replace(model, others=others)

    return Without(trim=trim, random_state=seed)


def split(X: np.ndarray, y: np.ndarray, setting: str, seed: int) -> tuple[np.ndarray, ...]:
    """Training rows, rows to score, and which of those are anomalies."""
    rng = np.random.default_rng(seed)
    rows = np.arange(len(X))
    if len(X) > MAX_ROWS:
        rows = rng.choice(len(X), MAX_ROWS, replace=False)
    elif setting == "semi" and len(X) < 1000:
        rows = rng.choice(len(X), 1000)
    if setting == "unsup":
        rows = rng.choice(rows, len(rows))
    X, y = X[rows], y[rows]
    if setting.startswith("unsup"):
        return X, X, y
    normal = rng.permutation(np.flatnonzero(y == 0))
    train = normal[: len(normal) // 2]
    rest = np.setdiff1d(np.arange(len(X)), train)
    return X[train], X[rest], y[rest]


def run(file: Path, setting: str, name: str, seed: int) -> dict[str, Any]:
    """One fit and its figures."""
    torch.set_num_threads(1)
    data = np.load(file, allow_pickle=True)
    train, test, y = split(data["X"].astype(float), data["y"].ravel(), setting, seed)
    keep = train.std(axis=0) > 0  # PyOD cannot scale constant columns
    known = 0.4 if setting.startswith("unsup") else 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.process_time()
        rows = (train[:, keep], test[:, keep]) if name.startswith("PyOD") else (train, test)
        detector = DETECTORS[name](seed, known).fit(rows[0])
        fitted = time.process_time()
        strangeness = -detector.score_samples(rows[1])
    return {
        "setting": setting,
        "set": file.stem,
        "detector": name,
        "seed": seed,
        "auroc": round(100 * roc_auc_score(y, strangeness), 3),
        "ap": round(100 * average_precision_score(y, strangeness), 3),
        "fit": round(fitted - start, 4),
        "score": round(time.process_time() - fitted, 4),
    }


def run_all(files: list[Path], arguments: argparse.Namespace) -> pd.DataFrame:
    """Do what is not in the CSV file yet; return all of it."""
    output, keys = arguments.output, list(FIELDS[:4])
    if not output.exists():
        with output.open("w", newline="") as out:
            csv.writer(out).writerow(FIELDS)
    done = {tuple(row) for row in pd.read_csv(output, dtype=str)[keys].to_numpy()}
    wanted = [
        (file, setting, name, seed)
        for seed in range(arguments.seeds)
        for setting in arguments.setting
        for name in arguments.detectors
        for file in files
        if (setting, file.stem, name, str(seed)) not in done
    ]
    jobs = Parallel(n_jobs=arguments.jobs, return_as="generator_unordered")
    with output.open("a", newline="") as out:
        writer = csv.DictWriter(out, FIELDS)
        for row in jobs(delayed(run)(*job) for job in wanted):
            writer.writerow(row)
            out.flush()
    return pd.read_csv(output)


def published(file: Path, sets: list[str]) -> pd.DataFrame:
    """Published figures, a row a set, for the sets at hand."""
    table = pd.read_csv(file)
    table.index = (
        table.iloc[:, 0].astype(str).str.lower().str.replace(r"^\d+_|[^a-z0-9]", "", regex=True)
    )
    numbers = table.select_dtypes("number")
    short = [
        pd.Series([name]).str.lower().str.replace(r"^\d+_|[^a-z0-9]", "", regex=True)[0]
        for name in sets
    ]
    found = numbers.reindex(short)
    found.index = pd.Index(sets)
    return found.dropna(how="all")


def report(runs: pd.DataFrame, setting: str, file: Path | None) -> None:
    """Print one setting's table."""
    means = runs[runs.setting == setting].groupby(["set", "detector"]).mean(numeric_only=True)
    auroc = means["auroc"].unstack()
    if file is not None:
        auroc = auroc.join(
            published(file, list(auroc.index)).add_suffix(" (published)"), how="inner"
        )
    auroc = auroc.dropna(axis=1)
    ranks = auroc.rank(axis=1, ascending=False)
    table = pd.DataFrame({"AUROC": auroc.mean(), "rank": ranks.mean(), "wins": (ranks == 1).sum()})
    table["AP"] = means["ap"].unstack().reindex(auroc.index).mean()
    for column in ("fit", "score"):
        table[f"{column} s"] = means[column].unstack().reindex(auroc.index).median()
    print(f"\n{setting}, {len(auroc)} sets, {runs.seed.nunique()} seeds")
    with pd.option_context("display.width", 120, "display.max_rows", 99):
        print(table.sort_values("AUROC", ascending=False).round(2).to_string(na_rep=""))
    simple = [name for name in ("kNN", "IsolationForest", "PCADetector") if name in auroc]
    if simple and "AnomalyDetector" in auroc:
        behind = auroc[simple].max(axis=1) - auroc["AnomalyDetector"]
        for name, points in behind[behind > 10].items():
            print(f"  {name}: {points:.1f} points behind the best of {', '.join(simple)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of npz files")
    parser.add_argument("--setting", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--detectors", nargs="*", choices=list(DETECTORS), default=STANDARD)
    parser.add_argument("--ablation", action="store_true", help="each part taken away in turn")
    parser.add_argument("--sets", default="[0-9]*", help="pattern of file names without .npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("adbench.csv"))
    parser.add_argument("--published", type=Path, nargs="*", default=[], help="semi.csv unsup.csv")
    arguments = parser.parse_args()
    if arguments.ablation:
        arguments.detectors = [
            "AnomalyDetector, trim known",
            *(f"without {name}" for name in ABLATION),
        ]
    files = sorted(arguments.data.glob(f"{arguments.sets}.npz"))
    if not files:
        raise SystemExit(f"{arguments.data} has no {arguments.sets}.npz")
    runs = run_all(files, arguments)
    runs = runs[
        runs.set.isin([file.stem for file in files]) & runs.detector.isin(arguments.detectors)
    ]
    columns = dict(zip(("semi", "unsup"), arguments.published, strict=False))
    for setting in arguments.setting:
        report(runs, setting, columns.get(setting))


if __name__ == "__main__":
    main()
