"""What can be said to the commands: options, and groups of options that several share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

SEED = click.IntRange(0, 2**32 - 1)  # what numpy takes
MAX_BYTES = 2**30  # of text, which take about six times as much memory until their rows are scored
FORMS = ("table", "csv", "json")
DETECTORS = ("auto", "default", "autoencoder", "pca", "kernel")
READING = ("delimiter", "header", "encoding", "na_values", "max_bytes")
SHOWING = ("top", "form", "fail_on_anomaly")
LEARNING = ("exclude", "keep", "detector", "contamination", "seed", "device")


class Contamination(click.ParamType):
    """A share of the rows, or "auto"."""

    name = "auto|SHARE"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "auto":
            return value
        try:
            share = float(value)
        except ValueError:
            share = -1
        if not 0 <= share <= 0.5:
            raise click.UsageError(
                f"--contamination {value}: expected auto or a share from 0 to 0.5"
            )
        return share


def with_options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give a command several options, or several groups of them."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


table_argument = click.argument("table", type=click.Path(path_type=Path, readable=False))
model_option = click.option(
    "--model", type=click.Path(path_type=Path), required=True, help="File of a fitted detector."
)
parts_reading = with_options(
    click.option("--delimiter", help="Separates the fields of a text file; detected by default."),
    click.option(
        "--header/--no-header", default=None, help="Whether the first line names the columns."
    ),
    click.option("--encoding", help="Of a text file, such as latin-1; detected by default."),
    click.option(
        "--na-values", multiple=True, metavar="TEXT", help="Marks a missing cell; may be repeated."
    ),
)
reading = with_options(
    parts_reading,
    click.option(
        "--max-bytes",
        type=click.IntRange(1),
        default=MAX_BYTES,
        show_default=True,
        help="Refuse tables that are larger once unpacked; they take six times as much memory.",
    ),
)
columns = with_options(
    click.option(
        "--exclude", multiple=True, metavar="COLUMN", help="Leave a column out; may be repeated."
    ),
    click.option(
        "--keep", multiple=True, metavar="COLUMN", help="Use a column in any case; may be repeated."
    ),
)
seed = click.option("--seed", type=SEED, default=0, show_default=True)
learning = with_options(
    columns,
    click.option(
        "--detector",
        type=click.Choice(DETECTORS),
        default="auto",
        show_default=True,
        help="auto: the default detector if that takes about a minute, else an autoencoder.",
    ),
    click.option(
        "--contamination",
        type=Contamination(),
        default="auto",
        show_default=True,
        help="Share of rows to flag.",
    ),
    seed,
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, ..."),
)
truth = with_options(
    click.option(
        "--label",
        metavar="COLUMN",
        help="Column with the truth, not learned from: +1 for inliers and -1 for outliers, unless "
        "--outlier or --normal is given.",
    ),
    click.option(
        "--outlier",
        multiple=True,
        metavar="VALUE",
        help="Value of the label column that marks outliers; may be repeated.",
    ),
    click.option("--normal", metavar="VALUE", help="Value of all rows but the outliers."),
)
showing = with_options(
    click.option(
        "--output", type=click.Path(path_type=Path), help="Write all scored rows to this CSV."
    ),
    click.option(
        "--top", type=click.IntRange(0), default=10, show_default=True, help="Rows shown at most."
    ),
    click.option(
        "--format",
        "form",
        type=click.Choice(FORMS),
        default="table",
        show_default=True,
        help="Of the rows shown; json is one object per line.",
    ),
    click.option("--fail-on-anomaly", is_flag=True, help="Exit with code 1 if a row is flagged."),
)
of_series = with_options(
    click.option("--time", metavar="COLUMN", required=True, help="Times, or seconds."),
    click.option("--key", metavar="COLUMN", help="Which series a row is of, if there are several."),
    click.option(
        "--train", type=click.Path(path_type=Path), help="Table of normal rows to learn from."
    ),
    click.option(
        "--length", type=click.IntRange(2), help="Points of a window; by default, what repeats."
    ),
    columns,
    seed,
)
reporting = with_options(
    click.option(
        "--output",
        type=click.Path(path_type=Path),
        required=True,
        help="Page of HTML to write, which needs no other file.",
    ),
    click.option(
        "--json",
        "json_path",
        type=click.Path(path_type=Path),
        help="Write what the page says to this file, too, for programs.",
    ),
    click.option(
        "--model",
        type=click.Path(path_type=Path),
        help="File of a fitted detector; without it, one learns from TABLE.",
    ),
    click.option(
        "--top",
        type=click.IntRange(1, 1000),
        default=50,
        show_default=True,
        help="Rows to list and explain.",
    ),
)
