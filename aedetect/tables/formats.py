"""Delimited text, Parquet, Feather and Excel, read at once or some rows at a time."""

import csv
import gzip
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .dialect import LOOKED_AT, NO_DELIMITERS, Dialect, dialect_of, has_header
from .text import brief, listed

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


@dataclass(frozen=True)
class Reading:
    """What is said of a table, see `read_table`."""

    delimiter: str | None = None
    header: bool | None = None
    encoding: str | None = None
    na_values: tuple[str, ...] = ()
    max_bytes: int = 2**30


def _n_rows(n_columns: int, n_cells: int | None) -> int | None:
    return None if n_cells is None else max(100, n_cells // max(1, n_columns))


def read_text(path: Path, how: Reading, n_cells: int | None) -> Iterator[pd.DataFrame]:
    """Delimited text; all cells are text."""
    delimiter = None if how.delimiter is None else how.delimiter.replace("\\t", "\t")
    _refuse_delimiter(delimiter)
    with _readable_as("delimited text", path, UNREADABLE):
        dialect = dialect_of(path, delimiter, how.header, how.encoding, how.na_values)
        if n_cells is None:
            _refuse_large(path, _unpacked_size(path, dialect.zipped, how.max_bytes), how.max_bytes)
        refuse_duplicates(path, dialect.names)
        reader = _opened(path, dialect, how.na_values, _n_rows(len(dialect.names), n_cells))
    with reader:
        while True:
            with _readable_as("delimited text", path, UNREADABLE), _strictly():
                frame = next(reader, None)
            if frame is None:
                return
            frame.attrs = {"notes": dialect.notes}
            if dialect.decimal:
                frame.attrs["decimal"] = dialect.decimal
            yield frame


@contextmanager
def _strictly() -> Iterator[None]:
    """Let pandas raise where it would drop fields."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        yield


def _opened(path: Path, dialect: Dialect, na_values: Sequence[str], n_rows: int | None) -> Any:
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
        iterator=True,
        chunksize=n_rows,
    )


def read_feather(path: Path, how: Reading, _: int | None) -> Iterator[pd.DataFrame]:
    """Feather, at once."""
    with _needs_extra("feather", path):
        import pyarrow as pa
    with path.open("rb") as stream:
        with _readable_as("Feather", path, Exception):
            file = pa.ipc.open_file(stream)
        batches = _each("Feather", path, map(file.get_batch, range(file.num_record_batches)))
        read = [*_no_larger(path, batches, 0, how.max_bytes)]
        with _readable_as("Feather", path, Exception):
            frame = pa.Table.from_batches(read, file.schema).to_pandas(ignore_metadata=True)
        yield frame


def read_excel(path: Path, how: Reading, _: int | None) -> Iterator[pd.DataFrame]:
    """The first sheet of an Excel file, at once."""
    with _readable_as("Excel", path, Exception):
        size = _size_of_parts(path)
    _refuse_large(path, size, how.max_bytes)
    with (
        _needs_extra("excel", path),
        _readable_as("Excel", path, Exception),
        pd.ExcelFile(path) as book,
    ):
        head = pd.read_excel(book, header=None, dtype=object, nrows=LOOKED_AT)
        rows = [["" if pd.isna(cell) else str(cell) for cell in row] for row in head.to_numpy()]
        blank = next((i for i, row in enumerate(rows) if any(row)), 0)  # rows above the first
        rows = rows[blank:]
        header = has_header(rows, how.na_values) if how.header is None else how.header
        frame = pd.read_excel(
            book, header=0 if header else None, skiprows=blank, na_values=[*how.na_values]
        )
    if header:
        refuse_duplicates(path, [name for row in rows[:1] for name in row if name])
    else:
        dialect = Dialect("utf-8", "", ".", header, [""] * frame.shape[1], zipped=False)
        frame.columns, frame.attrs = dialect.names, {"notes": dialect.notes}
    yield frame


def read_parquet(path: Path, how: Reading, n_cells: int | None) -> Iterator[pd.DataFrame]:
    """Parquet; an index that was saved with a table is a column of it."""
    with _needs_extra("parquet", path):
        import pyarrow.parquet as pq
    with path.open("rb") as stream:
        with _readable_as("Parquet", path, Exception):  # a forged file makes its readers raise any
            file = pq.ParquetFile(stream)
            names = file.schema_arrow.names
        refuse_duplicates(path, names)
        n_rows = _n_rows(len(names), n_cells)
        if n_rows is None:
            _refuse_large_parquet(path, file, how.max_bytes)
            with _readable_as("Parquet", path, Exception):
                whole = file.read().to_pandas(ignore_metadata=True)
            yield whole
            return
        for batch in _each("Parquet", path, file.iter_batches(batch_size=n_rows)):
            yield batch.to_pandas(ignore_metadata=True)


def _refuse_large_parquet(path: Path, file: Any, max_bytes: int) -> None:
    """By what it says of itself, and by its texts: one that repeats is there only once."""
    from pyarrow.types import is_primitive

    with _readable_as("Parquet", path, Exception):
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        size = 8 * sum(group.num_rows * group.num_columns for group in groups)
        texts = [field.name for field in file.schema_arrow if not is_primitive(field.type)]
    _refuse_large(path, size, max_bytes)
    batches = _each("Parquet", path, file.iter_batches(batch_size=FEW, columns=texts))
    for _ in _no_larger(path, batches, size - 8 * len(texts) * file.metadata.num_rows, max_bytes):
        pass


FEW = 1000  # rows


def _no_larger(path: Path, batches: Iterator[Any], size: int, max_bytes: int) -> Iterator[Any]:
    """Batches of Arrow, until cells, of at least 8 bytes each, take too much beside `size`."""
    categories: dict[int, int] = {}
    for batch in batches:
        for j, column in enumerate(batch.columns):
            if hasattr(column, "dictionary"):
                categories[j], column = column.dictionary.nbytes, column.indices
            size += max(column.nbytes, 8 * len(column))
        _refuse_large(path, size + sum(categories.values()), max_bytes)
        yield batch


def _each(kind: str, path: Path, parts: Iterator[Any]) -> Iterator[Any]:
    """Parts of a file, as long as they can be read."""
    while True:
        with _readable_as(kind, path, Exception):
            part = next(parts, None)
        if part is None:
            return
        yield part


@contextmanager
def _needs_extra(kind: str, path: Path) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"{path}: reading {kind.capitalize()} needs pip install 'aedetect[{EXTRAS[kind]}]'"
        ) from error


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


def _unpacked_size(path: Path, zipped: bool, most: int) -> int:
    """Bytes of text in a file, counted no further than a little beyond `most`."""
    if not zipped:
        return path.stat().st_size
    size = 0
    with gzip.open(path) as file:
        while size <= most and (block := file.read(2**20)):
            size += len(block)
    return size


def _size_of_parts(path: Path) -> int:
    """Bytes in a file, unpacked where it is a zip archive."""
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    with zipfile.ZipFile(path) as file:
        return sum(part.file_size for part in file.infolist())


def _refuse_large(path: Path, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ValueError(
            f"{path} holds more than {max_bytes:,} bytes, too much to be read unasked; raise "
            "--max-bytes if memory suffices for several times as much"
        )


def refuse_duplicates(path: Path, names: Sequence[str]) -> None:
    """Raise ValueError where columns share a name."""
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise ValueError(f"{path} has several columns named {listed(repeated)}; rename them")
