"""Tables as files hold them."""

import csv
import gzip
import os
import sys
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from .dialect import DELIMITERS, NO_DELIMITERS, Dialect, dialect_of
from .text import brief

UNREADABLE = (  # what a broken text file, or a broken gzip file, raises
    pd.errors.ParserError,
    pd.errors.ParserWarning,
    pd.errors.EmptyDataError,
    UnicodeError,
    csv.Error,
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
)
EXTRAS = {"parquet": "parquet", "feather": "parquet", "excel": "excel"}
KINDS = {
    ".parquet": "parquet", ".pq": "parquet", ".feather": "feather", ".arrow": "feather",
    ".xlsx": "excel", ".xls": "excel",
}  # fmt: skip


def read_table(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    na_values: Sequence[str] = (),
    max_bytes: int = 2**30,
) -> pd.DataFrame:
    """Read a file of delimited text, also gzipped, or of Parquet, Feather or Excel.

    Parameters
    ----------
    path : path
        What it ends in says what it is; anything else is delimited text. "-" is standard input.
    delimiter : str, optional
        Between the fields of a text file; noticed by default.
    header : bool, optional
        Whether the first line names the columns. By default a line is data that has numbers
        wherever the lines below have them.
    encoding : str, optional
        Of a text file; by default that of its byte order mark, else UTF-8, else Windows-1252.
    na_values : sequence of str
        Texts that mean a missing cell, beside empty cells.
    max_bytes : int, default=2**30
        Larger tables are refused before they are read. The size is that of the text, decompressed,
        or 8 times the number of cells in Parquet.

    Returns
    -------
    DataFrame
        At least two columns with different names, and at least two rows. Cells of text files are
        text. ``attrs["notes"]`` holds sentences about what was noticed, ``attrs["decimal"]`` the
        decimal point.

    Raises
    ------
    ValueError
        If the content is no such table; the message says what was found.
    OSError
        If the file cannot be read.
    ImportError
        If a package is missing; the message says how to install it.
    """
    delimiter = None if delimiter is None else delimiter.replace("\\t", "\t")
    _refuse_delimiter(delimiter)
    if str(path) == "-":
        with _standard_input() as copy:
            return read_table(
                copy, delimiter=delimiter, header=header, encoding=encoding, na_values=na_values,
                max_bytes=max_bytes,
            )  # fmt: skip
    path = Path(path)
    _refuse_path(path)
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        with _readable_as("delimited text", path, UNREADABLE):
            dialect = dialect_of(path, delimiter, header, encoding)
            _refuse_large(path, _unpacked_size(path, dialect.zipped, max_bytes), max_bytes)
            _refuse_duplicates(path, dialect.names)
            frame = _read_text(path, dialect, na_values)
        frame.attrs = {"notes": dialect.notes, "decimal": dialect.decimal}
    else:
        frame = _read_binary(path, kind, max_bytes)
    frame.columns = frame.columns.map(str)
    _refuse_duplicates(path, list(frame.columns))
    _refuse_small(path, frame)
    return frame


def _read_text(path: Path, dialect: Dialect, na_values: Sequence[str]) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # fields that would be dropped
        return pd.read_csv(
            path,
            sep=dialect.delimiter,
            encoding=dialect.encoding,
            header=0 if dialect.header else None,
            names=None if dialect.header else dialect.names,
            index_col=False,
            dtype=str,
            keep_default_na=False,
            na_values=["", *na_values],
            compression="gzip" if dialect.zipped else None,
        )


def _read_binary(path: Path, kind: str, max_bytes: int) -> pd.DataFrame:
    try:
        if kind == "parquet":
            return _read_parquet(path, max_bytes)
        _refuse_large(path, path.stat().st_size, max_bytes)
        with _readable_as(kind.capitalize(), path, Exception):
            if kind == "feather":
                return pd.read_feather(path)
            return pd.read_excel(path)
    except ImportError as error:
        raise ImportError(
            f"{path}: reading {kind.capitalize()} needs pip install 'aedetect[{EXTRAS[kind]}]'"
        ) from error


def _read_parquet(path: Path, max_bytes: int) -> pd.DataFrame:
    import pyarrow.parquet as pq

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


@contextmanager
def _standard_input() -> Iterator[Path]:
    """A copy, as a file is read more than once."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "standard input")
        with copy.open("wb") as file:
            while block := sys.stdin.buffer.read(2**20):
                file.write(block)
        yield copy


@contextmanager
def _readable_as(kind: str, path: Path, errors: Any) -> Iterator[None]:
    """Say of a file, in words for people, why it cannot be read."""
    try:
        yield
    except errors as error:
        if isinstance(error, ImportError):
            raise
        reason = str(error).removeprefix("Error tokenizing data. C error: ")
        if isinstance(error, UnicodeError):
            reason = f"its text is broken ({reason})"
        if isinstance(error, pd.errors.ParserWarning):
            reason = "rows have more fields than the header"
        raise ValueError(f"{path} cannot be read as {kind}: {reason}") from error


def _refuse_delimiter(delimiter: str | None) -> None:
    if delimiter is None:
        return
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


def _refuse_small(path: Path, frame: pd.DataFrame) -> None:
    if frame.shape[1] < 2:
        columns = f"one column, {listed(frame.columns)}" if frame.shape[1] else "no columns"
        known = " or ".join(DELIMITERS.values())
        raise ValueError(
            f"{path} has {columns}; a detector needs at least two. Fields separated by {known} are "
            "told apart, others with --delimiter"
        )
    if len(frame) < 2:
        raise ValueError(f"{path} has {len(frame)} row(s) below its header; at least 2 are needed")


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
        raise ValueError(f"{path} has several columns named {listed(repeated)}; rename them")


def listed(names: Sequence[str], most: int = 8) -> str:
    """Name what a message is about, not too many.

    Parameters
    ----------
    names : sequence of str
        Of columns.
    most : int, default=8
        How many to name.

    Returns
    -------
    str
    """
    shown = ", ".join(repr(brief(name)) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
