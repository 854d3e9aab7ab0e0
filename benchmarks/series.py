"""Anomalies in series: VUS-PR over NAB, SMAP and MSL with equal windows, and AUROC on ECG5000.

``python benchmarks/series.py --data DIR`` reads ``nab.npz``, ``smap.npz``, ``msl.npz`` and
``ecg5000.npz``. NAB's series are learned from and scored; those of SMAP and MSL come with a part to
learn from. All detectors see the same windows: as long as the autocorrelation says, of the same
channels in units of their deviation, those with --min-values different values at least. They learn
from the same --windows drawn ones; a point's score is the mean over its windows. Sub-PCA weights
all axes by their share of variance, as PyOD does; sub-kNN takes the mean distance of 5 neighbours.

Where they are installed, two more take series as they are. stumpy's matrix profile looks at the
first of the channels, in windows of unit deviation: a window of NAB is compared with the others of
its series, one of SMAP or MSL with those of the part to learn from. PyOD's `TimeSeriesOD` has its
defaults but for the length of windows, and learns from all of them.

Choices were made on series with odd numbers; --half even, the default, reports the others.
--only nab,smap,msl,ecg and --series N run a part.

Point-adjusted F1 is printed last to show why it is no measure: every point of a range counts as
found once one is, so that random scores beat detectors (Kim et al., "Towards a rigorous evaluation
of time-series anomaly detection", 2022).
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NearestNeighbors

from aedetect import GaussianDetector, SlidingWindow
from aedetect.metrics import vus_pr, vus_roc

Series = tuple[str, np.ndarray, np.ndarray, np.ndarray]  # name, to learn from, to score, truth
Scorer = Callable[[np.ndarray, np.ndarray], np.ndarray]
Scores = Callable[[], np.ndarray]


def series_of(folder: Path, name: str) -> Iterator[Series]:
    """Series with an anomaly, by name."""
    with np.load(folder / f"{name}.npz") as file:
        for key in sorted({key.rsplit("|", 1)[0] for key in file}):
            truth = file[f"{key}|{'window' if name == 'nab' else 'y'}"] > 0
            if truth.any() and name == "nab":
                x = file[f"{key}|x"].astype(float)[:, None]
                yield key, x, x, truth
            elif truth.any():
                yield (
                    key,
                    *(file[f"{key}|{part}"].astype(float) for part in ("train", "test")),
                    truth,
                )


def ours(learned: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return GaussianDetector(contamination=0.0).fit(learned).score_samples(rows)


def sub_pca(learned: np.ndarray, rows: np.ndarray) -> np.ndarray:
    mean, spread = learned.mean(axis=0), learned.std(axis=0)
    spread[spread == 0] = 1
    rows = (rows - mean) / spread
    pca = PCA().fit((learned - mean) / spread)
    share = np.nan_to_num(pca.explained_variance_ratio_)
    real = share > 1e-12
    if not real.any():  # nothing varied
        return -np.linalg.norm(rows, axis=1)
    return -(euclidean_distances(rows, pca.components_[real]) / share[real]).sum(axis=1)


def sub_forest(learned: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return IsolationForest(random_state=0).fit(learned).score_samples(rows)


def sub_knn(learned: np.ndarray, rows: np.ndarray) -> np.ndarray:
    neighbours = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(learned)
    return -neighbours.kneighbors(rows)[0].mean(axis=1)


def random(_: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).random(len(rows))


def matrix_profile(train: np.ndarray, test: np.ndarray, length: int) -> np.ndarray:
    import stumpy

    others = {} if train is test else {"T_B": train[:, 0], "ignore_trivial": False}
    profile = stumpy.stump(test[:, 0], max(length, 3), **others)[:, 0].astype(float)
    return -np.nan_to_num(profile, posinf=np.sqrt(4.0 * length))  # that of opposite shapes


def pyod_series(train: np.ndarray, test: np.ndarray, length: int) -> np.ndarray:
    from pyod.models.iforest import IForest
    from pyod.models.ts_od import TimeSeriesOD

    detector = TimeSeriesOD(IForest(random_state=0), window_size=length).fit(train)
    return -(detector.decision_scores_ if train is test else detector.decision_function(test))


PEERS: dict[str, Scorer] = {
    "sub-PCA": sub_pca, "sub-IsolationForest": sub_forest, "sub-kNN": sub_knn, "random": random,
}  # fmt: skip


def scores_of(series: Series, window: SlidingWindow, most: int) -> Iterator[tuple[str, Scores]]:
    """Name and scores of points of each detector, which are computed when they are called for."""
    _, train, test, _ = series
    windows = window.transform(train)
    drawn = np.random.default_rng(0).permutation(len(windows))[:most]
    learned, rows = windows[np.sort(drawn)], windows if train is test else window.transform(test)

    def spread(scores: np.ndarray) -> np.ndarray:
        return window.point_scores(test, scores)["score"].to_numpy()

    for name, scorer in {"ours": ours, **PEERS}.items():
        yield name, lambda scorer=scorer: spread(scorer(learned, rows))
    parts = [(x[:, window.channels_] - window.mean_) / window.scale_ for x in (train, test)]
    parts = parts if train is not test else [parts[0]] * 2
    if find_spec("stumpy"):
        yield "matrix profile", lambda: spread(matrix_profile(*parts, window.length_))
    if find_spec("pyod"):
        yield "PyOD TimeSeriesOD", lambda: pyod_series(*parts, window.length_)


def judged(series: Series, most: int, least: int) -> dict[str, tuple[float, ...]]:
    """VUS-PR, VUS-ROC, AUROC of points, point-adjusted F1 and seconds of each detector."""
    warnings.simplefilter("ignore")
    _, train, _, truth = series
    length = min(SlidingWindow(standardise="train").fit(train).length_, 125)
    window = SlidingWindow(length=length, standardise="train", min_values=least).fit(train)
    found = {}
    for name, computed in scores_of(series, window, most):
        start = time.perf_counter()
        scores = computed()
        seconds = time.perf_counter() - start
        found[name] = (*measures(truth, scores, length), seconds)
    return found


def measures(
    truth: np.ndarray, scores: np.ndarray, length: int
) -> tuple[float, float, float, float]:
    return (
        vus_pr(truth, scores, length),
        vus_roc(truth, scores, length),
        float(roc_auc_score(truth, -scores)),
        point_adjusted_f1(truth, scores),
    )


def point_adjusted_f1(truth: np.ndarray, scores: np.ndarray) -> float:
    """The best over thresholds, where a range counts as found in full once one point is flagged."""
    borders = np.flatnonzero(np.diff(np.r_[False, truth, False]))
    adjusted = scores.copy()
    for start, end in borders.reshape(-1, 2):
        adjusted[start:end] = scores[start:end].min()
    order = np.argsort(adjusted)
    hits, flagged = np.cumsum(truth[order]), np.arange(1, len(order) + 1)
    return float((2 * hits / (flagged + truth.sum())).max())


def ecg(folder: Path) -> float:
    """AUROC of heartbeats: learned from the normal ones of the official training part."""
    with np.load(folder / "ecg5000.npz") as file:
        X, y, official = (file[name] for name in ("X", "y", "official_train"))
    scores = ours(X[official & (y == 0)].astype(float), X[~official].astype(float))
    return float(roc_auc_score(y[~official], -scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="nab,smap,msl,ecg")
    parser.add_argument("--series", type=int, help="of each collection at most")
    parser.add_argument("--half", choices=["even", "odd", "both"], default="even")
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=1, help="series at a time")
    parser.add_argument("--min-values", type=int, default=10, help="of a channel; 1: all channels")
    args = parser.parse_args()
    wanted = args.only.split(",")
    every: list[dict[str, tuple[float, ...]]] = []
    for name in [name for name in ("nab", "smap", "msl") if name in wanted]:
        numbered = enumerate(series_of(args.data, name))
        halves = {"even": (0,), "odd": (1,), "both": (0, 1)}[args.half]
        some = [series for i, series in numbered if i % 2 in halves][: args.series]
        found = Parallel(args.jobs, max_nbytes=None)(
            delayed(judged)(series, args.windows, args.min_values) for series in some
        )
        report(name, found)
        every += found
    if every:
        report("all", every)
    if "ecg" in wanted:
        print(f"ECG5000: AUROC {ecg(args.data):.4f}")


def report(name: str, found: list[dict[str, tuple[float, ...]]]) -> None:
    names = [name for name in found[0] if all(name in one for one in found)]
    table = np.array([[one[name] for name in names] for one in found])
    ranks = rankdata(-table[:, :, 0], axis=1).mean(axis=0)
    heads = ("VUS-PR", "rank", "VUS-ROC", "AUROC", "PA-F1", "s")
    print(f"{name}, {len(found)} series".ljust(24) + "".join(f"{head:>9}" for head in heads))
    for detector, means, rank in zip(names, table.mean(axis=0), ranks, strict=True):
        cells = (means[0], rank, *means[1:])
        print(f"  {detector:22}" + "".join(f"{cell:9.3f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
