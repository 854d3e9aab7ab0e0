"""Flagged points joined into intervals."""

import numpy as np

from .tape import Tape


def alarms_of(tape: Tape, scores: np.ndarray, offset: float) -> dict[str, np.ndarray]:
    """First, last and lowest point of each run of flagged points that are less than a window apart.

    Parameters
    ----------
    tape : Tape
    scores : ndarray of shape (n_points,)
    offset : float
        Points that score below are flagged.

    Returns
    -------
    dict of ndarray of int
        "start", "end" and "peak" of each interval, as numbers of points.
    """
    order = np.argsort(tape.cells)
    flagged = order[scores[order] < offset]
    if not len(flagged):
        return dict.fromkeys(("start", "end", "peak"), flagged)
    apart = np.diff(tape.cells[flagged]) >= tape.length
    apart |= np.diff(tape.pieces[flagged]) != 0
    first = np.r_[0, np.flatnonzero(apart) + 1]
    runs = np.split(flagged, first[1:])
    peaks = [run[scores[run].argmin()] for run in runs]
    return {
        "start": flagged[first],
        "end": flagged[np.r_[first[1:], len(flagged)] - 1],
        "peak": np.array(peaks),
    }
