"""Tables: read one from a file, refuse what cannot be scored, write one in a single step."""

import csv
import gzip
import io
import os
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from ._files import whole_file
from ._linear import LARGEST
from ._text import brief

SMALLEST = 1e-100  # squares of smaller numbers vanish
MAX_HEADER = 2**24  # characters, before anything else of a file is known
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
NO_DELIMITERS = '+-."\r\n\0'  # of numbers and of quoted fields, or between rows
# How formulas of spreadsheets begin: also after white space, and in full-width characters.
FORMULAS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def read_table(path: str | os.PathLike[str], delimiter: str, max_bytes: int) -> pd.DataFrame:
    """Read a CSV (also gzipped) or Parquet file.

    Parameters
    ----------
    path : path
        Ends in ``.parquet`` or ``.pq`` for Parquet; anything else is read as delimited text.
    delimiter : str
        Between the fields of a text file.
    max_bytes : int
        Larger tables are refused before they are read. The size is that of the text, decompressed,
        or 8 times the number of cells in Parquet.

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
    _refuse_delimiter(delimiter)
    _refuse_path(path)
    parquet = path.suffix.lower() in (".parquet", ".pq")
    frame = _read_parquet(path, max_bytes) if parquet else _read_text(path, delimiter, max_bytes)
    frame.columns = frame.columns.map(str)
    if frame.shape[1] < 2:
        columns = f"one column, {_listed(frame.columns)}" if frame.shape[1] else "no columns"
        raise ValueError(f"{path} has {columns}; a detector needs at least two")
    if len(frame) < 2:
        raise ValueError(f"{path} has {len(frame)} row(s) below its header; at least 2 are needed")
    return frame


def _refuse_delimiter(delimiter: str) -> None:
    unfit = not delimiter.isascii() or delimiter.isalnum() or delimiter in NO_DELIMITERS
    if len(delimiter) != 1 or unfit:
        raise ValueError(
            f"--delimiter {brief(delimiter)!r}: expected one character that numbers have no use "
            "for, such as ;, or \\t for a tab"
        )


def _refuse_path(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a CSV or Parquet file")
    if not path.is_file():
        raise OSError(f"{path} is not a regular file; it is read more than once")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")


def _read_parquet(path: Path, max_bytes: int) -> pd.DataFrame:
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        text = f"{path}: reading Parquet needs pip install 'aedetect[parquet]'"
        raise ImportError(text) from error
    with path.open("rb") as stream:
        with _readable_as("Parquet", path, Exception):  # a forged file makes its readers raise any
            file = pq.ParquetFile(stream)
            names = file.schema_arrow.names
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
            n_cells = sum(group.num_rows * group.num_columns for group in groups)
        _refuse_large(path, 8 * n_cells, max_bytes)
        _refuse_duplicates(path, names)
        with _readable_as("Parquet", path, Exception):
            return file.read().to_pandas()


def _read_text(path: Path, delimiter: str, max_bytes: int) -> pd.DataFrame:
    zipped = path.suffix.lower() == ".gz"
    with _readable_as("delimited text", path, UNREADABLE):
        _refuse_header(path, delimiter, zipped)
        _refuse_large(path, _unpacked_size(path, zipped, max_bytes), max_bytes)
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


@contextmanager
def _readable_as(kind: str, path: Path, errors: Any) -> Iterator[None]:
    """Say of a file, in words for people, why it cannot be read."""
    try:
        yield
    except errors as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ")
        if isinstance(error, UnicodeDecodeError):
            reason = f"it is not UTF-8 ({error.reason})"
        if isinstance(error, pd.errors.ParserWarning):
            reason = "rows have more fields than the header"
        raise ValueError(f"{path} cannot be read as {kind}: {reason}") from error


def _refuse_header(path: Path, delimiter: str, zipped: bool) -> None:
    opener: Any = gzip.open if zipped else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        start = file.read(MAX_HEADER)
    if len(start) == MAX_HEADER and not ("\n" in start or "\r" in start):
        raise ValueError(f"{path} begins with a line of more than {MAX_HEADER:,} characters")
    rows = csv.reader(io.StringIO(start, newline=""), delimiter=delimiter)
    header = next((row for row in rows if len(row) > 1 or "".join(row).strip()), [])
    other = next((d for d in DELIMITERS if d != delimiter and d in "".join(header)), None)
    if len(header) < 2 and other is not None:
        raise ValueError(
            f"{path} has one column when split at {delimiter!r} and looks separated by "
            f"{DELIMITERS[other]}; try --delimiter {other!r}"
        )
    _refuse_duplicates(path, header)


def _unpacked_size(path: Path, zipped: bool, most: int) -> int:
    """Bytes of text in a file, counted no further than a little beyond `most`."""
    if not zipped:
        return path.stat().st_size
    size = 0
    with gzip.open(path) as file:
        while size <= most and (block := file.read(2**20)):
            size += len(block)
    return size


def _refuse_large(path: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ValueError(
            f"{path} holds more than {max_bytes:,} bytes, too much to be read unasked; raise "
            "--max-bytes if memory suffices for several times as much"
        )


def _refuse_duplicates(path: Path, names: Sequence[str]) -> None:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
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
        raise ValueError(f"no column named {_listed(unknown)}; there are {_listed(frame.columns)}")
    names = frame.columns.drop(list(exclude))
    if len(names) < 2:
        raise ValueError(f"{len(names)} column(s) left to learn from; at least two are needed")
    numbers, wrong = _as_numbers(frame, names)
    _refuse_columns(names, numbers, wrong)
    _refuse_cells(frame, names, wrong | (np.abs(numbers) >= LARGEST))
    _refuse_nothing(numbers)
    return pd.DataFrame(numbers, columns=names)


def _as_numbers(frame: pd.DataFrame, names: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Cells as float64, NaN where one is missing or wrong, and which ones are wrong."""
    shape = len(frame), len(names)
    numbers, wrong = np.full(shape, np.nan, order="F"), np.zeros(shape, dtype=bool, order="F")
    for i, name in enumerate(names):
        column = frame[name]
        if is_numeric_dtype(column.dtype):
            numbers[:, i] = column.to_numpy(np.float64, na_value=np.nan)
            continue
        cells = column.to_numpy(object)
        if _may_be_text(column.dtype):
            numbers[:, i] = _parsed(cells)
        wrong[:, i] = np.isnan(numbers[:, i]) & pd.notna(cells)
    return numbers, wrong


