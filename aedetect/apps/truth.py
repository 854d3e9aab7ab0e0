"""The truth in a column of labels, and how scores agree with it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from ..tables.text import brief

SIGNS = {"1", "-1", "1.0", "-1.0", "+1"}


@dataclass
class Truth:
    """Which rows the label column calls outliers, asked of some rows at a time.

    Attributes
    ----------
    label : str
        Name of the column.
    outlier : sequence of str
        Values that mark outliers.
    normal : str or None
        Value that marks all other rows. Without marks, labels are +1 and -1.
    found : set of str
        Values that were there so far.
    """

    label: str
    outlier: Sequence[str]
    normal: str | None
    found: set[str] = field(default_factory=set)

    def __call__(self, frame: pd.DataFrame) -> np.ndarray:
        """True (n,) where a row is an outlier."""
        if self.label not in frame.columns:
            raise ValueError(f"--label {brief(self.label)}: no such column")
        missing = frame[self.label].isna().to_numpy()
        if missing.any():
            row = missing.argmax() + 1 + frame.attrs.get("first_row", 0)
            raise ValueError(
                f"column {brief(self.label)!r}, row {row} is missing; every row needs a label"
            )
        values = frame[self.label].astype(object).map(lambda x: str(x).strip())
        self.found |= set(values)
        if self._marks:
            return (values.isin(self._marks) == (self.normal is None)).to_numpy()
        if not self.found <= SIGNS:
            self._refuse()
        return values.str.startswith("-").to_numpy()

    def of_whole(self, frame: pd.DataFrame) -> np.ndarray:
        """The same of a table that is there at once."""
        truth = self(frame)
        self.check()
        return truth

    def check(self) -> None:
        """Raise ValueError where a value that was named is in none of the rows."""
        for mark in self._marks:
            if mark not in self.found:
                self._refuse(f" and not {brief(mark)}")

    @property
    def _marks(self) -> list[str]:
        return [*self.outlier] if self.normal is None else [self.normal]

    def _refuse(self, wanting: str = "") -> None:
        found = sorted(self.found)
        shown = ", ".join(map(brief, found[:8])) + (", ..." if len(found) > 8 else "")
        raise ValueError(
            f"column {brief(self.label)!r} holds {shown}{wanting}; say which value marks outliers "
            "with --outlier VALUE, or all others with --normal VALUE"
        )


def agreement(scores: np.ndarray, truth: np.ndarray) -> str:
    """How scores agree with a label, in a sentence."""
    if not 0 < truth.sum() < len(truth):
        return f" The label calls {truth.sum()} rows outliers; AUROC needs rows of both kinds."
    auroc, precision = (f(truth, -scores) for f in (roc_auc_score, average_precision_score))
    return f" Against the label: AUROC {auroc:.3f}, average precision {precision:.3f}."
