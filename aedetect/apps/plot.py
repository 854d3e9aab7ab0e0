"""Pictures of scores and reconstructions (needs matplotlib: ``pip install 'aedetect[plot]'``)."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def plot_scores(
    ax: Any, scores: np.ndarray, offset: float, is_outlier: np.ndarray | None = None
) -> Any:
    """Histogram of scores with the threshold.

    Parameters
    ----------
    ax : matplotlib Axes
        Where to draw.
    scores : ndarray of shape (n,)
        At most 0, high = normal. The axis shows the error, -score, on a logarithmic scale.
    offset : float
        Threshold on the score.
    is_outlier : ndarray of bool of shape (n,), optional
        What the rows really are; draws the two kinds apart.

    Returns
    -------
    matplotlib Axes
    """
    errors = np.maximum(-scores, np.finfo(float).tiny)
    bins = np.geomspace(errors.min(), errors.max() * 1.001, 40)
    if is_outlier is None:
        kinds = {"rows": (errors, "tab:blue")}
    else:
        kinds = {
            "normal": (errors[~is_outlier], "tab:blue"),
            "anomalous": (errors[is_outlier], "tab:red"),
        }
    for label, (part, color) in kinds.items():
        share = np.full(len(part), 1 / max(len(part), 1))
        ax.hist(part, bins, weights=share, alpha=0.6, color=color, label=f"{label} ({len(part)})")
    ax.axvline(-offset, color="black", linestyle="--", label="threshold")
    ax.set(xscale="log", xlabel="reconstruction error", ylabel="share of the rows")
    ax.minorticks_off()
    ax.legend()
    return ax


def plot_reconstructions(
    axes: Any, X: np.ndarray, X_hat: np.ndarray, shape: tuple[int, int], titles: Sequence[str] = ()
) -> Any:
    """Images above their reconstructions.

    Parameters
    ----------
    axes : ndarray of matplotlib Axes of shape (2, n)
        Where to draw.
    X, X_hat : ndarray of shape (n, height * width)
        Images and what was rebuilt; drawn on one grey scale.
    shape : tuple of two int
        Height and width of an image.
    titles : sequence of n str, optional
        Above the images.

    Returns
    -------
    ndarray of matplotlib Axes
    """
    for row, images in zip(axes, (X, X_hat), strict=True):
        for ax, image in zip(row, images, strict=True):
            ax.imshow(image.reshape(shape), cmap="gray", vmin=X.min(), vmax=X.max())
            ax.set(xticks=[], yticks=[])
    for row, name in zip(axes, ("image", "rebuilt"), strict=True):
        row[0].set_ylabel(name)
    for ax, title in zip(axes[0], titles, strict=False):
        ax.set_title(title, fontsize=8)
    return axes
