"""Where rebuilding moves the points of a plane."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd

from ..detectors.inside import last, rebuilt, unwrapped
from .canvas import MAP, Display, finite, kinds_of, require

GRID = 21  # points a side
AROUND = 0.25  # of the data's range, on each side


class TravelDisplay(Display):
    """Arrows from points x of a plane towards what is rebuilt of them, ``reconstruct(x) - x``.

    The arrows of a good autoencoder point to where the data are dense: those of a denoising one
    follow the gradient of the log-density of the data (Alain & Bengio, 2014). Directions are those
    of the plane; the colour shows how far a point moves, and so does the length of the arrow, which
    is capped at the grid spacing.

    Parameters
    ----------
    X : ndarray of shape (n, 2)
        Rows, drawn as points.
    points, travel : ndarray of shape (m, 2)
        Points of the grid, and how far each moves.
    y : ndarray of shape (n,), default=None
        +1 for normal and -1 for anomalous rows; None: all are of one kind.
    names : sequence of two str, default=("x0", "x1")
        Of the columns.

    Attributes
    ----------
    arrows_ : matplotlib Quiver
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    References
    ----------
    Alain & Bengio, "What regularized auto-encoders learn from the data-generating distribution",
    2014.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import PCADetector, TravelDisplay
    >>> x = np.random.default_rng(0).standard_normal(100)
    >>> X = np.column_stack([x, x])
    >>> display = TravelDisplay.from_estimator(PCADetector(latent_dim=1).fit(X), X)
    >>> bool(np.allclose(display.travel.sum(axis=1), 0))  # at right angles to the diagonal
    True
    """

    X: np.ndarray
    points: np.ndarray
    travel: np.ndarray
    y: np.ndarray | None = None
    names: Sequence[str] = ("x0", "x1")

    @classmethod
    def from_estimator(cls, detector: Any, X: Any, y: Any = None, *, ax: Any = None) -> Self:
        """Rebuild a grid of 21 x 21 points, a quarter of the rows' range wider on each side.

        Parameters
        ----------
        detector : detector
            A fitted detector of two columns with `reconstruct`, or a wrapper of one, or a Pipeline
            whose other steps can be inverted.
        X : array-like of shape (n_samples, 2)
            Rows.
        y : array-like of shape (n_samples,), default=None
            +1 for normal and -1 for anomalous rows.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        TravelDisplay

        Raises
        ------
        ValueError
            If `X` does not have two columns, or `y` holds other labels.
        TypeError
            If the detector does not rebuild rows.
        """
        inner, rows = unwrapped(detector), finite(X, "X", ndim=2)
        require(last(inner), "reconstruct", cls, "a detector that rebuilds rows")
        if rows.shape[1] != 2:
            raise ValueError(f"X has {rows.shape[1]} columns; expected 2, which make a plane.")
        low, high = rows.min(axis=0), rows.max(axis=0)
        margin = AROUND * np.where(high > low, high - low, 1)
        sides = np.linspace(low - margin, high + margin, GRID)  # (GRID, 2)
        points = np.stack(np.meshgrid(*sides.T), axis=-1).reshape(-1, 2)
        columns = getattr(X, "columns", None)
        grid = points if columns is None else pd.DataFrame(points, columns=list(columns))
        travel = np.asarray(rebuilt(inner, grid)) - points
        names = cls.names if columns is None else tuple(map(str, columns))
        return cls(X=rows, points=points, travel=travel, y=y, names=names).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw rows and arrows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        TravelDisplay
        """
        kinds, ax = kinds_of(self.y, len(self.X)), self._draw_on(ax)
        for kind in kinds:
            ax.scatter(
                *self.X[kind.rows].T,
                s=14,
                color=kind.color,
                marker=kind.marker,
                alpha=0.5,
                linewidths=1,
                label=kind.name,
            )
        length = np.linalg.norm(self.travel, axis=1)
        step = np.ptp(self.points, axis=0) / (np.sqrt(len(self.points)) - 1)
        n_steps = np.linalg.norm(self.travel / step, axis=1, keepdims=True)
        shortened = self.travel / np.maximum(n_steps, 1)
        self.arrows_ = ax.quiver(
            *self.points.T,
            *shortened.T,
            length,
            angles="xy",
            scale_units="xy",
            scale=1,
            cmap=MAP,
            width=0.004,
        )
        self.figure_.colorbar(self.arrows_, ax=ax, label="distance moved, in units of the columns")
        ax.set_xlabel(self.names[0], parse_math=False)
        ax.set_ylabel(self.names[1], parse_math=False)
        ax.legend()
        return self
