"""What to tell a person about scored rows: score, label, and the features that stand out."""

from typing import Any

import numpy as np
import pandas as pd


def explain_rows(detector: Any, frame: pd.DataFrame, n_features: int = 3) -> pd.DataFrame:
    """Score a table and name the features that contribute most to each row's error.

    Parameters
    ----------
    detector : Pipeline
        Fitted steps of which the last is a detector with `reconstruct` and `score_features`, and
        the others can be inverted.
    frame : DataFrame of shape (n_rows, n_columns)
        Numeric rows; NaN, which has no part in a row's error, where a value is missing.
    n_features : int, default=3
        Features named for each row.

    Returns
    -------
    DataFrame of n_rows rows
        ``row`` (from 1), ``score`` (high = normal), ``label`` (-1 = outlier), and for the i-th
        feature ``feature_i``, ``observed_i``, ``expected_i`` in the column's own unit and
        ``share_i`` of the row's error.
    """
    scale, last = detector[:-1], detector[-1]
    scaled = scale.transform(frame)
    errors = np.nan_to_num(last.score_features(scaled), nan=0.0)
    expected = np.asarray(scale.inverse_transform(last.reconstruct(scaled)))
    observed, names = frame.to_numpy(), frame.columns.to_numpy()
    order = np.argsort(-errors, axis=1, kind="stable")[:, :n_features]
    scores = last.score_samples(scaled)
    table = {
        "row": np.arange(1, len(frame) + 1),
        "score": scores,
        "label": np.where(scores >= last.offset_, 1, -1),
    }
    rows, total = np.arange(len(frame)), np.maximum(errors.sum(axis=1), np.finfo(float).tiny)
    for i, column in enumerate(order.T, start=1):
        table[f"feature_{i}"] = names[column]
        table[f"observed_{i}"] = observed[rows, column]
        table[f"expected_{i}"] = expected[rows, column]
        table[f"share_{i}"] = errors[rows, column] / total
    return pd.DataFrame(table)
