"""Codes as points in a plane."""

from typing import Any, Self

import numpy as np

from ..detectors.inside import last, unwrapped
from ..rows.linear import principal_axes
from .canvas import Display, finite, kinds_of, require


class LatentDisplay(Display):
    """Codes of rows in a plane: as they are, or on their first two principal axes if wider.

    Codes of one unit are drawn against the row number.

    Parameters
    ----------
    codes : ndarray of shape (n, latent_dim)
        Codes of rows.
    y : ndarray of shape (n,), default=None
        +1 for normal and -1 for anomalous rows; None: all are of one kind.

    Attributes
    ----------
    points_ : ndarray of shape (n, 2)
        What is drawn.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import LatentDisplay, PCADetector
    >>> X, digit = load_digits(return_X_y=True)
    >>> detector = PCADetector(latent_dim=2).fit(X[digit == 0])
    >>> display = LatentDisplay.from_estimator(detector, X)
    >>> display.points_.shape
    (1797, 2)
    """

    codes: np.ndarray
    y: np.ndarray | None = None

    @classmethod
    def from_estimator(cls, detector: Any, X: Any, y: Any = None, *, ax: Any = None) -> Self:
        """Encode rows and draw their codes.

        Parameters
        ----------
        detector : detector
            A fitted detector of this package, or a Pipeline or wrapper of one.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            +1 for normal and -1 for anomalous rows.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        LatentDisplay

        Raises
        ------
        TypeError
            If the detector has no codes.
        ValueError
            If `y` holds other labels.
        """
        inner = unwrapped(detector)
        require(last(inner), "transform", cls, "a detector that has codes")
        return cls.from_predictions(inner.transform(X), y, ax=ax)

    @classmethod
    def from_predictions(cls, codes: Any, y: Any = None, *, ax: Any = None) -> Self:
        """Draw codes.

        Parameters
        ----------
        codes : array-like of shape (n_samples, latent_dim)
            Codes.
        y : array-like of shape (n_samples,), default=None
            +1 for normal and -1 for anomalous rows.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        LatentDisplay

        Raises
        ------
        ValueError
            If `y` holds other labels, or a code is not finite.
        """
        return cls(codes=finite(codes, "codes", ndim=2), y=y).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        LatentDisplay
        """
        kinds = kinds_of(self.y, len(self.codes))
        self.points_, labels = _in_plane(self.codes)
        ax = self._draw_on(ax)
        for kind in kinds:
            ax.scatter(
                *self.points_[kind.rows].T,
                s=16,
                color=kind.color,
                marker=kind.marker,
                alpha=0.6,
                linewidths=1,
                label=f"{kind.name} ({kind.rows.sum()})",
            )
        ax.set(**dict(zip(("xlabel", "ylabel"), labels, strict=True)))
        ax.legend()
        return self


def _in_plane(codes: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Points (n, 2), and the names of the two axes."""
    width = codes.shape[1]
    if width == 1:
        return np.column_stack([np.arange(len(codes)), codes]), ["row (from 0)", "code"]
    if width == 2:
        return codes, ["first unit of the code", "second unit of the code"]
    if len(codes) < 2:
        raise ValueError(f"codes has shape {codes.shape}; a plane needs at least 2 rows.")
    mean, axes, variances = principal_axes(codes)
    shares = variances / max(variances.sum(), np.finfo(float).tiny)
    names = [f"principal axis {i + 1} of {width} units ({shares[i]:.0%})" for i in range(2)]
    return (codes - mean) @ axes[:2].T, names
