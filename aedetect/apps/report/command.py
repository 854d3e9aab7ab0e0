"""The ``aedetect report`` command: learn from a table, or load a fitted detector; write a page."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from ..saved import load
from ..truth import Truth
from ..work import check_device, learned, new_pipeline, without
from .page import write_html


def reported(
    table: Path,
    frame: pd.DataFrame,
    output: Path,
    json_path: Path | None,
    prepare: Callable[[Pipeline], Pipeline],
    *,
    model: Path | None,
    top: int,
    label: str | None,
    outlier: Sequence[str],
    normal: str | None,
    detector: str,
    contamination: Any,
    seed: int,
    device: str,
    exclude: Sequence[str],
    keep: Sequence[str],
) -> Iterator[str]:
    """Write a page about a table, and say where it is."""
    y = None
    if label is not None:
        y = np.where(Truth(label, outlier, normal).of_whole(frame), -1, 1)
    rows = without(frame, [*exclude, *([] if label is None else [label])])
    notes = [*frame.attrs.get("notes", [])]
    if model is None:
        check_device(device)
        new = new_pipeline(detector, rows, contamination, seed, device, keep, notes)
        fitted = learned(prepare(new), rows)
    else:
        fitted = load(model)
    rows.attrs |= {"name": table.name, "notes": notes}
    write_html(fitted, rows, output, y=y, top=top, json_path=json_path)
    yield from notes
    yield f"{output}: a report of {len(rows)} rows of {table}."
