"""Scored rows on standard output: for a person, a program, or another table."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
import pandas as pd

from ..tables.text import brief, visible
from ..tables.writing import inert_table


def show(rows: pd.DataFrame, form: str) -> None:
    """Write rows as from `explain_rows`; for a person with reasons in words."""
    if form == "table" and sys.stdout.isatty():
        _show_reasons(rows)
    else:
        show_plainly(rows, form)


def show_plainly(rows: pd.DataFrame, form: str) -> None:
    """Write any rows: as a "table", "csv", or "json", one object a line."""
    if form == "csv":
        click.echo(inert_table(rows).to_csv(index=False), nl=False)
    elif form == "json":
        for row in rows.to_dict(orient="records"):
            plain = {name: _of_json(value) for name, value in row.items()}
            click.echo(json.dumps(plain, separators=(",", ":")))
    else:
        click.echo(visible_table(rows))


def _of_json(value: Any) -> Any:
    """The same to the last digit, or as JSON has it: null for what is missing or infinite."""
    if pd.isna(value) or value in (np.inf, -np.inf):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def visible_table(rows: pd.DataFrame) -> str:
    """A table as lines; names of columns come from elsewhere, and may hold anything."""
    names = rows.select_dtypes(exclude="number").columns
    shown = rows.assign(**{name: rows[name].map(_cell) for name in names})
    return str(shown.to_string(index=False, float_format="{:.4g}".format))


def _show_reasons(rows: pd.DataFrame) -> None:
    """Write a table that fits the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    numbers = [name for name in ("row", "score", "p_value") if name in rows]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in numbers:
        table.add_column(name.replace("_", "-"), justify="right", no_wrap=True)
    table.add_column("flagged")
    table.add_column("what is strange in it")
    for _, row in rows.iterrows():
        flagged = "yes" if row["label"] == -1 else "no"
        cells = (*(_cell(row[name]) for name in numbers), flagged, ", ".join(_reasons(row)))
        table.add_row(*map(Text, cells))
    Console().print(table)


def _reasons(row: pd.Series) -> Iterator[str]:
    i = 1
    while f"feature_{i}" in row:
        observed, expected = _cell(row[f"observed_{i}"]), _cell(row[f"expected_{i}"])
        name, share = brief(visible(str(row[f"feature_{i}"]))), row[f"share_{i}"]
        yield f"{name} {observed}, not {expected} ({share:.0%})"
        i += 1


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else brief(visible(str(value)))
