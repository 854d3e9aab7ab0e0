"""What to tell a person about scored rows: score, label, and the columns that stand out."""

from copy import copy
from typing import Any, Self

import numpy as np
import pandas as pd

from ..rows.inputs import readable
from ..tables.encoder import TableEncoder, as_frame
from ..tables.text import listed
from ..warn import warn
from .inside import rebuilt, scored, steps, threshold_of, unwrapped


def explain(detector: Any, X: Any, top: int = 3) -> pd.DataFrame:
    """Name the columns that contribute most to each row's error, one line for each.

    Parameters
    ----------
    detector : detector or Pipeline
        A fitted detector of this package that has `score_features` and `reconstruct`, a Pipeline
        that ends in one and whose other steps can be inverted, or `Threshold` or
        `ConformalDetector` around one of these; a `TableEncoder` may come first.
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
    _, frame, shares, expected = told(detector, X)
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


def nearest_normal(detector: Any, X: Any) -> pd.DataFrame:
    """Find a small set of columns whose change would make a flagged row normal.

    Values are replaced by those expected from the other columns, one at a time, each time the one
    that raises the row's score most, until the score reaches the threshold. Each in turn is then
    restored unless that flags the row again. A smaller set is unlikely, but not impossible.

    Parameters
    ----------
    detector : detector or Pipeline
        As in `explain`.
    X : DataFrame or array-like of shape (n_rows, n_columns)
        Rows.

    Returns
    -------
    DataFrame
        A line for each change: ``row`` (from 0), ``column``, ``observed``, and ``normal``, the
        value instead, in the table's units. Rows that are not flagged have none.

    Warns
    -----
    UserWarning
        If no such change makes a flagged row normal; such rows have no lines.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import PCADetector, nearest_normal
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1)) * [1, 2, -1, 1] + 0.1 * rng.normal(size=(200, 4))
    >>> detector = PCADetector(latent_dim=1).fit(X)
    >>> nearest_normal(detector, [[1.0, 2.0, -1.0, 1.0], [1.0, 2.0, 9.0, 1.0]])[["row", "column"]]
       row column
    0    1     x2
    """
    repair = _Repair(detector, X)
    nothing = np.zeros((len(repair.Z), repair.n_columns), bool)
    flagged = np.flatnonzero(repair.without(nothing)[2] < repair.offset)
    if not len(flagged):
        return pd.DataFrame(columns=["row", "column", "observed", "normal"])
    repair = repair.part(flagged)
    hidden = _needed(repair, _enough(repair))
    Z, _, scores = repair.without(hidden)
    stay = scores < repair.offset
    if stay.any():
        warn(f"Rows {listed(list(map(str, flagged[stay])))} stay flagged in any case.")
    rows, columns = np.nonzero(hidden & ~stay[:, None])
    names, normal = repair.observed.columns, repair.decoded(Z)
    return pd.DataFrame(
        {
            "row": flagged[rows],
            "column": names.to_numpy()[columns],
            "observed": _cells(repair.observed, rows, columns),
            "normal": _cells(normal, rows, columns),
        }
    )


def _cells(frame: pd.DataFrame, rows: np.ndarray, columns: np.ndarray) -> pd.Series:
    return pd.Series(frame.to_numpy(object)[rows, columns], dtype=object)


def _enough(repair: "_Repair") -> np.ndarray:
    """Columns of each row, hidden one after the other until it is normal, all but one at most."""
    hidden = np.zeros((len(repair.Z), repair.n_columns), bool)
    todo = np.arange(len(hidden))
    while len(todo):
        part = repair.part(todo)
        hidden[todo] = _one_more(part, hidden[todo], part.without(hidden[todo])[1])
        abnormal = part.without(hidden[todo])[2] < repair.offset
        todo = todo[abnormal & (hidden[todo].sum(axis=1) < repair.n_columns - 1)]
    return hidden


def _needed(repair: "_Repair", hidden: np.ndarray) -> np.ndarray:
    """Put back each column without which a row stays normal, the least strange ones first."""
    shares = repair.without(np.zeros_like(hidden))[1]
    order = np.where(hidden, shares, np.inf).argsort(axis=1)
    for columns in order.T[: hidden.sum(axis=1).max(initial=0)]:
        fewer = hidden.copy()
        fewer[np.arange(len(fewer)), columns] = False
        flagged = repair.without(fewer)[2] < repair.offset
        hidden = np.where(flagged[:, None], hidden, fewer)
    return hidden


def _one_more(repair: "_Repair", hidden: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Hide one column more of each row, that without which it scores best."""
    candidates = np.argsort(np.where(hidden, 1, -shares), axis=1)[:, :TRIED]
    best, best_scores = hidden, np.full(len(hidden), -np.inf)
    for columns in candidates.T:
        more = hidden.copy()
        more[np.arange(len(more)), columns] = True
        scores = np.where(hidden[np.arange(len(more)), columns], -np.inf, repair.without(more)[2])
        better = scores > best_scores
        best = np.where(better[:, None], more, best)
        best_scores = np.where(better, scores, best_scores)
    return best


