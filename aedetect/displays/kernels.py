"""What the first layer of an autoencoder looks for: its weights as images or curves."""

import math
from typing import Any, Self

import numpy as np

from ..detectors.inside import last, unwrapped
from .canvas import BLUE, MAP, SMALL, Display, cells_of, draw_values, require

MOST = 64


class KernelDisplay(Display):
    """Weights of the first layer: one kernel for each unit, or for each pair of channels.

    Colours, or heights, share one scale for all kernels, with 0 in the middle. If there are more
    than 64 kernels, those with the largest norms are drawn. `KernelAutoencoder` has no such
    kernels.

    Parameters
    ----------
    kernels : ndarray of shape (n, height, width) or (n, length)
        Weights.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        In a grid; those to the right of the last kernel are empty.
    shown_ : ndarray of int
        Which kernels are drawn.
    ax_ : matplotlib Axes
        Axes around the grid.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import Autoencoder, KernelDisplay, Tied
    >>> X = load_digits().data
    >>> model = Autoencoder(network=Tied(), latent_dim=9, epochs=5, random_state=0).fit(X)
    >>> display = KernelDisplay.from_estimator(model, shape=(8, 8))
    >>> display.kernels.shape
    (9, 8, 8)
    """

    kernels: np.ndarray

    @classmethod
    def from_estimator(
        cls, detector: Any, *, shape: tuple[int, ...] | None = None, ax: Any = None
    ) -> Self:
        """Draw the first layer of a network.

        Parameters
        ----------
        detector : detector
            A fitted autoencoder that was trained, or a Pipeline or wrapper of one.
        shape : tuple of int, default=None
            (height, width) of the images that a dense layer takes; None: curves over the columns.
            Kernels of convolutions have their own shape, one for each output and input channel.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        KernelDisplay

        Raises
        ------
        TypeError
            If the detector has no network.
        ValueError
            If `shape` does not hold a row's values.
        """
        end = last(unwrapped(detector))
        require(end, "weights_", cls, "an autoencoder that was trained")
        matrices = [w for name, w in end.weights_.items() if "encoder" in name and w.ndim > 1]
        if not matrices:
            raise TypeError(
                f"network={end.network_!r} has no parameter named encoder; KernelDisplay takes a "
                "network of this package."
            )
        weights = matrices[0]
        if weights.ndim > 2:  # (channels out, channels in, *kernel)
            return cls(kernels=weights.reshape(-1, *weights.shape[2:])).plot(ax)
        n = end.n_features_in_
        sides = (n,) if shape is None else tuple(shape)
        if len(sides) not in (1, 2) or math.prod(sides) != n:
            raise ValueError(
                f"shape={shape}; expected (height, width) or (length,) that holds {n} values."
            )
        return cls(kernels=weights[:n].T.reshape(-1, *sides)).plot(ax)  # without the bias

    def plot(self, ax: Any = None) -> Self:
        """Draw the kernels.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, in a grid of axes; None: a new figure.

        Returns
        -------
        KernelDisplay
        """
        sizes = np.square(self.kernels).reshape(len(self.kernels), -1).sum(axis=1)
        self.shown_ = np.sort(np.argsort(-sizes, kind="stable")[:MOST])
        largest = float(np.abs(self.kernels).max()) or 1.0
        n_columns = math.ceil(math.sqrt(1.5 * len(self.shown_)))
        n_rows = math.ceil(len(self.shown_) / n_columns)
        self.axes_ = cells_of(self._draw_on(ax), [1] * n_rows, n_columns)
        for cell in self.axes_.flat[len(self.shown_) :]:
            cell.set_axis_off()
        curves = self.kernels.ndim == 2
        for cell, kernel in zip(self.axes_.flat, self.kernels[self.shown_], strict=False):
            if curves:
                cell.plot(kernel, color=BLUE, linewidth=1)
                cell.axhline(0, color="0.6", linewidth=0.5)
                cell.set(ylim=(-largest, largest), xticks=[])
                cell.tick_params(labelsize=SMALL, labelleft=cell in self.axes_[:, 0])
            else:
                image = draw_values(cell, kernel, (-largest, largest), MAP)
        if curves:
            self.axes_[n_rows // 2, 0].set_ylabel("weight")
        else:
            self.figure_.colorbar(image, ax=self.ax_, label="weight", shrink=0.7)
        return self