def _may_be_text(dtype: Any) -> bool:
    """Whether numbers may be written in it; times, periods and intervals are none."""
    return isinstance(dtype, pd.CategoricalDtype | pd.StringDtype) or dtype == np.dtype(object)


def _parsed(cells: np.ndarray) -> np.ndarray:
    try:
        return np.asarray(pd.to_numeric(cells, errors="coerce"), dtype=np.float64)
    except OverflowError:  # of an integer with hundreds of digits
        return _parsed(np.array([str(cell) for cell in cells], dtype=object))


def _refuse_columns(names: pd.Index, numbers: np.ndarray, wrong: np.ndarray) -> None:
    """Refuse columns of nothing, or of text rather than of numbers with a wrong cell."""
    observed = (wrong | ~np.isnan(numbers)).sum(axis=0)
    if (text := 2 * wrong.sum(axis=0) > observed).any():
        options = " ".join(f"--exclude {brief(name)!r}" for name in names[text][:8])
        more = " ..." if text.sum() > 8 else ""
        raise ValueError(f"not numeric: {_listed(names[text])}; leave out with {options}{more}")
    if (empty := observed == 0).any():
        name = brief(names[empty.argmax()])
        raise ValueError(f"column {name!r} is empty; leave out with --exclude {name!r}")


def _refuse_cells(frame: pd.DataFrame, names: pd.Index, wrong: np.ndarray) -> None:
    if not wrong.any():
        return
    column = wrong.any(axis=0).argmax()
    row, name = wrong[:, column].argmax(), brief(names[column])
    cell = brief(str(frame[names[column]].iloc[row]))
    raise ValueError(
        f"column {name!r}, row {row + 1} holds {cell!r}, not a number below 1e100 "
        f"({wrong[:, column].sum()} such cells in this column); correct or drop the rows, or leave "
        f"out with --exclude {name!r}"
    )


def _refuse_nothing(numbers: np.ndarray) -> None:
    """Refuse columns that all stay the same, and rows without a value."""
    if (np.nanmax(numbers, axis=0) - np.nanmin(numbers, axis=0) < SMALLEST).all():
        raise ValueError("every column is constant; there is nothing to learn")
    if (empty := np.isnan(numbers).all(axis=1)).any():
        raise ValueError(
            f"row {empty.argmax() + 1} has no value in the columns that are learned from "
            f"({empty.sum()} such rows); drop them"
        )


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(repr(brief(name)) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a CSV that is either whole or not there, and that a spreadsheet only shows.

    Parameters
    ----------
    frame : DataFrame
        Written without its index. Text that begins as a formula does, with = + - or @, gets an
        apostrophe in front; numbers are written as they are.
    path : path
        In an existing folder; an existing file is replaced, through links, and keeps its mode.

    Raises
    ------
    OSError
        If something that is no regular file is there.
    """
    inert = frame.apply(lambda c: c if is_numeric_dtype(c.dtype) else c.map(_inert))
    inert = inert.rename(columns=_inert)
    with whole_file(path) as temporary:
        inert.to_csv(temporary, index=False, encoding="utf-8")


def _inert(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    cell = re.sub("\r\n?", "\n", cell)  # pandas leaves a lone \r unquoted
    return f"'{cell}" if cell.startswith(FORMULAS) else cell
