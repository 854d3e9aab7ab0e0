"""What may be given as rows, and what to do with everything else."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data


def readable(X: Any, name: str = "X") -> Any:
    """Return what scikit-learn can read as rows: `X` itself, or the same values in another form.

    What is sparse becomes dense, masked values NaN; tensors leave their graph and their device.

    Raises
    ------
    ValueError, TypeError
        If `X` holds no numbers that could be read; the message says how to get at them.
    """
    if isinstance(X, list | tuple) and any(map(np.ma.isMaskedArray, X)):
        X = np.ma.stack(X)
    if issparse(X):
        X = X.toarray()
    elif hasattr(X, "to_pandas") and type(X).__module__.startswith("pyarrow"):
        X = X.to_pandas()
    elif hasattr(X, "astype") and hasattr(X, "columns"):
        sparse = {name: d.subtype for name, d in X.dtypes.items() if str(d).startswith("Sparse")}
        X = X.astype(sparse) if sparse else X
    elif np.ma.isMaskedArray(X):
        X = np.ma.filled(X.astype(np.float64), np.nan)
    elif _is_torchs(X, "Tensor"):
        X = X.detach().cpu()
        X = X if str(X.layout) == "torch.strided" else X.to_dense()
        narrow = X.is_floating_point() and str(X.dtype) not in NUMPYS
        X = X.float() if narrow else X
    _refuse(X, name)
    return X


NUMPYS = ("torch.float16", "torch.float32", "torch.float64")


def _refuse(X: Any, name: str) -> None:
    """Raise for what holds no rows of real numbers."""
    kind = type(X).__name__
    if "complex" in str(getattr(X, "dtype", "")):
        raise ValueError(
            f"Complex data not supported: {name} is of {X.dtype}. Pass real and imaginary parts as "
            f"columns, np.hstack([{name}.real, {name}.imag])."
        )
    if hasattr(X, "columns"):
        for column, dtype in zip(X.columns, getattr(X, "dtypes", ()), strict=False):
            if _is_time(dtype):
                raise ValueError(f"Column {column!r} of {name} holds times ({dtype}). {TIMES}")
    if _is_time(getattr(X, "dtype", None)):
        raise ValueError(f"{name} holds times ({X.dtype}). {TIMES}")
    if X is None or isinstance(X, str | bytes | os.PathLike):
        advice = "a table, such as pandas.read_csv makes of a file"
    elif isinstance(X, Mapping) or getattr(getattr(X, "dtype", None), "names", None):  # records
        advice = f"a table, such as pandas.DataFrame({name})"
    elif isinstance(X, Iterator):
        advice = f"all rows at once, np.array(list({name}))"
    elif _is_torchs(X, "utils.data.DataLoader") or _is_torchs(X, "utils.data.Dataset"):
        advice = "all rows at once, torch.stack([x for x, *_ in dataset])"
    elif hasattr(X, "collect") and not hasattr(X, "__array__"):
        advice = f"the rows that {name}.collect() reads"
    elif not (isinstance(X, Sequence) or any(hasattr(X, protocol) for protocol in ARRAYS)):
        advice = "rows of numbers: an array, a table, a list of rows or a sparse matrix"
    else:
        return
    raise TypeError(f"{name} is a {kind}; expected {advice}.")


ARRAYS = ("__array__", "__array_interface__", "__dataframe__", "__arrow_c_stream__", "shape")
TIMES = (
    "Leave times out, or turn them into numbers that come back: the hour, the weekday, the seconds "
    "since the row before."
)
ENCODE = "Encode it, with a OneHotEncoder for instance, or leave it out."


def _is_time(dtype: Any) -> bool:
    """Whether values are dates or durations, which turn into numbers all too easily."""
    return getattr(dtype, "kind", None) in ("m", "M") or str(dtype).startswith("period")


def _is_torchs(X: Any, name: str) -> bool:
    """Whether `X` is of that class of torch, which need not be loaded."""
    owner: Any = sys.modules.get("torch")
    for part in name.split("."):
        owner = getattr(owner, part, None)
    return owner is not None and isinstance(X, owner)


def validated(estimator: Any, X: Any, **options: Any) -> np.ndarray:
    """Return what scikit-learn's ``validate_data`` makes of `X`; errors name the column."""
    _refuse_duplicates(X)
    try:
        return validate_data(estimator, X, **options)
    except (TypeError, ValueError) as error:
        if str(error).startswith("Complex"):  # in a list of rows, which have no dtype
            _refuse(np.asarray(X), "X")
        _refuse_columns(X, error)
        raise


def _refuse_columns(X: Any, error: Exception) -> None:
    """Raise for the column that is not made of numbers, where that is what `error` says of `X`."""
    for name in getattr(X, "columns", ()):
        dtype = X[name].dtype
        if _holds_times(X[name]):
            raise ValueError(f"Column {name!r} of X holds times ({dtype}). {TIMES}") from error
        if not _is_numeric(X[name]):
            raise ValueError(
                f"Column {name!r} of X is not numeric (dtype {dtype}). {ENCODE}"
            ) from error
    if isinstance(X, np.ndarray) and X.ndim == 2:
        for j, cells in enumerate(X.T):
            if X.dtype == object and _holds_times(cells):
                raise ValueError(f"Column {j} of X holds times. {TIMES}") from error
            text = next((x for x in cells if isinstance(x, str) and not _is_numeric(x)), None)
            if text is not None:
                raise ValueError(f"Column {j} of X holds text, {text[:50]!r}. {ENCODE}") from error


def _holds_times(cells: Iterable[Any]) -> bool:
    return any(isinstance(cell, date | time | timedelta) for cell in cells)


def _refuse_duplicates(X: Any) -> None:
    """Raise for a table with several columns of one name."""
    columns = getattr(X, "columns", None)
    if columns is not None and not getattr(columns, "is_unique", True):
        repeated = list(dict.fromkeys(map(str, columns[columns.duplicated()])))
        more = ", ..." if len(repeated) > 5 else ""
        raise ValueError(
            f"X has several columns named {', '.join(map(repr, repeated[:5]))}{more}; rename them."
        )


def _is_numeric(values: Any) -> bool:
    try:
        np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True
