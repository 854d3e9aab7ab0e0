"""The report as a page: one file of HTML with its style, its script and its data in it."""

import json
import os
from base64 import b64encode
from contextlib import nullcontext
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from ...files import whole_file
from ...params import Range, refuse_unless
from ...tables.text import escaped
from .content import REASONS, contents

ALWAYS = 10  # rows that the page shows even where none is flagged
TICKS = 4  # axis intervals that fit on a phone
IN_SCRIPT = str.maketrans({mark: f"\\u{ord(mark):04x}" for mark in "<>&"})


def write_html(
    detector: Any,
    X: Any,
    path: str | os.PathLike[str],
    *,
    y: Any = None,
    top: int = 50,
    json_path: str | os.PathLike[str] | None = None,
) -> None:
    """Write a report of a detector and a table as one page of HTML, to be opened from disk.

    The page makes no requests, and shows names and cells as text. It says what was learned, and
    from what; how errors are distributed, with a threshold that the reader can move; which rows are
    strangest, and why; and whether p-values can be trusted. Its histogram and its counts cover all
    rows.

    Parameters
    ----------
    detector : detector or Pipeline
        As in `explain`, or a `Threshold` or `ConformalDetector` around such a detector.
    X : DataFrame or array-like of shape (n_rows, n_columns)
        Rows, as given to `detector`, such as those it learned from. ``X.attrs["name"]`` is shown as
        the table's name.
    path : path
        Where to write the page, in an existing folder; a file of that name is replaced once the
        page is complete.
    y : array-like of shape (n_rows,), optional
        True labels to compare with: +1 for inliers, -1 for outliers.
    top : int, default=50
        Number of rows to list and explain, the strangest first, at most 1,000.
    json_path : path, optional
        Where to write the content of the page for programs, as JSON; docs/REPORT.md says what it
        holds. The page itself contains it, too.

    Raises
    ------
    ValueError, TypeError
        If the detector is not fitted or cannot explain rows, or if rows or labels cannot be used.
    OSError
        If a file cannot be written.
    ImportError
        If jinja2 is missing.

    See Also
    --------
    aedetect.explain : The reasons as a table.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from aedetect import PCADetector
    >>> from aedetect.report import write_html
    >>> X = np.random.default_rng(0).normal(size=(200, 4))
    >>> with TemporaryDirectory() as folder:
    ...     write_html(PCADetector().fit(X), X, Path(folder, "report.html"))
    ...     Path(folder, "report.html").read_text()[:15]
    '<!doctype html>'
    """
    refuse_unless(Annotated[int, Range(1, 1000)], "top", top)
    if json_path is not None and Path(json_path).resolve() == Path(path).resolve():
        raise ValueError(f"json_path={str(json_path)!r} is where the page goes; name another file.")
    page_of = template("report.html.jinja")
    beside = nullcontext() if json_path is None else whole_file(json_path)
    with whole_file(path) as page, beside as twin:
        content = contents(detector, X, y, top)
        page.write_text(_rendered(page_of, content), encoding="utf-8")
        if twin is not None:
            twin.write_text(_as_json(content), encoding="utf-8")


def template(name: str) -> Any:
    """What makes pages: values are escaped, and none may be missing.

    Parameters
    ----------
    name : str
        Of a file in this folder.

    Returns
    -------
    jinja2.Template
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ModuleNotFoundError as error:
        raise ImportError("a report needs pip install 'aedetect[report]'") from error

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"shown": _shown, "count": "{:,}".format, "percent": "{:.1%}".format}
    return environment.from_string(_file(name))


def style_and_hash() -> tuple[str, str]:
    """The style of pages, and its hash for their security policy.

    Returns
    -------
    tuple of str
    """
    style = _file("report.css")
    return style, _hash(style)


def _rendered(page_of: Any, content: dict[str, Any]) -> str:
    (style, style_hash), script = style_and_hash(), _file("report.js")
    page = page_of.render(
        content,
        always=ALWAYS,
        bars=_bars(content["scores"]),
        data=_as_json(content),
        reasons=REASONS,
        script=script,
        script_hash=_hash(script),
        style=style,
        style_hash=style_hash,
        ticks=_ticks(content["scores"]["edges"]),
    )
    return str(page)


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Hash by which the security policy names what a page may run."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _as_json(content: dict[str, Any]) -> str:
    """In ASCII, and without what would end a script in HTML."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).translate(IN_SCRIPT)


def _shown(value: Any) -> str:
    """A cell or a name as people read it."""
    if value is None:
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else escaped(str(value))


def _bars(scores: dict[str, Any]) -> list[tuple[float, float]]:
    """Where each bar begins and how high it is, in per cent; heights are logarithms of counts."""
    heights = np.log1p(scores["counts"]) / np.log1p(max(scores["counts"]))
    at = np.arange(len(heights)) / len(heights)
    return [(round(100 * x, 2), round(100 * h, 2)) for x, h in zip(at, heights, strict=True)]


def _ticks(edges: list[float]) -> list[tuple[float, str]]:
    """Where the horizontal axis has numbers, in per cent, and which."""
    n = len(edges) - 1
    return [(100 * i / TICKS, f"{edges[round(i * n / TICKS)]:.3g}") for i in range(TICKS + 1)]
