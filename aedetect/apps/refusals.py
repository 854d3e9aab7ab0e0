"""What commands refuse before anything is read or computed."""

import os
from pathlib import Path
from typing import Any

import click

from ..tables.text import brief


def check_folder(output: Path, *read: Path) -> None:
    """Refuse a folder that has something in it, lies in one that is read, or cannot be made."""
    if os.path.lexists(output) and (not output.is_dir() or next(output.iterdir(), None)):
        raise OSError(f"--output {output}: exists, and is no empty folder")
    for folder in read:
        if output.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"--output {output}: would be read as part of {folder}")
    nearest = next(path for path in (output, *output.resolve().parents) if path.exists())
    if not nearest.is_dir():
        raise OSError(f"--output {output}: {nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OSError(f"--output {output}: {nearest} may not be written to")


def check_output(
    output: Path | None, *read: Path, option: str = "--output", csv: bool = True
) -> None:
    """Refuse an output that cannot be written, before anything is computed."""
    if output is None:
        return
    option = f"{option} {output}"
    if not output.resolve().parent.is_dir():
        raise FileNotFoundError(f"{option}: its folder does not exist")
    if output.exists() and not output.is_file():
        raise OSError(f"{option}: there is something that is not a file")
    if csv and output.suffix.lower() in (".parquet", ".pq", ".gz", ".xlsx"):
        raise ValueError(f"{option}: CSV is what is written; name it so")
    for name, path in zip(("table", "model"), read, strict=False):
        if output.resolve() == path.resolve():
            raise ValueError(f"{option}: would replace the {name} itself")


def refuse_given(ctx: click.Context, names: tuple[str, ...], reason: str) -> None:
    """Refuse options that were given where they have no effect."""
    default = click.core.ParameterSource.DEFAULT
    given = [name for name in names if ctx.get_parameter_source(name) != default]
    if given:
        raise ValueError(f"{reason}; leave out --{given[0]}")


def refuse_marks(label: str | None, outlier: tuple[str, ...], normal: str | None, **_: Any) -> None:
    """Refuse marks of outliers without a label, or of two kinds."""
    if label is None and (outlier or normal is not None):
        given = f"--outlier {brief(outlier[0])}" if outlier else f"--normal {brief(str(normal))}"
        raise ValueError(f"{given}: name the column it stands in with --label")
    if outlier and normal is not None:
        raise ValueError("--outlier and --normal: give one of them")
