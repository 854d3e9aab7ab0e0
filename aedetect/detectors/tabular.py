"""A detector for tables as people have them."""

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from ..tables.encoder import TableEncoder


def make_detector(
    estimator: Any = None, *, keep: tuple[str, ...] = (), max_categories: int = 20
) -> Pipeline:
    """Make a detector for tables of numbers, texts, times and gaps.

    Parameters
    ----------
    estimator : detector, default=None
        What scores the encoded rows, of columns scaled to unit variance. None: `AnomalyDetector`,
        which scales columns itself.
    keep : tuple of str, default=()
        Columns that `TableEncoder` is not to leave out.
    max_categories : int, default=20
        Texts of a column that get a column of their own.

    Returns
    -------
    Pipeline
        `TableEncoder`, then `StandardScaler` if an estimator is given, then the detector. It learns
        from a DataFrame of pandas or polars, and finds columns by their names.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from aedetect import make_detector
    >>> rng = np.random.default_rng(0)
    >>> colour = rng.choice(["red", "blue", "grey"], 300)
    >>> weight = np.where(colour == "red", 9, 3) + rng.normal(size=300)
    >>> table = pd.DataFrame({"colour": colour, "weight": weight})
    >>> detector = make_detector().fit(table)
    >>> new = pd.DataFrame({"weight": [9.0, 9.0, 3.0], "colour": ["red", "green", "blue"]})
    >>> detector.predict(new)
    array([ 1, -1,  1])
    """
    from .anomaly import AnomalyDetector

    encoder = TableEncoder(keep=keep, max_categories=max_categories)
    if estimator is None:
        return Pipeline([("encoder", encoder), ("detector", AnomalyDetector())])
    return Pipeline([("encoder", encoder), ("scaler", StandardScaler()), ("detector", estimator)])
