"""Tables written in a single step, so that a spreadsheet only shows them."""

import os
import re
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
    with whole_file(path) as temporary:
        _inert_table(frame).to_csv(temporary, index=False, encoding="utf-8")


def _inert_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table with an apostrophe in front of text that begins as a formula does."""
    cells = frame.apply(lambda c: c if is_numeric_dtype(c.dtype) else c.map(_inert))
    return cells.rename(columns=_inert)


def _inert(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    cell = re.sub("\r\n?", "\n", cell)  # pandas leaves a lone \r unquoted
    return f"'{cell}" if cell.startswith(FORMULAS) else cell
