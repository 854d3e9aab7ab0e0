"""How errors are distributed, and what each threshold would flag."""

from typing import Any

import numpy as np

from ...displays.canvas import ends_of
from ...rows.threshold import p_values

BINS = 60
STEPS = 400  # thresholds to choose from
LOWEST = 0.001  # share of the errors drawn as the smallest one, even if 0
NOMINAL = (0.01, 0.02, 0.05, 0.1, 0.2)


def distribution(
    errors: np.ndarray, threshold: float, known: np.ndarray | None, outlier: np.ndarray | None
) -> dict[str, Any]:
    """Count errors in bins, and the rows beyond each of many thresholds.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Minus the scores.
    threshold : float
        The detector's, on the error.
    known : ndarray or None
        Sorted scores of normal rows that were not learned from.
    outlier : ndarray of bool of shape (n,) or None
        The truth.

    Returns
    -------
    dict
        ``edges`` of the bins, evenly spaced, in logarithms if ``logarithmic``, and the ``counts``
        in them. ``thresholds``, as evenly spaced, hold ``error``, how many rows with a larger one
        are ``flagged``, how many of these are ``outliers``, and the share of new normal rows that
        would be ``false_alarms``. ``chosen`` is the index of the detector's.
    """
    low, high = ends_of(errors, threshold)
    spaced = np.geomspace if low > 0 else np.linspace
    edges = spaced(low, high, BINS + 1)
    counts, _ = np.histogram(errors.clip(low, high), edges)
    given = [threshold] if np.isfinite(threshold) else []
    at = np.unique([*spaced(low, high, STEPS), errors.max(), *given])
    below = np.nextafter(-at, -np.inf)  # the best score that is flagged
    return {
        "logarithmic": bool(low > 0),
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "chosen": min(int(np.searchsorted(at, threshold)), len(at) - 1),
        "thresholds": {
            "error": at.tolist(),
            "flagged": _larger(errors, at).tolist(),
            "outliers": None if outlier is None else _larger(errors[outlier], at).tolist(),
            "false_alarms": None if known is None else p_values(below, known).tolist(),
        },
    }


def _larger(errors: np.ndarray, at: np.ndarray) -> np.ndarray:
    """How many errors are larger than each threshold."""
    return len(errors) - np.searchsorted(np.sort(errors), at, "right")


def calibration(
    scores: np.ndarray, known: np.ndarray, outlier: np.ndarray | None
) -> list[dict[str, Any]]:
    """Shares of normal rows that should have a p-value that low, and of the rows that do.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    known : ndarray
        Sorted scores of normal rows that were not learned from.
    outlier : ndarray of bool of shape (n,) or None
        The truth: where it is known, outliers do not count.

    Returns
    -------
    list of dict
        ``nominal`` and ``observed`` shares; the latter is None where no row is normal.
    """
    p = p_values(scores if outlier is None else scores[~outlier], known)
    return [
        {"nominal": share, "observed": float((p <= share).mean()) if len(p) else None}
        for share in NOMINAL
    ]
