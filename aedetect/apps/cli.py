"""The command line: ``aedetect detect TABLE.csv`` and ``aedetect demo``."""

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .text import brief, visible

if TYPE_CHECKING:
    import numpy as np

SEED = click.IntRange(0, 2**32 - 1)  # what numpy takes
FAILURES = (ValueError, TypeError, OSError, MemoryError, ImportError, RuntimeError)
LONGEST = 500  # characters of a message
MAX_BYTES = 2**30  # of text, which take about six times as much memory until their rows are scored


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
            except (click.exceptions.Exit, click.Abort, BrokenPipeError):
                raise
            except click.UsageError as error:
                raise _Refusal(_in_one_line(error.format_message())) from error
            except FAILURES as error:
                raise _Refusal(_in_one_line(_said_by(error))) from error
        for text in dict.fromkeys(_in_one_line(str(warning.message)) for warning in caught):
            click.echo(f"Warning: {text}", err=True)
        return result


def _said_by(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _in_one_line(text: str) -> str:
    return brief(visible(" ".join(text.split())), LONGEST)


class _Contamination(click.ParamType):
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aedetect")
def main() -> None:
    """Find the strange rows of a table with an autoencoder."""


@main.command()
@click.argument("table", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write all scored rows to this CSV."
)
@click.option(
    "--top", type=click.IntRange(0), default=10, show_default=True, help="Strangest rows to show."
)
@click.option(
    "--contamination",
    type=_Contamination(),
    default="auto",
    show_default=True,
    help="Share of rows to flag.",
)
@click.option(
    "--exclude", multiple=True, metavar="COLUMN", help="Leave a column out; may be repeated."
)
@click.option(
    "--label",
    metavar="COLUMN",
    help="Column with the truth: +1 inlier, -1 outlier, or see --outlier. Not learned from.",
)
@click.option("--outlier", metavar="VALUE", help="Value of the label column that marks outliers.")
@click.option(
    "--delimiter", default=",", show_default=True, help="Between the fields of a text file."
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, ...")
@click.option(
    "--max-bytes",
    type=click.IntRange(1),
    default=MAX_BYTES,
    show_default=True,
    help="Refuse a table that is larger, once unpacked; it takes six times as much memory or more.",
)
def detect(
    table: Path,
    output: Path | None,
    top: int,
    contamination: Any,
    exclude: tuple[str, ...],
    label: str | None,
    outlier: str | None,
    delimiter: str,
    seed: int,
    device: str,
    max_bytes: int,
) -> None:
    """Score the rows of TABLE, a CSV or Parquet file of numbers.

    The strangest rows go to standard output with the three features that contribute most, a
    summary to standard error. Rows are counted from 1, the row below the header. In the CSV, text
    that a spreadsheet would take for a formula has an apostrophe in front.
    """
    _check_output(output, table)
    if outlier is not None and label is None:
        raise ValueError(f"--outlier {brief(outlier)}: name the column it stands in with --label")
    from .tables import numeric_columns, read_table, write_csv

    frame = read_table(table, delimiter, max_bytes)
    truth = None if label is None else _is_outlier(frame, label, outlier)
    numbers = numeric_columns(frame, [*exclude, *([] if label is None else [label])])

    from .explain import explain_rows

    _check_device(device)
    detector = _detector(contamination=contamination, random_state=seed, device=device)
    rows = explain_rows(detector.fit(numbers), numbers)
    summary = _summary(table, detector, rows, output, truth)
    if output is not None:
        write_csv(rows, output)
    if top:
        _show(rows.sort_values("score", kind="stable").head(top))
    click.echo(visible(summary), err=True)


def _show(rows: Any) -> None:
    """Print rows; names of columns come from the table, and may hold anything."""
    names = rows.select_dtypes(exclude="number").columns
    shown = rows.assign(**{name: rows[name].map(lambda x: brief(visible(x))) for name in names})
    click.echo(shown.to_string(index=False, float_format="{:.4g}".format))


@main.command()
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    default="demo",
    show_default=True,
    help="Folder for the CSV and PNG files; made if missing.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
def demo(output_dir: Path, seed: int) -> None:
    """Run on two tables that come with scikit-learn: breast cancer and digits."""
    from .demo import run_demo

    for line in run_demo(output_dir, seed, lambda **kwargs: _detector(device="cpu", **kwargs)):
        click.echo(visible(line))


def _detector(**params: Any) -> Any:
    """Standardised columns, then an autoencoder that strange training rows mislead little.

    They pull less on an absolute error than on a squared one; weight decay keeps the network from
    learning them by heart; and a code that cannot grow without limit cannot follow a row that is
    far from all others.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from .. import Autoencoder, Dense

    autoencoder = Autoencoder(
        network=Dense(hidden=(64, 32), code_activation="tanh"),
        loss="absolute_error",
        optimizer="adamw",
        weight_decay=1.0,
        epochs=50,
        **params,
    )
    pipeline = make_pipeline(StandardScaler(), autoencoder)
    if sys.stderr.isatty():
        import rich
        from sklearn.callback import ProgressBar

        rich.reconfigure(stderr=True)
        pipeline.set_callbacks(ProgressBar())
    return pipeline


def _check_output(output: Path | None, table: Path) -> None:
    """Refuse an output that cannot be written, before anything is computed."""
    if output is None:
        return
    if not output.resolve().parent.is_dir():
        raise FileNotFoundError(f"--output {output}: its folder does not exist")
    if output.exists() and not output.is_file():
        raise OSError(f"--output {output}: there is something that is not a file")
    if output.suffix.lower() in (".parquet", ".pq", ".gz", ".xlsx"):
        raise ValueError(f"--output {output}: CSV is what is written; name it so")
    if output.resolve() == table.resolve():
        raise ValueError(f"--output {output}: would replace the table itself")


def _check_device(device: str) -> None:
    """Refuse a device by a computation: torch has names of many that cannot compute here."""
    import torch

    try:
        torch.ones(1, device=None if device == "auto" else device).sum().item()
    except Exception as error:
        raise ValueError(
            f"--device {brief(device)}: torch cannot compute there; expected auto, cpu or an "
            "accelerator of this machine, such as cuda"
        ) from error


def _is_outlier(frame: Any, label: str, outlier: str | None) -> "np.ndarray":
    """Which rows the label column calls outliers."""
    if label not in frame.columns:
        raise ValueError(f"--label {brief(label)}: no such column")
    missing = frame[label].isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"column {brief(label)!r}, row {missing.argmax() + 1} is missing; every row needs a "
            "label"
        )
    values = frame[label].astype(object).map(str)
    found = sorted(values.unique())
    if outlier is None and set(found) <= {"1", "-1", "1.0", "-1.0", "+1"}:
        return values.str.startswith("-").to_numpy()
    if outlier is None or outlier not in found:
        shown = ", ".join(map(brief, found[:8])) + (", ..." if len(found) > 8 else "")
        given = "" if outlier is None else f" and not {brief(outlier)}"
        raise ValueError(
            f"column {brief(label)!r} holds {shown}{given}; say which value marks outliers with "
            "--outlier VALUE"
        )
    return (values == outlier).to_numpy()


def _summary(table: Path, detector: Any, rows: Any, output: Path | None, truth: Any) -> str:
    flagged = int((rows["label"] == -1).sum())
    report = detector[-1].fit_report_
    text = (
        f"{table}: {len(rows)} rows scored, {flagged} flagged ({flagged / len(rows):.1%}) below "
        f"the score {detector[-1].offset_:.4g}. Values are rebuilt to within {report['error']:.2g} "
        f"standard deviations on average; the column means alone miss by "
        f"{report['mean_row_error']:.2g}, principal components of equal width by "
        f"{report['pca_error']:.2g}."
    )
    if truth is not None and not 0 < truth.sum() < len(truth):
        text += f" The label calls {truth.sum()} rows outliers; AUROC needs rows of both kinds."
    elif truth is not None:
        from sklearn.metrics import average_precision_score, roc_auc_score

        auroc, precision = (
            f(truth, -rows["score"]) for f in (roc_auc_score, average_precision_score)
        )
        text += f" Against the label: AUROC {auroc:.3f}, average precision {precision:.3f}."
    if output is not None:
        text += f" All rows are in {output}."
    return text
