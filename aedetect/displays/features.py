"""Which columns the errors lie in: for all rows as a map, for one row with its values."""

from typing import Any, Self

import numpy as np
import pandas as pd

from ..detectors.explain import told
from ..detectors.inside import last, unwrapped
from ..tables.text import brief, visible
from .canvas import BLUE, MAP, SMALL, Display, require

NAMED = 40  # columns whose names fit
TOP = 8  # columns of one row that are drawn


class FeatureErrorDisplay(Display):
    """Share of each column in the error of each row, and what was observed and expected there.

    As reported by `explain`.

    Parameters
    ----------
    shares : ndarray of shape (n_rows, n_columns)
        Of a row's error; they add up to 1.
    observed, expected : DataFrame of shape (n_rows, n_columns)
        Values, and those expected from the other columns, in the table's units.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    explain : The same as a table.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from aedetect import FeatureErrorDisplay, PCADetector, make_detector
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> detector = make_detector(PCADetector()).fit(X[y == 0])
    >>> display = FeatureErrorDisplay.from_estimator(detector, X[y == 2])
    >>> display.shares.shape
    (48, 13)
    """

    shares: np.ndarray
    observed: pd.DataFrame
    expected: pd.DataFrame

    @classmethod
    def from_estimator(
        cls, detector: Any, X: Any, *, row: int | None = None, ax: Any = None
    ) -> Self:
        """Explain rows and draw the explanation.

        Parameters
        ----------
        detector : detector
            As in `explain`, or a wrapper of one.
        X : DataFrame or array-like of shape (n_rows, n_columns)
            Rows, as given to `detector`.
        row : int, default=None
            The row, from 0, whose columns are drawn; None: all rows.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        FeatureErrorDisplay

        Raises
        ------
        ValueError
            If there is no such row.
        TypeError
            If the detector has no errors of values.
        """
        inner = unwrapped(detector)
        require(last(inner), "score_features", cls, "a detector that has errors of values")
        _, observed, shares, expected = told(inner, X)
        return cls(shares=shares, observed=observed, expected=expected).plot(ax, row=row)

    def plot(self, ax: Any = None, *, row: int | None = None) -> Self:
        """Draw the shares of all rows, or the eight columns with the largest of one row.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.
        row : int, default=None
            The row, from 0, whose columns are drawn; None: all rows.

        Returns
        -------
        FeatureErrorDisplay

        Raises
        ------
        ValueError
            If there is no such row.
        """
        n = len(self.shares)
        if row is None:
            self._draw_all(self._draw_on(ax))
        elif row in range(n):
            self._draw_one(self._draw_on(ax), row)
        else:
            raise ValueError(f"row={row!r}; expected one of the {n} rows, 0 to {n - 1}.")
        return self

    def _draw_all(self, ax: Any) -> None:
        image = ax.imshow(self.shares, cmap=MAP, vmin=0, aspect="auto", interpolation="nearest")
        ax.set(ylabel="row (from 0)")
        names = self.observed.columns
        if len(names) <= NAMED:
            shown = [brief(visible(str(name)), 24) for name in names]
            ax.set_xticks(range(len(names)), shown, rotation=90, fontsize=SMALL, parse_math=False)
        else:
            ax.set_xlabel("column (from 0)")
        self.figure_.colorbar(image, ax=ax, label="share of the row's error")

    def _draw_one(self, ax: Any, row: int) -> None:
        order = np.argsort(-self.shares[row], kind="stable")[:TOP]
        labels = [
            f"{brief(visible(str(self.observed.columns[j])), 24)}\n"
            f"{_shown(self.observed.iat[row, j])}, expected {_shown(self.expected.iat[row, j])}"
            for j in order
        ]
        ax.barh(range(len(order)), self.shares[row, order], color=BLUE)
        ax.set_yticks(range(len(order)), labels, fontsize=SMALL, parse_math=False)
        ax.invert_yaxis()
        ax.set(xlabel=f"share of the error of row {row}")


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | int) else brief(visible(str(value)), 24)
