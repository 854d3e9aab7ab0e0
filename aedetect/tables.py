"""Tables: read one from a file, refuse what cannot be scored, write one in a single step."""

import csv
import gzip
import os
import tempfile
import warnings
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

LARGEST = 1e100  # squares of larger numbers overflow
UNREADABLE = (  # what a broken text file, or a broken gzip file, raises
    pd.errors.ParserError,
    pd.errors.ParserWarning,
    pd.errors.EmptyDataError,
    UnicodeDecodeError,
    csv.Error,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
)
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_table(path: str | os.PathLike[str], delimiter: str = ",") -> pd.DataFrame:
    """Read a CSV (also gzipped) or Parquet file.

    Parameters
    ----------
    path : path
        Ends in ``.parquet`` or ``.pq`` for Parquet; anything else is read as delimited text.
    delimiter : str, default=","
        Between the fields of a text file.

    Returns
    -------
    DataFrame
        At least two columns with different names, and at least two rows.

    Raises
    ------
    ValueError
        If the content is no such table; the message says what was found.
    OSError
        If the file cannot be read.
    """
    path, delimiter = Path(path), delimiter.replace("\\t", "\t")
    if len(delimiter) != 1:
        raise ValueError(f"--delimiter {delimiter!r}: expected one character, or \\t for a tab")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a CSV or Parquet file")
    if not path.is_file():
        raise OSError(f"{path} is not a regular file; it is read more than once")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    parquet = path.suffix.lower() in (".parquet", ".pq")
    frame = _read_parquet(path) if parquet else _read_text(path, delimiter)
    frame.columns = frame.columns.map(str)
    if frame.shape[1] < 2:
        columns = f"one column, {frame.columns[0]!r}" if frame.shape[1] else "no columns"
        raise ValueError(f"{path} has {columns}; a detector needs at least two")
    if len(frame) < 2:
        raise ValueError(f"{path} has {len(frame)} row(s) below its header; at least 2 are needed")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ImportError(f"{path}: reading Parquet needs pip install 'aedetect[cli]'") from error
    try:
        _refuse_duplicates(path, pq.read_schema(path).names)
        return pq.read_table(path).to_pandas()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from error


def _read_text(path: Path, delimiter: str) -> pd.DataFrame:
    zipped = path.suffix.lower() == ".gz"
    opener = gzip.open if zipped else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=delimiter), [])
        other = next((d for d in DELIMITERS if d != delimiter and d in "".join(header)), None)
        if len(header) < 2 and other is not None:
            raise ValueError(
                f"{path} has one column when split at {delimiter!r} and looks separated by "
                f"{DELIMITERS[other]}; try --delimiter {other!r}"
            )
        _refuse_duplicates(path, header)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # fields that would be dropped
            return pd.read_csv(
                path,
                sep=delimiter,
                encoding="utf-8-sig",
                index_col=False,
                low_memory=False,
                compression="gzip" if zipped else None,
            )
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read as delimited text: {error}") from error


def _refuse_duplicates(path: Path, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{path} has several columns named {_listed(repeated)}; rename them")


def numeric_columns(frame: pd.DataFrame, exclude: Sequence[str] = ()) -> pd.DataFrame:
    """Return the columns that are not excluded, as numbers.

    Parameters
    ----------
    frame : DataFrame
        As read from a file.
    exclude : sequence of str
        Columns to leave out.

    Returns
    -------
    DataFrame
        Of float64, NaN for missing cells, at least two columns, not all of them constant.

    Raises
    ------
    ValueError
        If a column cannot be used as numbers. The message names it and, where single cells are to
        blame, the first of them; rows are counted from 1, the row below the header.
    """
    unknown = [name for name in exclude if name not in frame.columns]
    if unknown:
        raise ValueError(
            f"no column named {_listed(unknown)}; there are {_listed(list(frame.columns))}"
        )
    kept = frame.drop(columns=list(exclude))
    if kept.shape[1] < 2:
        raise ValueError(f"{kept.shape[1]} column(s) left to learn from; at least two are needed")
    numbers = kept.apply(lambda column: pd.to_numeric(column, errors="coerce"))
    not_numeric = [name for name in kept if _mostly_text(kept[name], numbers[name])]
    if not_numeric:
        options = " ".join(f"--exclude {name!r}" for name in not_numeric)
        raise ValueError(f"not numeric: {_listed(not_numeric)}; leave out with {options}")
    numbers = numbers.astype(np.float64)
    for name in numbers:
        _refuse_cells(name, kept[name], numbers[name])
    if (numbers.nunique() == 1).all():
        raise ValueError("every column is constant; there is nothing to learn")
    if (empty := numbers.isna().all(axis=1).to_numpy()).any():
        raise ValueError(
            f"row {empty.argmax() + 1} has no value in the columns that are learned from "
            f"({empty.sum()} such rows); drop them"
        )
    return numbers


def _mostly_text(column: pd.Series, numbers: pd.Series) -> bool:
    """Whether a column is no column of numbers, rather than one with a wrong cell in it."""
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return True
    return bool(column.notna().any() and numbers[column.notna()].isna().mean() > 0.5)


def _refuse_cells(name: str, column: pd.Series, numbers: pd.Series) -> None:
    if column.isna().all():
        raise ValueError(f"column {name!r} is empty; leave out with --exclude {name!r}")
    bad = ~(np.abs(numbers.to_numpy()) < LARGEST) & column.notna().to_numpy()
    if not bad.any():
        return
    first = int(np.argmax(bad))
    raise ValueError(
        f"column {name!r}, row {first + 1} holds {str(column.iloc[first])!r}, not a number below "
        f"1e100 ({bad.sum()} such cells in this column); correct or drop the rows, or leave out "
        f"with --exclude {name!r}"
    )


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a CSV that is either whole or not there: to a temporary name first, then renamed.

    Parameters
    ----------
    frame : DataFrame
        Written without its index.
    path : path
        In an existing folder; an existing file is replaced, through links, and keeps its mode.

    Raises
    ------
    OSError
        If something that is no regular file is there.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a regular file")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            frame.to_csv(file, index=False)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
