"""How good a detector is: scorers with outliers as positives, and criteria without labels."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve
from sklearn.pipeline import Pipeline

from .rows.linear import column_means, filled, principal_axes
from .rows.volume import vus_pr as vus_pr
from .rows.volume import vus_roc as vus_roc

METRICS = ("roc_auc", "average_precision", "f1", "recall_at_fpr")


@dataclass(frozen=True)
class OutlierScorer:
    """A scorer for scikit-learn's searches, with outliers as the positive class.

    scikit-learn's own ``scoring="average_precision"`` and ``"f1"`` measure how well inliers are
    found, and ``"roc_auc"`` is upside down for labels 0 and 1.

    Parameters
    ----------
    metric : {"roc_auc", "average_precision", "f1", "recall_at_fpr"}
        "f1" judges ``predict``, the others the order of the scores.
    labels : {"sklearn", "01"}, default="sklearn"
        What `y` holds: -1 for outliers and +1 for inliers, or 1 for outliers and 0 for inliers.
    fpr : float, default=0.05
        Share of inliers that may be flagged, for "recall_at_fpr": the share of outliers found at
        that rate, interpolated linearly between thresholds.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import PCADetector
    >>> from aedetect.metrics import OutlierScorer
    >>> x = np.arange(10.0)
    >>> X = np.r_[np.c_[x, x + 0.1 * (-1) ** x], [[0.0, 3.0]]]
    >>> detector = PCADetector(latent_dim=1).fit(X[:10])
    >>> OutlierScorer("roc_auc", labels="01")(detector, X, [0] * 10 + [1])
    1.0
    """

    metric: Literal["roc_auc", "average_precision", "f1", "recall_at_fpr"]
    labels: Literal["sklearn", "01"] = "sklearn"
    fpr: float = 0.05

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"metric={self.metric!r}; expected one of {', '.join(METRICS)}.")
        if self.labels not in ("sklearn", "01"):
            raise ValueError(f"labels={self.labels!r}; expected 'sklearn' (+1, -1) or '01'.")
        if not 0 < self.fpr < 1:
            raise ValueError(f"fpr={self.fpr!r}; expected a share between 0 and 1.")

    def __call__(self, estimator: Any, X: Any, y: Any) -> float:
        """Judge a fitted detector.

        Parameters
        ----------
        estimator : estimator
            A fitted detector, or a Pipeline that ends in one.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Labels.

        Returns
        -------
        float
            At best 1.
        """
        outlier = self._outliers(np.asarray(y))
        if self.metric == "f1":
            return float(f1_score(outlier, estimator.predict(X) == -1))
        strangeness = np.nan_to_num(-estimator.decision_function(X))  # the largest may be infinite
        if self.metric == "roc_auc":
            return float(roc_auc_score(outlier, strangeness))
        if self.metric == "average_precision":
            return float(average_precision_score(outlier, strangeness))
        return float(np.interp(self.fpr, *roc_curve(outlier, strangeness)[:2]))

    def _outliers(self, y: np.ndarray) -> np.ndarray:
        inlier, outlier = (1, -1) if self.labels == "sklearn" else (0, 1)
        odd = ~np.isin(y, (inlier, outlier))
        if odd.any():
            raise ValueError(
                f"y holds {y[odd][0].item()!r}; labels={self.labels!r} means {inlier} for inliers "
                f"and {outlier} for outliers."
            )
        if len(np.unique(y)) < 2:
            raise ValueError(f"y holds only {y[0].item()!r}; inliers and outliers are needed.")
        return y == outlier


def pca_advantage(estimator: Any, X: Any, y: Any = None) -> float:
    """Share of PCA's error that a detector saves on held-out rows, at equal code width.

    PCA is fitted to these rows themselves, so it is further ahead the fewer they are: on digits,
    a `PCADetector` gets -0.2 with 10 rows per unit of the code. Misleads where anomalous rows are
    rebuilt well, too: a wider network saves more and detects less.

    Parameters
    ----------
    estimator : estimator
        Fitted, with ``reconstruct`` and ``latent_dim_``; or a Pipeline that ends in one.
    X : array-like of shape (n_samples, n_features)
        Rows that were not learned from.
    y : ignored
        Present for scikit-learn's conventions.

    Returns
    -------
    float
        1 for no error, 0 for PCA's error, negative where PCA is better.

    Raises
    ------
    ValueError, TypeError
        If the code is as wide as a row, or the detector has none; of fewer than 5 rows a unit.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import PCADetector
    >>> from aedetect.metrics import pca_advantage
    >>> X = load_digits().data
    >>> pca_advantage(PCADetector(latent_dim=8).fit(X), X) < 1e-9
    True
    """
    model, table = _last_step(estimator, X)
    rows = np.asarray(table, dtype=np.float64)
    rows = filled(rows, column_means(rows))
    if not hasattr(model, "latent_dim_"):
        raise TypeError(f"{type(model).__name__} has no code width (latent_dim_) to give PCA.")
    if model.latent_dim_ >= rows.shape[1]:
        raise ValueError(
            f"latent_dim_={model.latent_dim_} is not below the {rows.shape[1]} columns, so PCA "
            "makes no error to compare with."
        )
    if len(rows) < (fewest := 5 * model.latent_dim_):
        raise ValueError(f"X has {len(rows)} rows, fewer than {fewest}: 5 per unit of the code.")
    mean, axes, _ = principal_axes(rows, model.latent_dim_)
    centred = rows - mean
    pca = np.square(centred - centred @ axes.T @ axes).mean()
    ours = np.square(model.reconstruct(_like(rows, table)) - rows).mean()
    return float(1 - ours / pca) if pca > 0 else 0.0


def excess_mass(
    estimator: Any, X: Any, y: Any = None, *, n_uniform: int = 20_000, random_state: int = 0
) -> float:
    """Excess mass: by how much rows outnumber uniform points at high scores.

    The area under the curve EM(t) = max_u P(s(X) > u) - t Leb(s > u), up to the t where it falls
    to 0.9 (Goix, "How to evaluate the quality of unsupervised anomaly detection algorithms?",
    2016). Misleads beyond about eight columns, where no uniform point ever falls among the rows,
    and rewards scores that follow the density, which a reconstruction error does not.

    Parameters
    ----------
    estimator : estimator
        Fitted detector.
    X : array-like of shape (n_samples, n_features)
        Rows that were not learned from.
    y : ignored
        Present for scikit-learn's conventions.
    n_uniform : int, default=20000
        Points drawn from the rows' bounding box, whose volume is taken as 1.
    random_state : int, default=0
        Seed of the points.

    Returns
    -------
    float
        More is better.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import KernelAutoencoder
    >>> from aedetect.metrics import excess_mass
    >>> X = np.random.default_rng(0).standard_normal((300, 2))
    >>> excess_mass(KernelAutoencoder().fit(X[:200]), X[200:]) > 0
    True
    """
    scores, uniform = _scores_and_uniform(estimator, X, n_uniform, random_state)
    levels = np.unique(scores)
    mass = 1 - np.searchsorted(np.sort(scores), levels, side="left") / len(scores)
    volume = 1 - np.searchsorted(np.sort(uniform), levels, side="left") / len(uniform)
    t = np.linspace(0, 100, 2001)
    excess = (mass[:, None] - t * volume[:, None]).max(axis=0).clip(0)
    upto = np.argmax(excess <= 0.9) if (excess <= 0.9).any() else len(t) - 1
    return float(np.trapezoid(excess[: upto + 1], t[: upto + 1]))


def mass_volume(
    estimator: Any, X: Any, y: Any = None, *, n_uniform: int = 20_000, random_state: int = 0
) -> float:
    """Minus the mean volume that holds 90 to 99.9 % of the rows, as a share of their box.

    A detector that wraps normal rows tightly leaves little room (Goix, 2016, with the sign turned
    so that more is better). Misleads as `excess_mass` does, and is 0 for every detector once no
    uniform point falls inside.

    Parameters
    ----------
    estimator : estimator
        Fitted detector.
    X : array-like of shape (n_samples, n_features)
        Rows that were not learned from.
    y : ignored
        Present for scikit-learn's conventions.
    n_uniform : int, default=20000
        Points drawn from the rows' bounding box.
    random_state : int, default=0
        Seed of the points.

    Returns
    -------
    float
        At most 0, and more is better.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import KernelAutoencoder
    >>> from aedetect.metrics import mass_volume
    >>> X = np.random.default_rng(0).standard_normal((300, 2))
    >>> -1 < mass_volume(KernelAutoencoder().fit(X[:200]), X[200:]) < 0
    True
    """
    scores, uniform = _scores_and_uniform(estimator, X, n_uniform, random_state)
    levels = np.quantile(scores, 1 - np.linspace(0.9, 0.999, 100))
    return -float((uniform[:, None] >= levels).mean())


def synthetic_auroc(
    estimator: Any, X: Any, y: Any = None, *, rate: float = 0.3, random_state: int = 0
) -> float:
    """AUROC for telling rows from copies in which values were swapped between rows.

    Swapping keeps each column's distribution and breaks the dependence between columns. Misleads
    where real outliers are extreme in single columns, which swapped rows never are.

    Parameters
    ----------
    estimator : estimator
        Fitted detector.
    X : array-like of shape (n_samples, n_features)
        Rows that were not learned from.
    y : ignored
        Present for scikit-learn's conventions.
    rate : float, default=0.3
        Share of values swapped.
    random_state : int, default=0
        Seed of the swaps.

    Returns
    -------
    float
        0.5 for a detector that sees no difference, 1 for one that separates them perfectly.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import PCADetector
    >>> from aedetect.metrics import synthetic_auroc
    >>> X = load_digits().data
    >>> synthetic_auroc(PCADetector(latent_dim=16).fit(X[:900]), X[900:]) > 0.9
    True
    """
    rng = np.random.default_rng(random_state)
    rows = np.asarray(X)
    swapped = np.where(rng.random(rows.shape) < rate, rng.permuted(rows, axis=0), rows)
    known, strange = (_score(estimator, part, X) for part in (rows, swapped))
    truth = np.r_[np.zeros(len(known)), np.ones(len(strange))]
    return float(roc_auc_score(truth, -np.r_[known, strange]))


def seed_stability(estimator: Any, X: Any, y: Any = None, *, n_seeds: int = 5) -> float:
    """Mean rank correlation between the scores of models that differ only in their seed.

    Misleads where all seeds agree on something useless: a network that learned nothing, or the
    identity, is as stable as one that is right; PCA is perfectly stable.

    Parameters
    ----------
    estimator : estimator
        A detector with a ``random_state``, or a Pipeline that ends in one; copies are fitted.
    X : array-like of shape (n_samples, n_features)
        Rows to learn from and to score.
    y : ignored
        Present for scikit-learn's conventions.
    n_seeds : int, default=5
        Number of models.

    Returns
    -------
    float
        Mean of Spearman's correlation over pairs of models.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import Autoencoder
    >>> from aedetect.metrics import seed_stability
    >>> X = load_digits().data[:300]
    >>> 0 < seed_stability(Autoencoder(epochs=20), X, n_seeds=2) < 1
    True
    """
    if n_seeds < 2:
        raise ValueError(f"n_seeds={n_seeds} gives nothing to compare; expected at least 2.")
    last = f"{estimator.steps[-1][0]}__" if hasattr(estimator, "steps") else ""
    name = f"{last}random_state"
    copies = [clone(estimator).set_params(**{name: seed}).fit(X) for seed in range(n_seeds)]
    correlation = np.corrcoef(rankdata([copy.score_samples(X) for copy in copies], axis=1))
    return float(correlation[np.triu_indices(n_seeds, 1)].mean())


def _last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return the final detector, and the rows as they reach it."""
    steps = getattr(estimator, "steps", [("", estimator)])  # also of a search's wrapper
    return steps[-1][1], Pipeline(steps[:-1]).transform(X) if len(steps) > 1 else X


def _scores_and_uniform(
    estimator: Any, X: Any, n_uniform: int, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the rows, and of points drawn uniformly from their box."""
    rows = np.asarray(X)
    rng = np.random.default_rng(random_state)
    ends = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    points = rng.uniform(*ends, (n_uniform, rows.shape[1]))
    return _score(estimator, rows, X), _score(estimator, points, X)


def _score(estimator: Any, rows: np.ndarray, like: Any) -> np.ndarray:
    return np.asarray(estimator.score_samples(_like(rows, like)))


def _like(rows: np.ndarray, table: Any) -> Any:
    """Give rows the column names of a table, of pandas or polars, where it has some."""
    return pd.DataFrame(rows, columns=table.columns) if hasattr(table, "columns") else rows
