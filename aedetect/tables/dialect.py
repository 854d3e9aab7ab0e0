"""How a file of delimited text is written, told from its first lines."""

import codecs
import csv
import gzip
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cells import MISSING, UNIT

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
NO_DELIMITERS = '+-."\r\n\0'  # of numbers and of quoted fields, or between rows
HEAD = 2**18  # characters that are looked at, and more if that is no whole line
LOOKED_AT = 1000  # rows that tell whether there is a header
MAX_HEADER = 2**24  # characters of a line, before anything else of a file is known
NUMBER = re.compile(r"^\s*[-+]?[\d.,]*\d[\d.,]*(e[-+]?\d+)?\s*%?$", re.IGNORECASE)
COMMA = re.compile(r"^\s*[-+]?(\d{1,3}(\.\d{3})+|\d+),\d+\s*$")
GROUPS = re.compile(r"^[-+]?[1-9]\d{0,2}(,\d{3})+$")
POINT = re.compile(r"^\s*[-+]?\d*\.\d+(e[-+]?\d+)?\s*$", re.IGNORECASE)
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes
    ----------
    encoding, delimiter : str
    decimal : str
        "." or ",".
    header : bool
        Whether the first line names the columns.
    first : list of str
        The fields of the first line.
    zipped : bool
    """

    encoding: str
    delimiter: str
    decimal: str
    header: bool
    first: list[str]
    zipped: bool

    @property
    def names(self) -> list[str]:
        if self.header:
            return self.first
        return [f"column_{i}" for i in range(1, len(self.first) + 1)]

    @property
    def notes(self) -> list[str]:
        """What is worth telling, a sentence each."""
        told = []
        if not self.header:
            told.append(f"The file has no header; columns are called column_1 to {self.names[-1]}.")
        if self.decimal == ",":
            told.append("Numbers have a decimal comma.")
        if self.encoding == "cp1252":
            told.append("The text is not UTF-8 and was read as Windows-1252.")
        return told


def dialect_of(
    path: Path,
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    na_values: Sequence[str] = (),
) -> Dialect:
    """Tell how a file is written; what is given is taken for granted.

    Raises
    ------
    ValueError
        If a line does not end within reason.
    """
    zipped = path.suffix.lower() == ".gz"
    encoding = encoding or _encoding_of(path, zipped)
    text = _head(path, zipped, encoding)
    delimiter = delimiter or _delimiter_of(text)
    rows = _rows(text, delimiter)
    if header is None:
        header = has_header(rows, na_values)
    decimal = _decimal_of([_bare(cell) for row in rows[1:] for cell in row], delimiter)
    return Dialect(encoding, delimiter, decimal, header, rows[0] if rows else [], zipped)


def _bare(cell: str) -> str:
    """Without a unit."""
    return UNIT.sub(r"\1", cell.strip())


def _decimal_of(cells: list[str], delimiter: str) -> str:
    """What comes before decimals; "" where no cell tells.

    "2,5" has a decimal comma, "1,234,567" and "2.5" have none. "1,234" tells only between
    semicolons: who writes them leaves the comma to decimals.
    """
    in_groups = [cell for cell in cells if GROUPS.match(cell)]
    commas = sum(bool(COMMA.match(cell)) for cell in cells if not GROUPS.match(cell))
    others = sum(bool(POINT.match(cell)) for cell in cells)
    others += sum(cell.count(",") > 1 for cell in in_groups)
    if delimiter == "," or others > commas:
        return "."
    return "," if commas or (in_groups and delimiter == ";") else ""


def _open(path: Path, zipped: bool, *args: Any, **kwargs: Any) -> Any:
    return (gzip.open if zipped else open)(path, *args, **kwargs)


def _encoding_of(path: Path, zipped: bool) -> str:
    """By its mark, if it has one; else UTF-8, if all of it is that."""
    with _open(path, zipped, "rb") as file:
        start = file.read(3)
    found = next((name for bom, name in BOMS.items() if start.startswith(bom)), None)
    if found:
        return found
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with _open(path, zipped, "rb") as file:
            decoder.decode(file.read(2**22))  # other text shows itself early
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _head(path: Path, zipped: bool, encoding: str) -> str:
    """Whole lines from the beginning of a file."""
    with _open(path, zipped, "rt", encoding=encoding, newline="") as file:
        text = file.read(HEAD)
        if len(text) == HEAD:
            while not ("\n" in text or "\r" in text) and len(text) < MAX_HEADER:
                more = file.read(HEAD)
                text += more
                if not more:
                    return text
            if not ("\n" in text or "\r" in text):
                raise ValueError(
                    f"{path} begins with a line of more than {MAX_HEADER:,} characters"
                )
            text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    return text


def _rows(text: str, delimiter: str, most: int = LOOKED_AT) -> list[list[str]]:
    """The first rows that hold anything."""
    found = []
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        if len(row) > 1 or "".join(row).strip():
            found.append(row)
        if len(found) == most:
            break
    return found


def _delimiter_of(text: str) -> str:
    """What cuts most rows into the same number of fields, more than one."""

    def agreement(delimiter: str) -> tuple[float, int]:
        try:
            widths = [len(row) for row in _rows(text, delimiter, 100)]
        except csv.Error:  # a field without end
            return 0.0, 1
        common = max(set(widths), key=widths.count, default=1)
        return (widths.count(common) / len(widths) if common > 1 else 0.0), common

    return max(DELIMITERS, key=agreement)


def has_header(rows: list[list[str]], na_values: Sequence[str]) -> bool:
    """Say whether the first row names columns: not if, like those below, it has numbers or gaps."""
    if len(rows) < 2:
        return True
    first, gaps = rows[0], {*MISSING, *na_values}
    if first == ["", *map(str, range(len(first) - 1))]:  # what pandas calls nameless columns
        return True

    def given(cells: list[str]) -> list[str]:
        return [c for c in cells if c.strip() not in gaps and c.strip().lower() not in gaps]

    columns = [given([row[j] for row in rows[1:] if j < len(row)]) for j in range(len(first))]
    numeric = [j for j, c in enumerate(columns) if c and all(map(NUMBER.match, c))]
    if names := given([first[j] for j in numeric]):
        return not all(map(NUMBER.match, names))
    return len(set(first)) == len(first)
