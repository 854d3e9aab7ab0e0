"""What to tell a person about scored rows: score, label, and the columns that stand out."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ..tables.encoder import TableEncoder, as_frame


def explain(detector: Any, X: Any, top: int = 3) -> pd.DataFrame:
    """Name the columns that contribute most to each row's error, one line for each.

    Parameters
    ----------
    detector : detector or Pipeline
        A fitted detector of this package that has `score_features` and `reconstruct`, or a Pipeline
        that ends in one and whose other steps can be inverted; a `TableEncoder` may come first.
    X : DataFrame or array-like of shape (n_rows, n_columns)
        Rows, as given to `detector`.
    top : int, default=3
        Columns named for each row.

    Returns
    -------
    DataFrame of n_rows x top lines
        ``row`` (from 0), ``column``, ``observed``, ``expected`` from the other columns, in the
        table's units, ``share`` of the row's error, and ``direction``: "high", "low", "other" for
        texts, or "missing".

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from aedetect import PCADetector, explain, make_detector
    >>> x = np.random.default_rng(0).normal(size=200)
    >>> table = pd.DataFrame({"a": x, "b": 2 * x, "c": -x})
    >>> detector = make_detector(PCADetector(latent_dim=1)).fit(table)
    >>> table = pd.DataFrame({"a": [1.0], "b": [20.0], "c": [-1.0]})
    >>> explain(detector, table, top=1)[["column", "observed", "direction"]]
      column observed direction
    0      b     20.0      high
    """
    _, frame, shares, expected = _told(detector, X)
    top = min(top, len(frame.columns))
    order = np.argsort(-shares, axis=1, kind="stable")[:, :top]
    rows, columns = np.repeat(np.arange(len(frame)), top), order.ravel()
    observed = [frame.iat[i, j] for i, j in zip(rows, columns, strict=True)]
    wanted = [expected.iat[i, j] for i, j in zip(rows, columns, strict=True)]
    return pd.DataFrame(
        {
            "row": rows,
            "column": frame.columns.to_numpy()[columns],
            "observed": pd.Series(observed, dtype=object),
            "expected": pd.Series(wanted, dtype=object),
            "share": shares[rows, columns],
            "direction": list(map(_direction, observed, wanted)),
        }
    )


def explain_rows(
    detector: Any, X: Any, offset: float | None = None, n_features: int = 3
) -> pd.DataFrame:
    """Score a table, and name the columns that contribute most to each row's error.

    Parameters
    ----------
    detector : Pipeline
        As in `explain`.
    X : DataFrame or array-like of shape (n_rows, n_columns)
        Rows.
    offset : float, optional
        Threshold on the score; by default the detector's own.
    n_features : int, default=3
        Columns named for each row.

    Returns
    -------
    DataFrame of n_rows rows
        ``row`` (from 1), ``score`` (high = normal), ``label`` (-1 = outlier), and for the i-th
        column ``feature_i``, ``observed_i``, ``expected_i`` in the table's units and ``share_i`` of
        the row's error.
    """
    scores, frame, shares, expected = _told(detector, X)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :n_features]
    offset = _last(detector).offset_ if offset is None else offset
    table: dict[str, Any] = {
        "row": np.arange(1, len(frame) + 1) + getattr(X, "attrs", {}).get("first_row", 0),
        "score": scores,
        "label": np.where(scores >= offset, 1, -1),
    }
    rows, names = np.arange(len(frame)), frame.columns.to_numpy()
    given, wanted = frame.to_numpy(), expected.to_numpy()
    for i, column in enumerate(order.T, start=1):
        table[f"feature_{i}"] = names[column]
        table[f"observed_{i}"] = given[rows, column]
        table[f"expected_{i}"] = wanted[rows, column]
        table[f"share_{i}"] = shares[rows, column]
    return pd.DataFrame(table)


def _told(detector: Any, X: Any) -> tuple[np.ndarray, pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Scores, the columns that were looked at, their shares of the error, and what was expected."""
    steps = [step for _, step in detector.steps] if isinstance(detector, Pipeline) else [detector]
    encoder = steps[0] if isinstance(steps[0], TableEncoder) else None
    Z = detector[:-1].transform(X) if len(steps) > 1 else X
    errors = np.nan_to_num(np.asarray(steps[-1].score_features(Z)), nan=0.0)
    scores, rebuilt = steps[-1].score_samples(Z), steps[-1].reconstruct(Z)
    expected = detector[:-1].inverse_transform(rebuilt) if len(steps) > 1 else rebuilt
    frame, _ = as_frame(X)
    if encoder is not None:
        frame = encoder.values(frame)
        parts = [errors[:, encoder.origin_ == j] for j in range(frame.shape[1])]
        # A column of many parts has many errors in ordinary rows, too.
        errors = np.stack([e.sum(axis=1) / np.sqrt(e.shape[1]) for e in parts], axis=1)
    total = np.maximum(errors.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    told = pd.DataFrame(np.asarray(expected), columns=frame.columns)
    return scores, frame, errors / total, told


def _last(detector: Any) -> Any:
    return detector[-1] if isinstance(detector, Pipeline) else detector


def _direction(observed: Any, expected: Any) -> str:
    if pd.isna(observed):
        return "missing"
    if isinstance(observed, str):
        return "other"
    return "high" if observed >= expected else "low"
