"""Rows beside what was rebuilt of them, and where the error lies."""

import math
from typing import Any, Self

import numpy as np

from ..detectors.inside import last, rebuilt, scored, unwrapped
from .canvas import (
    BLACK,
    MAP,
    SMALL,
    VERMILLION,
    Display,
    cells_of,
    draw_values,
    finite,
    require,
)

MOST = 16  # rows that fit
TINY = np.finfo(np.float32).tiny
NORMAL = (0.5, 0.99)  # quantiles of normal errors: the ends of the error map's colours


class ReconstructionDisplay(Display):
    """Images or series, what was rebuilt of them, and a map of the errors.

    All maps share one scale, from the median to the 99 % quantile of the errors of normal values:
    anything above the darkest colour exceeds that median, and only one normal value in a hundred
    reaches the brightest. The number above a row is its mean error.

    Parameters
    ----------
    rows, rebuilt, errors : ndarray of shape (n, height, width) or (n, length)
        Up to 16 images or series, what was rebuilt, and the error of each value.
    limits : tuple of two float
        Ends of the scale of errors.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        (3, n) for images: input, rebuilt, errors; (2, n) for series: both lines, errors.
    ax_ : matplotlib Axes
        Axes around the grid.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import PCADetector, ReconstructionDisplay
    >>> X, digit = load_digits(return_X_y=True)
    >>> threes = X[digit == 3]
    >>> detector = PCADetector().fit(threes)
    >>> display = ReconstructionDisplay.from_estimator(
    ...     detector, X[:6], shape=(8, 8), X_train=threes
    ... )
    >>> display.axes_.shape
    (3, 6)
    """

    rows: np.ndarray
    rebuilt: np.ndarray
    errors: np.ndarray
    limits: tuple[float, float]

    @classmethod
    def from_estimator(
        cls,
        detector: Any,
        X: Any,
        *,
        shape: tuple[int, ...] | None = None,
        X_train: Any = None,
        ax: Any = None,
    ) -> Self:
        """Rebuild rows and draw them.

        Parameters
        ----------
        detector : detector
            A fitted detector with `reconstruct` and `score_features`, or a wrapper of one, or a
            Pipeline whose other steps can be inverted.
        X : array-like of shape (n, n_features), or n images or windows
            Up to 16 rows.
        shape : tuple of int, default=None
            (height, width) of an image; None: the shape of `X`, with rows as series.
        X_train : array-like like `X`, default=None
            Normal rows whose errors set the scale; None: those of `X`.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        ReconstructionDisplay

        Raises
        ------
        ValueError
            If there are more rows, or `shape` does not hold a row's values.
        TypeError
            If the detector does not rebuild rows.
        """
        inner, rows = unwrapped(detector), np.asarray(X)
        require(last(inner), "score_features", cls, "a detector that rebuilds rows")
        if len(rows) > MOST:
            raise ValueError(f"X has {len(rows)} rows; expected at most {MOST}, which fit.")
        sides = _sides(rows.shape[1:], shape)
        _, errors = scored(inner, X)
        known = X if X_train is None else X_train
        _, usual = (None, errors) if X_train is None else scored(inner, X_train)
        observed = ~np.isnan(np.asarray(known, float)).reshape(usual.shape)
        low, high = np.quantile(usual[observed], NORMAL)
        X_hat = np.asarray(rebuilt(inner, X))
        return cls(
            rows=finite(rows.reshape(-1, *sides), "X", 1 + len(sides)),
            rebuilt=X_hat.reshape(-1, *sides),
            errors=errors.reshape(-1, *sides),
            limits=(float(low), float(high)),
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw rows, what was rebuilt, and errors.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, in a grid of axes; None: a new figure.

        Returns
        -------
        ReconstructionDisplay
        """
        n, *sides = self.rows.shape
        if images := len(sides) == 2:
            height = min(max(1 + 14 * sides[0] / sides[1] / n, 2.2), 6)
        draw = _draw_images if images else _draw_series
        self.axes_, image = draw(self, self._draw_on(ax, height if images else 3))
        for cell, errors in zip(self.axes_[0], self.errors, strict=True):
            cell.set_title(f"{errors.mean():.2g}", fontsize=SMALL)
        self.figure_.colorbar(image, ax=self.ax_, extend="both", label="error of a value")
        return self


def _sides(given: tuple[int, ...], shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Sides of an image, or the length of a series."""
    sides = tuple(side for side in given if side > 1) if shape is None else tuple(shape)
    if len(sides) not in (1, 2) or math.prod(sides) != math.prod(given):
        raise ValueError(
            f"shape={shape}; a row of X has shape {given}. Expected (height, width) of an image or "
            f"(length,) of a series that holds {math.prod(given)} values."
        )
    return sides


def _draw_images(display: ReconstructionDisplay, ax: Any) -> tuple[np.ndarray, Any]:
    """Input, rebuilt and errors below each other, rows side by side."""
    axes, rows = cells_of(ax, (1, 1, 1), len(display.rows)), display.rows
    grey = float(rows.min()), float(rows.max())
    for column, *images in zip(axes.T, rows, display.rebuilt, display.errors, strict=True):
        for cell, values in zip(column[:2], images[:2], strict=True):
            draw_values(cell, values, grey, "gray")
        image = draw_values(column[2], images[2], display.limits, MAP)
    for cell, name in zip(axes[:, 0], ("input", "rebuilt", "error"), strict=True):
        cell.set_ylabel(name)
    return axes, image


def _draw_series(display: ReconstructionDisplay, ax: Any) -> tuple[np.ndarray, Any]:
    """Both lines, and a strip of errors below."""
    axes = cells_of(ax, (4, 1), len(display.rows))
    together = display.rows, display.rebuilt
    low, high = min(map(np.min, together)), max(map(np.max, together))
    for (upper, lower), row, row_hat, errors in zip(axes.T, *together, display.errors, strict=True):
        upper.plot(row, color=BLACK, linewidth=1, label="input")
        upper.plot(row_hat, "--", color=VERMILLION, linewidth=1, label="rebuilt")
        upper.set(ylim=(low, high + 0.4 * (high - low) + TINY), xticks=[])  # room for the legend
        upper.tick_params(labelsize=SMALL, labelleft=upper is axes[0, 0])
        image = draw_values(lower, errors, display.limits, MAP)
    axes[0, 0].set_ylabel("value")
    axes[0, 0].legend(fontsize=SMALL, loc="upper left")
    axes[1, 0].set(xlabel="position in the series", ylabel="error")
    return axes, image
