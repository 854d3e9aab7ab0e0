"""Tables as files hold them."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from ..files import signals_unwind
from .dialect import DELIMITERS
from .formats import (
    Reading,
    read_excel,
    read_feather,
    read_parquet,
    read_text,
    refuse_duplicates,
)
from .text import listed

READERS = {
    ".parquet": read_parquet, ".pq": read_parquet, ".feather": read_feather, ".arrow": read_feather,
    ".xlsx": read_excel, ".xls": read_excel,
}  # fmt: skip

PART = 2**20  # cells read at a time, where not all are; as text they take about 100 MB


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
        The suffix gives the format; any other file is delimited text.
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
        Larger tables are refused, before or while they are read. The size is that of the text or
        the Excel file, decompressed, or that of the cells of Parquet and Feather, each of at least
        8 bytes.

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
    how = Reading(delimiter, header, encoding, tuple(na_values), max_bytes)
    (frame,) = read_parts(path, how, None)
    if len(frame) < 2:
        raise ValueError(f"{path} has 1 row below its header; at least 2 are needed")
    return frame


def read_parts(
    path: str | os.PathLike[str], how: Reading, n_cells: int | None
) -> Iterator[pd.DataFrame]:
    """Read a table some rows at a time, as `read_table` does at once.

    Parameters
    ----------
    path : path
        Of the table.
    how : Reading
        The size counts only where a table is read at once.
    n_cells : int or None
        About so many cells at a time; None is all of them.

    Yields
    ------
    DataFrame
        At least one row. ``attrs["first_row"]`` says how many rows came before.
    """
    path = Path(path)
    _refuse_path(path)
    read = READERS.get(path.suffix.lower(), read_text)
    first = 0
    for i, frame in enumerate(_no_short_end(read(path, how, n_cells))):
        frame.columns = frame.columns.map(str)
        frame.attrs["first_row"] = first
        if i == 0:
            refuse_duplicates(path, list(frame.columns))
            _refuse_narrow(path, frame)
        first += len(frame)
        if len(frame):
            yield frame
    if first == 0:
        raise ValueError(f"{path} has no rows below its header")


def _no_short_end(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Join what is left over at the end to what came before: a part should be like the table."""
    before: pd.DataFrame | None = None
    for frame in frames:
        if before is not None and len(frame) < len(before) / 2:
            frame = pd.concat([before, frame], ignore_index=True)
        elif before is not None:
            yield before
        before = frame
    if before is not None:
        yield before


@contextmanager
def standard_input() -> Iterator[Path]:
    """A copy, as a file is read more than once; with a suffix where it is gzipped.

    A signal that ends the process within the block leaves nothing of it.

    Yields
    ------
    Path
    """
    with signals_unwind(), tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "standard input")
        with copy.open("wb") as file:
            while block := sys.stdin.buffer.read(2**20):
                file.write(block)
        with copy.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        yield copy.rename(copy.with_suffix(".gz")) if zipped else copy


def _refuse_path(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a CSV or Parquet file")
    if not path.is_file():
        raise OSError(f"{path} is not a regular file; it is read more than once")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")


def _refuse_narrow(path: Path, frame: pd.DataFrame) -> None:
    if frame.shape[1] < 2:
        columns = f"one column, {listed(frame.columns)}" if frame.shape[1] else "no columns"
        known = " or ".join(DELIMITERS.values())
        raise ValueError(
            f"{path} has {columns}; a detector needs at least two. Fields separated by {known} are "
            "told apart, others with --delimiter"
        )
