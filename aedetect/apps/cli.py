"""The command line: ``aedetect detect``, ``report``, ``series``, ``fit``, ``score``, ..."""

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import click

from ..tables.text import brief, visible
from .options import (
    LEARNING,
    READING,
    SEED,
    SHOWING,
    learning,
    model_option,
    of_series,
    parts_reading,
    reading,
    reporting,
    showing,
    table_argument,
    truth,
    with_options,
)
from .refusals import check_folder, check_output, refuse_given, refuse_marks

FAILURES = (ValueError, TypeError, OSError, MemoryError, ImportError, RuntimeError)
LONGEST = 500  # characters of a message


class _Refusal(click.ClickException):
    """An input that cannot be worked with: one line, exit code 2."""

    exit_code = 2


class _Commands(click.Group):
    """Commands whose failures are one line on stderr and exit code 2, warnings a line each."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise _Refusal(_in_one_line(error.format_message())) from error

    def invoke(self, ctx: click.Context) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                result = super().invoke(ctx)
            except click.exceptions.Exit:
                _tell(caught)
                raise
            except (click.Abort, BrokenPipeError):
                raise
            except click.UsageError as error:
                raise _Refusal(_in_one_line(error.format_message())) from error
            except FAILURES as error:
                raise _Refusal(_in_one_line(_said_by(error))) from error
        _tell(caught)
        return result


def _tell(caught: list[warnings.WarningMessage]) -> None:
    """Write each warning once."""
    for text in dict.fromkeys(_in_one_line(str(warning.message)) for warning in caught):
        text = re.sub(r"keep=\(('.*?'),\) would", r"--keep \1 would", text)
        click.echo(f"Warning: {text}", err=True)


def _said_by(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _in_one_line(text: str) -> str:
    return brief(visible(" ".join(text.split())), LONGEST)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aedetect")
def main() -> None:
    """Find the strange rows of a table."""


@main.command()
@table_argument
@with_options(showing, learning, truth, reading)
def detect(table: Path, output: Path | None, **options: Any) -> None:
    """Learn from the rows of TABLE, and score them.

    TABLE is a file of delimited text, also gzipped, or of Parquet, Feather or Excel; - is standard
    input. The strangest rows go to standard output, with the three columns that contribute most,
    and a summary goes to standard error. Rows are counted from 1, the row below the header. In the
    CSV, text that a spreadsheet would take for a formula has an apostrophe in front.
    """
    check_output(output, table)
    refuse_marks(**options)
    showing, frame = _taken(SHOWING, options), _read(table, options)

    from .work import detected

    _finish(detected(table, frame, _bar, **options), output, **showing)


@main.command()
@table_argument
@with_options(reporting, learning, truth, reading)
@click.pass_context
def report(
    ctx: click.Context, table: Path, output: Path, json_path: Path | None, **options: Any
) -> None:
    """Write a page of HTML about TABLE and a detector, to be opened in a browser from disk.

    The detector learns from TABLE, unless --model names one; it flags about 3 % of normal rows,
    and the page has a threshold to be moved.
    """
    read = [table, *([options["model"]] if options["model"] else [])]
    check_output(output, *read, csv=False)
    check_output(json_path, *read, option="--json", csv=False)
    refuse_marks(**options)
    if options["model"] is not None:
        refuse_given(ctx, LEARNING, "--model learns nothing")
    frame = _read(table, options)

    from .report.command import reported

    for line in reported(table, frame, output, json_path, _bar, **options):
        click.echo(visible(line), err=True)


@main.command()
@table_argument
@model_option
@with_options(learning, reading)
def fit(table: Path, model: Path, **options: Any) -> None:
    """Learn from the rows of TABLE, which should be normal, and write the model to a file."""
    check_output(model, table, option="--model", csv=False)
    frame = _read(table, options)

    from .work import fitted

    for line in fitted(table, frame, model, _bar, **options):
        click.echo(visible(line), err=True)


@main.command()
@table_argument
@model_option
@with_options(showing, truth, parts_reading)
def score(table: Path, model: Path, output: Path | None, **options: Any) -> None:
    """Score the rows of TABLE with a fitted model, reading a part of the table at a time."""
    check_output(output, table, model)
    refuse_marks(**options)
    showing, frames = _taken(SHOWING, options), _read_parts(table, options)

    from .work import scored

    _finish(scored(table, frames, model, **options), output, **showing)


@main.command()
@table_argument
@with_options(of_series, showing, reading)
def series(
    table: Path, train: Path | None, output: Path | None, fail_on_anomaly: bool, **options: Any
) -> None:
    """Find the intervals of TABLE, rows in the order of time, that are unlike the others.

    It learns from TABLE, or from the table that --train names, and flags about 3 % of normal
    points; flagged points that are close to each other make an interval. Of more than --top
    intervals, the strongest are shown, in the order of time.
    """
    check_output(output, table)
    how = {name: options[name] for name in READING}
    frame = _read(table, options)
    learned = None if train is None else _read(train, how)
    top, form = options.pop("top"), options.pop("form")

    from .series import alarms_in, strongest
    from .show import show_plainly

    alarms, told = alarms_in(table, frame, learned, output, **options)
    if top and (form == "csv" or len(alarms)):
        show_plainly(strongest(alarms, top), form)
    for line in told:
        click.echo(visible(line), err=True)
    if fail_on_anomaly and len(alarms):
        raise click.exceptions.Exit(1)


@main.command()
@table_argument
@model_option
@click.option("--row", type=click.IntRange(1), required=True, help="Its number, from 1.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Columns shown.")
@parts_reading
def explain(table: Path, model: Path, row: int, top: int, **options: Any) -> None:
    """Say what is strange in a row of TABLE."""
    frames = _read_parts(table, options)

    from .show import visible_table
    from .work import explained

    told, verdict = explained(table, frames, model, row, top)
    click.echo(visible_table(told))
    click.echo(visible(verdict), err=True)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
def info(model: Path) -> None:
    """Describe the model in a file."""
    from .work import described

    for line in described(model):
        click.echo(visible(line))


@main.command()
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    default="demo",
    show_default=True,
    help="Folder for the CSV and PNG files; created if missing.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
def demo(output_dir: Path, seed: int) -> None:
    """Run on two tables that come with scikit-learn: breast cancer and digits."""
    from .demo import run_demo

    for line in run_demo(output_dir, seed):
        click.echo(visible(line))


@main.command()
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("test", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for index.html, scores.csv and overlays; new or empty.",
)
@click.option(
    "--shape",
    nargs=2,
    type=click.IntRange(1),
    metavar="HEIGHT WIDTH",
    help="Resize images to so many pixels; without it they must be of one size.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
def images(train: Path, test: Path, output: Path, shape: tuple[int, int] | None, seed: int) -> None:
    """Learn from the images in folder TRAIN, which should be normal ones, and score those in TEST.

    Folders below are read, too. Files that are no images, or broken, are named and skipped; images
    of several sizes are refused without --shape. Images are read in colour if one of TRAIN has it.
    """
    check_folder(output, train, test)

    from .images import compared

    for line in compared(train, test, output, shape, seed):
        click.echo(visible(line), err=True)


def _read(table: Path, options: dict[str, Any]) -> Any:
    """Read a table before anything heavy is loaded; what says how is taken out of the options."""
    from ..tables.reading import read_table

    with _file(table) as path:
        return read_table(path, **_taken(READING, options))


def _read_parts(table: Path, options: dict[str, Any]) -> Iterator[Any]:
    """The same some rows at a time; the first ones before anything heavy is loaded."""
    from ..tables import reading

    how = reading.Reading(**_taken(READING, options))
    with _file(table) as path:
        parts = reading.read_parts(path, how, reading.PART)
        return chain([next(parts)], parts)


@contextmanager
def _file(table: Path) -> Iterator[Path]:
    """Where a table is read from: "-" is standard input, kept until the command ends."""
    from ..tables.reading import standard_input

    if str(table) != "-":
        yield table
        return
    copy = click.get_current_context().with_resource(standard_input())
    try:
        yield copy
    except ValueError as error:  # nobody knows of the copy
        raise ValueError(str(error).replace(str(copy), "standard input")) from error


def _taken(names: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    return {name: options.pop(name) for name in names if name in options}


def _finish(found: Any, output: Path | None, top: int, form: str, fail_on_anomaly: bool) -> None:
    """Write and show scored rows."""
    from .show import show

    strangest, n_flagged, summary = found.told(output, top)
    if top:
        show(strangest, form)
    for line in (*found.notes, summary):
        click.echo(visible(line), err=True)
    if fail_on_anomaly and n_flagged:
        raise click.exceptions.Exit(1)


def _bar(pipeline: Any) -> Any:
    """Show progress where somebody is looking."""
    if sys.stderr.isatty():
        import rich
        from sklearn.callback import ProgressBar

        rich.reconfigure(stderr=True)
        warnings.filterwarnings("ignore", "The estimator .* does not support callbacks")
        pipeline.set_callbacks(ProgressBar())
    return pipeline
