"""Tables written in a single step, so that a spreadsheet only shows them."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from ..files import whole_file

# How formulas of spreadsheets begin: also after white space, and in full-width characters.
FORMULAS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


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
    with csv_file(path) as write:
        write(frame)


@contextmanager
def csv_file(
    path: str | os.PathLike[str] | None,
) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Give a function that appends rows to a CSV, which is there once all are written.

    Parameters
    ----------
    path : path or None
        As in `write_csv`; None writes nothing.

    Yields
    ------
    callable
        Takes a DataFrame; all of them have the same columns.
    """
    if path is None:
        yield lambda _: None
        return
    with whole_file(path) as temporary, temporary.open("a", encoding="utf-8", newline="") as file:
        yield lambda frame: inert_table(frame).to_csv(file, index=False, header=not file.tell())


def inert_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Put an apostrophe in front of text that begins as a formula does.

    Parameters
    ----------
    frame : DataFrame
        Columns and cells of any kind.

    Returns
    -------
    DataFrame
        Numbers are as they were.
    """
    cells = frame.apply(lambda c: c if is_numeric_dtype(c.dtype) else c.map(_inert))
    return cells.rename(columns=_inert)


def _inert(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    cell = re.sub("\r\n?", "\n", cell)  # pandas leaves a lone \r unquoted
    return f"'{cell}" if cell.startswith(FORMULAS) else cell
