"""Tables: read one from a file, refuse what cannot be scored, write one in a single step."""

import csv
import gzip
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_table(path: str | os.PathLike[str], delimiter: str = ",") -> pd.DataFrame:
    """Read a CSV (also gzipped) or Parquet file.

    Parameters
    ----------
    path : path
        Ends in ``.parquet`` for Parquet; anything else is read as delimited text.
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
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a CSV or Parquet file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    parquet = path.suffix == ".parquet"
    frame = _read_parquet(path) if parquet else _read_text(path, delimiter)
    if frame.shape[1] < 2:
        raise ValueError(
            f"{path} has one column, {frame.columns[0]!r}; a detector needs at least two"
        )
    if len(frame) < 2:
        raise ValueError(f"{path} has {len(frame)} row(s) below its header; at least 2 are needed")
    return frame


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is not a Parquet file: {error}") from error
    _refuse_duplicates(path, table.column_names)
    return table.to_pandas()


def _read_text(path: Path, delimiter: str) -> pd.DataFrame:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=delimiter), [])
        other = next((d for d in DELIMITERS if d != delimiter and d in "".join(header)), None)
        if len(header) < 2 and other is not None:
            raise ValueError(
                f"{path} has one column when split at {delimiter!r} and looks separated by "
                f"{DELIMITERS[other]}; try --delimiter '{other}'"
            )
        _refuse_duplicates(path, header)
        return pd.read_csv(
            path, sep=delimiter, encoding="utf-8-sig", index_col=False, low_memory=False
        )
    except (
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
        csv.Error,
    ) as error:
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
        Of float64, finite, at least two columns, not all of them constant.

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
    return numbers


def _mostly_text(column: pd.Series, numbers: pd.Series) -> bool:
    """Whether a column is no column of numbers, rather than one with a wrong cell in it."""
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return True
    return bool(column.notna().any() and numbers[column.notna()].isna().mean() > 0.5)


def _refuse_cells(name: str, column: pd.Series, numbers: pd.Series) -> None:
    bad = ~np.isfinite(numbers.to_numpy())
    if not bad.any():
        return
    first = int(np.argmax(bad))
    cell = column.iloc[first]
    what = "is missing" if pd.isna(cell) else f"holds {str(cell)!r}, not a finite number"
    raise ValueError(
        f"column {name!r}, row {first + 1} {what} ({bad.sum()} such cells in this column); correct "
        f"or drop the rows, or leave out with --exclude {name!r}"
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
        In an existing folder; an existing file is replaced.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            frame.to_csv(file, index=False)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
