"""Loss per epoch, and the epoch whose weights were kept."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ..detectors.inside import fact, last, unwrapped
from .canvas import BLACK, BLUE, VERMILLION, Display, log_ticks, require


class LossCurveDisplay(Display):
    """Mean loss of each training epoch, on the training rows and on the held-out rows.

    Parameters
    ----------
    losses : sequence of float
        On the training rows, one per epoch.
    held_out : sequence of float, default=()
        On the held-out rows, ending with the last epoch; empty without early stopping.
    kept : int, default=None
        The epoch, from 1, whose weights were kept.
    unit : str, default="loss"
        What is measured.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from aedetect import Autoencoder, LossCurveDisplay
    >>> X = load_digits().data[:300]
    >>> model = Autoencoder(epochs=20, early_stopping=True, random_state=0).fit(X)
    >>> display = LossCurveDisplay.from_estimator(model)
    >>> display.ax_.get_ylabel()
    'mean squared error of an epoch'
    """

    losses: Sequence[float]
    held_out: Sequence[float] = ()
    kept: int | None = None
    unit: str = "loss"

    @classmethod
    def from_estimator(cls, detector: Any, *, ax: Any = None) -> Self:
        """Draw how a detector was trained.

        Parameters
        ----------
        detector : detector
            A fitted autoencoder that was trained, or a Pipeline or wrapper of one.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        TypeError
            If the detector has no `loss_curve_`.
        """
        end = last(unwrapped(detector))
        require(end, "loss_curve_", cls, "an autoencoder that was trained")
        return cls(
            losses=end.loss_curve_,
            held_out=end.validation_loss_curve_,
            kept=fact(end, "best_epoch_"),
            unit=end.loss_.replace("_", " "),
        ).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        LossCurveDisplay
        """
        ax, n = self._draw_on(ax), len(self.losses)
        epochs = np.arange(1, n + 1)
        ax.plot(epochs, self.losses, color=BLUE, label="training rows")
        if len(self.held_out):
            known = epochs[n - len(self.held_out) :]
            ax.plot(known, self.held_out, "--", color=VERMILLION, label="held-out rows")
        if self.kept is not None:
            ax.axvline(self.kept, color=BLACK, linestyle=":", label=f"kept: epoch {self.kept}")
        every = [*self.losses, *self.held_out]
        positive = min(every) > 0
        ax.set(
            yscale="log" if positive else "linear",
            xlabel="epoch",
            ylabel=f"mean {self.unit} of an epoch",
        )
        if positive:
            log_ticks(ax.yaxis, min(every), max(every))
        ax.legend()
        return self
