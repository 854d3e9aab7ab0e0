"""The demonstration: learn normal rows, find the others, on tables that come with scikit-learn."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ..detectors.anomaly import AnomalyDetector
from ..detectors.explain import explain_rows
from ..detectors.pca import PCADetector
from ..displays.reconstruction import ReconstructionDisplay
from ..displays.score import ScoreDisplay
from ..files import whole_file
from ..tables.writing import write_csv
from .work import robust_autoencoder


def run_demo(folder: Path, seed: int) -> Iterator[str]:
    """Run both tables, write CSV and PNG files, and yield the lines of a report.

    Parameters
    ----------
    folder : Path
        Where files go; made if missing.
    seed : int
        Of the split and of the models.

    Yields
    ------
    str
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ImportError("the demo draws: pip install 'aedetect[plot]'") from error

    folder.mkdir(parents=True, exist_ok=True)
    for name, frame, is_normal, shape in (_breast_cancer(), _digits()):
        train, test, truth = _split(frame, is_normal, seed)
        yield (
            f"{name}: fitted on {len(train)} normal rows, scored {(~truth).sum()} other normal "
            f"and {truth.sum()} anomalous rows"
        )
        unnamed = FunctionTransformer(np.asarray)  # names of pixels mean nothing
        models = {
            "AnomalyDetector": make_pipeline(unnamed, AnomalyDetector(random_state=seed)),
            "autoencoder": make_pipeline(
                StandardScaler(), robust_autoencoder(random_state=seed, device="cpu")
            ),
            "IsolationForest": IsolationForest(random_state=seed),
            "PCA": make_pipeline(StandardScaler(), PCADetector()),
        }
        for label, model in models.items():
            scores = model.fit(train).score_samples(test)
            auroc, ap = (f(truth, -scores) for f in (roc_auc_score, average_precision_score))
            yield f"  {label:<16} AUROC {auroc:.3f}  average precision {ap:.3f}"

        detector = models["autoencoder"]
        rows = explain_rows(detector, test)
        rows.insert(3, "truth", np.where(truth, -1, 1))
        stem = folder / name.replace(" ", "_")
        write_csv(rows, stem.with_suffix(".csv"))

        figure = Figure(figsize=(9, 3 if shape is None else 5), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure, detector, train, test, rows["truth"].to_numpy(), shape)
        with whole_file(stem.with_suffix(".png")) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
        yield f"  wrote {stem}.csv and {stem}.png"


def _breast_cancer() -> tuple[str, pd.DataFrame, np.ndarray, None]:
    """Benign tumours are normal, malignant ones the anomalies."""
    data = load_breast_cancer(as_frame=True)
    return "breast cancer", data.data, data.target.to_numpy() == 1, None


def _digits() -> tuple[str, pd.DataFrame, np.ndarray, tuple[int, int]]:
    """Images of a three are normal, of all other digits the anomalies."""
    data = load_digits(as_frame=True)
    return "digits", data.data, data.target.to_numpy() == 3, (8, 8)


def _split(
    frame: pd.DataFrame, is_normal: np.ndarray, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Half of the normal rows to learn from; the other half and the anomalies to score."""
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(is_normal))
    kept, held_out = np.array_split(normal, 2)
    test = np.sort(np.concatenate([held_out, np.flatnonzero(~is_normal)]))
    return frame.iloc[kept], frame.iloc[test].reset_index(drop=True), ~is_normal[test]


def _draw(
    figure: Any,
    detector: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    truth: np.ndarray,
    shape: tuple[int, int] | None,
) -> None:
    """Histogram of errors; for images the best and worst reconstructions below it."""
    if shape is None:
        ScoreDisplay.from_estimator(detector, test, truth, ax=figure.subplots())
        return
    upper, lower = figure.subfigures(2, 1)
    ScoreDisplay.from_estimator(detector, test, truth, ax=upper.subplots())
    order = np.argsort(-detector.score_samples(test), kind="stable")
    shown = test.iloc[[*order[:6], *order[-6:]]]
    ReconstructionDisplay.from_estimator(
        detector, shown, shape=shape, X_train=train, ax=lower.subplots()
    )
