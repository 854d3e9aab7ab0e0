"""Volumes under the surface: areas under curves whose labels have soft borders, over widths."""

from typing import Annotated

import numpy as np

from ..params import Range, refuse_unless


def vus_roc(outlier: np.ndarray, scores: np.ndarray, window: int) -> float:
    """Volume under the surface of ROC curves: how well scores of points find ranges of outliers.

    The mean over widths w = 0, ..., `window` of the area under a ROC curve that is kind to what
    comes a little early or late: a point at a distance of d <= w / 2 from an outlier has the label
    ``sqrt(1 - d / w)``. Recall is multiplied by the share of ranges of which anything is found.
    All thresholds count.

    Parameters
    ----------
    outlier : ndarray of shape (n_points,), bool
        Which points are outliers.
    scores : ndarray of shape (n_points,)
        High = normal.
    window : int
        Largest width, in points, such as the length of windows.

    Returns
    -------
    float
        At best 1.

    Raises
    ------
    TypeError, ValueError
        If labels are not booleans of both kinds, or scores are not as many and finite.

    References
    ----------
    Paparrizos, Boniol, Palpanas, Tsay, Elmore & Franklin, "Volume under the surface: a new accuracy
    evaluation measure for time-series anomaly detection", 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.metrics import vus_roc
    >>> outlier = np.arange(100) // 10 == 5
    >>> early = np.where(np.arange(100) // 10 == 4, -1, 0)
    >>> round(vus_roc(outlier, early, 0), 2), round(vus_roc(outlier, early, 40), 2)
    (0.44, 0.68)
    """
    return _volumes(outlier, scores, window)[0]


def vus_pr(outlier: np.ndarray, scores: np.ndarray, window: int) -> float:
    """Volume under the surface of precision-recall curves, with labels as in `vus_roc`.

    Areas are sums of steps, as in scikit-learn's ``average_precision_score``: a straight line
    between two thresholds would reward scores that are the same for all points.

    Parameters
    ----------
    outlier : ndarray of shape (n_points,), bool
        Which points are outliers.
    scores : ndarray of shape (n_points,)
        High = normal.
    window : int
        Largest width, in points.

    Returns
    -------
    float
        At most 1; of equal scores the share of outliers, with soft borders.

    Raises
    ------
    TypeError, ValueError
        If labels are not booleans of both kinds, or scores are not as many and finite.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.metrics import vus_pr
    >>> outlier = np.arange(100) // 10 == 5
    >>> vus_pr(outlier, np.where(outlier, -1, 0), 0), vus_pr(outlier, np.zeros(100), 0)
    (1.0, 0.1)
    """
    return _volumes(outlier, scores, window)[1]


def _volumes(outlier: np.ndarray, scores: np.ndarray, window: int) -> tuple[float, float]:
    """Mean areas under the ROC and the precision-recall curve over all widths."""
    outlier, scores = _checked(np.asarray(outlier), np.asarray(scores))
    refuse_unless(Annotated[int, Range(0)], "window", window)
    order = np.argsort(scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.inf))  # ties are flagged together
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    apart = _distances(outlier)
    labels = (_softened(apart, width) for width in range(window + 1))
    roc, pr = np.mean([_areas(outlier, label, order, rank, ends) for label in labels], axis=0)
    return float(roc), float(pr)


def _checked(outlier: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if outlier.dtype != bool:
        raise TypeError(f"outlier is of {outlier.dtype}; expected booleans, such as y == -1.")
    if scores.shape != outlier.shape or outlier.ndim != 1:
        raise ValueError(f"{scores.size} scores for {outlier.size} points; expected one for each.")
    if len(np.unique(outlier)) < 2:
        some = outlier[0] if len(outlier) else "missing"
        raise ValueError(f"outlier is {some} for all {len(outlier)} points; expected both kinds.")
    if lost := int((~np.isfinite(scores)).sum()):
        raise ValueError(f"{lost} of the scores are not finite.")
    return outlier, scores


def _distances(outlier: np.ndarray) -> np.ndarray:
    """How many points each point is from the nearest outlier, before or after it."""
    at, points = np.flatnonzero(outlier), np.arange(len(outlier))
    after = np.searchsorted(at, points)
    gaps = [np.abs(at[np.clip(i, 0, len(at) - 1)] - points) for i in (after - 1, after)]
    return np.minimum(*gaps)


def _softened(apart: np.ndarray, width: int) -> np.ndarray:
    """``sqrt(1 - distance / width)`` up to half a width away from outliers, 1 at them."""
    near = apart <= width // 2
    return np.sqrt(np.where(near, 1 - apart / max(width, 1), 0))


def _areas(
    outlier: np.ndarray, label: np.ndarray, order: np.ndarray, rank: np.ndarray, ends: np.ndarray
) -> tuple[float, float]:
    """Areas under both curves for labels from 0 to 1.

    Recall counts for as much as the share of ranges of outliers of which anything is flagged.
    """
    hit, flagged = np.cumsum(label[order])[ends], ends + 1
    starts = np.flatnonzero((label > 0) & (np.r_[0, label[:-1]] == 0))
    first = np.minimum.reduceat(np.where(label > 0, rank, len(label)), starts)
    existing = np.searchsorted(np.sort(first), ends, "right") / len(starts)
    positive = (outlier.sum() + label.sum()) / 2
    recall = np.minimum(hit / positive, 1) * existing
    false = (flagged - hit) / (len(label) - positive)
    steps = np.diff(recall, prepend=0)
    roc = np.trapezoid(np.r_[0, recall, 1], np.r_[0, false, 1])
    return float(roc), float(steps @ (hit / flagged))
