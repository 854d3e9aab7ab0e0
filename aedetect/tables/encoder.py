"""A table of numbers, texts and times as rows of numbers."""

from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.base import TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted

from ..params import Count, Params, all_or_nothing
from ..rows.limits import LARGEST
from ..warn import warn
from .cells import warn_of_order
from .columns import (
    FEW,
    UNKNOWN,
    Category,
    Column,
    Number,
    Time,
    kind_of,
    reason_to_leave_out,
)
from .text import brief

SHOWN = 5  # names in a message


class TableEncoder(TransformerMixin, Params):
    """Turns a table of mixed columns into rows of numbers, and back.

    Numbers stay as they are, also those written "1,234", "5 %" or "$3"; durations are numbers of
    seconds. Times become days, plus the hour and the weekday as points on a circle. Text becomes a
    column of 0 and 1 for each of the most frequent values, and one that says how rare the value is:
    an unseen value counts as very rare, and is not an error. Missing numbers stay missing; missing
    text is a value of its own.

    Columns that cannot help with other rows are left out: constant ones and, in tables with column
    names, those with a different text or whole number in each row, running numbers, and times that
    only increase or only decrease.

    Parameters
    ----------
    keep : tuple of str, default=()
        Columns not to leave out.
    max_categories : int, default=20
        Texts of a column that get a column of their own.

    Attributes
    ----------
    columns_ : list of Column
        What each column that is used holds.
    left_out_ : dict of str to str
        Other columns, and why.
    origin_ : ndarray of int
        For each encoded column, which of `columns_` it comes from.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where `X` had column names.

    Examples
    --------
    >>> import pandas as pd
    >>> from aedetect import TableEncoder
    >>> table = pd.DataFrame({"price": ["$1,000", "$30"], "colour": ["red", "blue"]})
    >>> encoder = TableEncoder().fit(table)
    >>> encoder.transform(table)
    array([[1000.,    1.,    0.],
           [  30.,    0.,    0.]])
    >>> encoder.inverse_transform([[20.0, 0.9, 0]])
       price colour
    0   20.0    red
    """

    keep: tuple[str, ...] = ()
    max_categories: Count = 20

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find out what the columns hold.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like of shape (n_samples, n_features)
            Rows. ``X.attrs["decimal"] = ","`` says that numbers in text have a decimal comma.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If `X` is no table, if a name occurs twice, or if no column is left.

        Warns
        -----
        UserWarning
            Of columns that are left out, but for constant ones, and of cells that are no numbers
            in a column of numbers, or beyond 1e100; these count as missing. Of dates that may have
            the month first.
        """
        self._check_params()
        frame, named = as_frame(X)
        if len(frame) < 2:
            raise ValueError(f"X has n_samples={len(frame)}; expected at least 2.")
        columns: list[Column] = []
        left_out: dict[str, str] = {}
        for name in frame.columns:
            kind = kind_of(
                frame[name], str(name), self.max_categories, frame.attrs.get("decimal", ".")
            )
            values, wrong = kind.read(frame[name])
            reason = None if name in self.keep else reason_to_leave_out(kind, values)
            if reason is not None and (named or reason in ("is empty", "is constant")):
                left_out[str(name)] = reason
            else:
                columns.append(kind)
                _warn_of_cells(frame, frame[name], kind, wrong)
                if isinstance(kind, Time):
                    warn_of_order(frame[name], kind.form)
        unknown = [name for name in self.keep if name not in frame.columns]
        if unknown:
            raise ValueError(f"keep={self.keep!r}: there is no column {unknown[0]!r}.")
        self._set(columns, left_out, frame, named)
        return self

    def _set(
        self, columns: list[Column], left_out: dict[str, str], frame: pd.DataFrame, named: bool
    ) -> None:
        if not columns:
            reasons = ", ".join(
                f"{brief(name)!r} {why}" for name, why in [*left_out.items()][:SHOWN]
            )
            raise ValueError(f"No column is left to learn from: {reasons}.")
        self.columns_, self.left_out_ = columns, left_out
        self.n_features_in_ = frame.shape[1]
        self.__dict__.pop("feature_names_in_", None)
        if named:
            self.feature_names_in_ = np.array([str(name) for name in frame.columns], object)
        self.origin_ = np.repeat(np.arange(len(columns)), [len(c.parts) for c in columns])
        told = {name: why for name, why in left_out.items() if why != "is constant"}
        if told:
            some = "; ".join(f"{brief(name)!r} {why}" for name, why in [*told.items()][:SHOWN])
            more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
            warn(
                f"Columns are left out: {some}{more}. keep={(brief(min(told)),)!r} would keep one."
            )

    def transform(self, X: Any) -> np.ndarray:
        """Turn rows into numbers. Columns are found by their names, in any order.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like of shape (n_samples, n_features)
            Rows; columns that `fit` did not see are ignored.

        Returns
        -------
        ndarray of shape (n_samples, n_encoded), float64

        Raises
        ------
        ValueError
            If a column is missing, or holds something else than before; the message names it.

        Warns
        -----
        UserWarning
            Of cells that count as missing, as in `fit`. Of a column of 30 texts or more none of
            which `fit` has seen.
        """
        read = self._read(X)
        blocks = [kind.encode(read[kind.name]) for kind in self.columns_]
        return np.column_stack(blocks).astype(np.float64)

    def values(self, X: Any) -> pd.DataFrame:
        """Read the columns that are used, as what they hold.

        Parameters
        ----------
        X : DataFrame of pandas or polars, or array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        DataFrame of shape (n_samples, len(columns_))
            Numbers, texts and times; those in text as numbers and times.
        """
        read = self._read(X)
        for kind in self.columns_:
            if isinstance(kind, Time):
                read[kind.name] = kind.decode(read[kind.name][:, None])
        return pd.DataFrame(read)

    def _read(self, X: Any) -> dict[str, np.ndarray]:
        """The values of each column that is used, as its kind takes them."""
        check_is_fitted(self)
        frame, named = as_frame(X)
        if not (named and hasattr(self, "feature_names_in_")):
            if frame.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X has {frame.shape[1]} features, but TableEncoder is expecting "
                    f"{self.n_features_in_} features as input."
                )
            frame.columns = getattr(self, "feature_names_in_", _names(frame.shape[1]))
        missing = [c.name for c in self.columns_ if c.name not in frame.columns]
        if missing:
            raise ValueError(f"Column {missing[0]!r} is missing; X has {list(frame.columns)[:20]}.")
        read, decimal = {}, frame.attrs.get("decimal")
        for kind in self._as_written(decimal):
            column = frame[kind.name]
            read[kind.name], wrong = kind.read(column)
            if 2 * wrong.sum() > max(column.notna().sum(), 1):
                cell, held = column[wrong].iloc[0], f"{type(kind).__name__.lower()}s"
                raise ValueError(
                    f"Column {brief(kind.name)!r} held {held} when the encoder was fitted; now "
                    f"{wrong.sum()} of {len(column)} cells are none, such as "
                    f"{brief(str(cell))!r} in row {_row(frame, wrong)}."
                )
            _warn_of_cells(frame, column, kind, wrong)
            if isinstance(kind, Category):
                _warn_of_unseen(kind, read[kind.name])
        return read

    def _as_written(self, decimal: str | None) -> list[Column]:
        """The columns, whose numbers may have another decimal point in another table."""
        columns = [
            replace(kind, decimal=decimal) if decimal and isinstance(kind, Number) else kind
            for kind in self.columns_
        ]
        if columns != self.columns_:
            warn(
                f"Numbers in text are read with {decimal!r} before their decimals, unlike in the "
                "table that was learned from."
            )
        return columns

    def inverse_transform(self, Z: Any) -> pd.DataFrame:
        """Tell what table encoded rows come closest to.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_encoded)
            Encoded rows, also such as a detector has rebuilt.

        Returns
        -------
        DataFrame of shape (n_samples, len(columns_))
            In the units of the table.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=np.float64, ensure_all_finite=False)
        if Z.shape[1] != len(self.origin_):
            raise ValueError(f"Z has {Z.shape[1]} columns; expected {len(self.origin_)}.")
        parts = ((c, Z[:, self.origin_ == i]) for i, c in enumerate(self.columns_))
        return pd.DataFrame({column.name: column.decode(block) for column, block in parts})

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the encoded columns: "colour = red", "colour rarity".

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        ndarray of str objects
        """
        check_is_fitted(self)
        names = [f"{c.name} {part}".strip() for c in self.columns_ for part in c.parts]
        return np.array(names, object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def as_frame(X: Any) -> tuple[pd.DataFrame, bool]:
    """Return rows as a table of pandas whose columns have text for names, and if they had any."""
    if hasattr(X, "to_pandas"):  # polars and Arrow
        X = X.to_pandas()
    named = isinstance(X, pd.DataFrame)
    if named:
        frame = X.copy(deep=False)
    else:
        if issparse(X):
            raise TypeError("Sparse data was passed, but TableEncoder takes dense tables.")
        X = check_array(X, dtype=None, ensure_all_finite=False)
        frame = pd.DataFrame(X, columns=_names(X.shape[1]))
    frame.columns = frame.columns.map(str)
    if not frame.columns.is_unique:
        name = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"X has several columns named {name!r}; rename them.")
    if not frame.size:
        check_array(np.empty(frame.shape))  # says which is wanting
    return frame, named


def _names(n_columns: int) -> list[str]:
    return [f"x{i}" for i in range(n_columns)]


def _row(frame: pd.DataFrame, marked: np.ndarray) -> int:
    """The number, from 1, of the first marked row in the table that a frame is a part of."""
    return int(marked.argmax()) + 1 + frame.attrs.get("first_row", 0)


def _warn_of_unseen(kind: Category, texts: np.ndarray) -> None:
    given = texts[texts != UNKNOWN]
    if len(given) >= FEW and not {*given} & {*kind.categories}:
        usual = brief(kind.categories[0])
        warn(
            f"Column {brief(kind.name)!r} holds no text that was there when the encoder was "
            f"fitted, such as {usual!r}; all count as rare."
        )


def _warn_of_cells(frame: pd.DataFrame, column: pd.Series, kind: Column, wrong: np.ndarray) -> None:
    if wrong.any():
        cell, held = column[wrong].iloc[0], f"{type(kind).__name__.lower()}s"
        if isinstance(kind, Number) and not np.isnan(kind.read(column[wrong])[0][0]):
            held += f" up to {LARGEST:g}"
        warn(
            f"Column {brief(kind.name)!r}: {wrong.sum()} cells are no {held} and count as missing, "
            f"such as {brief(str(cell))!r} in row {_row(frame, wrong)}."
        )