FILLS = 10  # times that values are filled in, each time in a row that is more like a normal one
TRIED = 8  # columns that are tried in turn, those that contribute most


class _Repair:
    """Rows some of whose columns are hidden and filled in from the others."""

    def __init__(self, detector: Any, X: Any) -> None:
        self.encoder, self.observed = _encoder(detector), _observed(detector, X)
        inner = unwrapped(detector)
        if self.encoder is None:
            self.observed = _numbers(self.observed)
            self.detector, Z, given = inner, self.observed, X
            self.origin = np.arange(Z.shape[1])
        else:
            self.detector, Z = inner[1:], self.encoder.transform(X)
            self.origin, given = self.encoder.origin_, Z
        given = given.to_pandas() if hasattr(given, "to_pandas") else given
        self.names = given.columns if isinstance(given, pd.DataFrame) else None
        self.Z = np.asarray(Z, np.float64)
        self.n_columns, self.offset = self.observed.shape[1], threshold_of(detector)

    def part(self, rows: np.ndarray) -> Self:
        part = copy(self)
        part.Z, part.observed = self.Z[rows], self.observed.iloc[rows]
        return part

    def without(self, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows whose hidden columns are filled in, the columns' shares, and the scores."""
        gaps = hidden[:, self.origin]
        Z = np.where(gaps, np.nan, self.Z)
        for _ in range(FILLS if hidden.any() else 0):
            Z = np.where(gaps, rebuilt(self.detector, self._named(Z)), self.Z)
        scores, errors = scored(self.detector, self._named(Z))
        return Z, _folded(errors, self.origin), scores

    def _named(self, Z: np.ndarray) -> Any:
        return Z if self.names is None else pd.DataFrame(Z, columns=self.names)

    def decoded(self, Z: np.ndarray) -> pd.DataFrame:
        """In the units of the table."""
        if self.encoder is not None:
            return self.encoder.inverse_transform(Z)
        return pd.DataFrame(Z, columns=self.observed.columns)


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
    scores, frame, shares, expected = told(detector, X)
    order = np.argsort(-shares, axis=1, kind="stable")[:, :n_features]
    offset = threshold_of(detector) if offset is None else offset
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


def told(detector: Any, X: Any) -> tuple[np.ndarray, pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Score rows, and compare each value with what was expected from the others.

    Parameters
    ----------
    detector : detector or Pipeline
        As in `explain`.
    X : DataFrame or array-like of shape (n_rows, n_columns)
        Rows.

    Returns
    -------
    scores : ndarray of shape (n_rows,)
    observed : DataFrame
        The columns that were looked at.
    shares : ndarray of the shape of `observed`
        What share of its row's error a value has.
    expected : DataFrame of the shape of `observed`
    """
    inner = unwrapped(detector)
    (scores, errors), expected = scored(inner, X), rebuilt(inner, X)
    frame, encoder, expected = _observed(detector, X), _encoder(detector), np.asarray(expected)
    if encoder is not None:
        errors = _folded(errors, encoder.origin_)
    elif expected.dtype.kind == "f":
        frame = _numbers(frame)
    total = np.maximum(errors.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return scores, frame, errors / total, pd.DataFrame(expected, columns=frame.columns)


def _observed(detector: Any, X: Any) -> pd.DataFrame:
    """The columns that are looked at, as what they hold."""
    if (encoder := _encoder(detector)) is not None:
        return encoder.values(X)
    return as_frame(X if hasattr(X, "columns") else readable(X))[0]


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Text, as files hold numbers, as the numbers that it says."""
    texts = frame.select_dtypes(exclude=["number", "bool"]).columns
    return frame.astype(dict.fromkeys(texts, np.float64))


def _folded(errors: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Errors of the table's columns; one of many parts has many in ordinary rows, too."""
    parts = [errors[:, origin == j] for j in range(origin.max() + 1)]
    return np.stack([e.sum(axis=1) / np.sqrt(e.shape[1]) for e in parts], axis=1)


def _encoder(detector: Any) -> TableEncoder | None:
    first = steps(unwrapped(detector))[0]
    return first if isinstance(first, TableEncoder) else None


def _direction(observed: Any, expected: Any) -> str:
    if pd.isna(observed):
        return "missing"
    if isinstance(observed, str):
        return "other"
    return "high" if observed >= expected else "low"
