"""Histogram of errors by kind of row, and the threshold."""

from typing import Any, Self

import numpy as np

from ..detectors.inside import calibration_of, fact
from ..detectors.wrapper import scores_by
from .canvas import BLACK, SMALL, Display, ends_of, finite, kinds_of, log_ticks

BINS = 40


class ScoreDisplay(Display):
    """Histogram of errors, minus the scores, with the threshold beyond which rows are flagged.

    The axis of errors is logarithmic where all are positive and the largest is more than ten times
    the smallest. The bars of each kind of row add up to 1; the smallest thousandth of the errors,
    and rows that have no value at all, are in the bars at the ends.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Minus the scores.
    y : ndarray of shape (n,), default=None
        +1 for normal and -1 for anomalous rows; None: all are of one kind.
    threshold : float, default=None
        The largest error that is not flagged.
    false_alarms : float, default=None
        Share of new normal rows that are expected beyond it.

    Attributes
    ----------
    bins_ : ndarray
        Edges of the bars.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    See Also
    --------
    CalibrationDisplay : Whether as many normal rows are flagged as expected.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import PCADetector, ScoreDisplay
    >>> X = np.random.default_rng(0).standard_normal((200, 4))
    >>> display = ScoreDisplay.from_estimator(PCADetector().fit(X), X)
    >>> display.ax_.get_ylabel()
    'share of the rows of a kind'
    """

    errors: np.ndarray
    y: np.ndarray | None = None
    threshold: float | None = None
    false_alarms: float | None = None

    @classmethod
    def from_estimator(cls, detector: Any, X: Any, y: Any = None, *, ax: Any = None) -> Self:
        """Score rows and draw their errors.

        Parameters
        ----------
        detector : detector
            Fitted, from this package, scikit-learn or like PyOD's, or a Pipeline ending in one.
            The threshold is its `offset_`, and the share of false alarms that of its
            `calibration_scores_` (or of the detector in a `Threshold`) beyond it, if it has them.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            +1 for normal and -1 for anomalous rows.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        ScoreDisplay

        Raises
        ------
        ValueError
            If `y` holds other labels.
        """
        return cls.from_predictions(
            scores_by(detector, X),
            y,
            offset=fact(detector, "offset_"),
            calibration_scores=calibration_of(detector),
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        scores: Any,
        y: Any = None,
        *,
        offset: float | None = None,
        calibration_scores: Any = None,
        ax: Any = None,
    ) -> Self:
        """Draw the errors of rows that were scored before.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            High = normal.
        y : array-like of shape (n_samples,), default=None
            +1 for normal and -1 for anomalous rows.
        offset : float, default=None
            Threshold on the score: rows with a lower one are flagged.
        calibration_scores : array-like of shape (n,), default=None
            Scores of normal rows that were not learned from. A new one is flagged with probability
            (1 + k) / (1 + n) at most, where k of them lie below `offset`.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        ScoreDisplay

        Raises
        ------
        ValueError
            If `y` holds other labels, or a score is not finite.
        """
        share = None
        if offset is not None and calibration_scores is not None:
            known = np.asarray(calibration_scores)
            share = (offset > -np.inf) * (1 + np.count_nonzero(known < offset)) / (1 + len(known))
        threshold = None if offset is None else -float(offset)
        errors = -finite(scores, "scores")
        return cls(errors=errors, y=y, threshold=threshold, false_alarms=share).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the histogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        ScoreDisplay
        """
        kinds = kinds_of(self.y, len(self.errors))
        ax, (low, high) = self._draw_on(ax), ends_of(self.errors, self.threshold)
        wide = high > 10 * low > 0
        self.bins_ = (np.geomspace if wide else np.linspace)(low, high, BINS + 1)
        for kind in kinds:
            part = self.errors[kind.rows].clip(self.bins_[0], self.bins_[-1])
            ax.hist(
                part,
                self.bins_,
                weights=np.full(len(part), 1 / len(part)),
                color=kind.color,
                hatch=kind.hatch,
                edgecolor="white",
                linewidth=0.3,
                alpha=0.65,
                label=f"{kind.name} ({len(part)})",
            )
        if self.threshold is not None and np.isfinite(self.threshold):
            ax.axvline(self.threshold, color=BLACK, linestyle="--", label=self._of_threshold())
        ax.set(
            xscale="log" if wide else "linear",
            xlabel="error of a row (minus its score)",
            ylabel="share of the rows of a kind",
        )
        if wide:
            log_ticks(ax.xaxis, low, high)
        above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 3}
        ax.legend(**above, columnspacing=1, handlelength=1.5, frameon=False, fontsize=SMALL)
        return self

    def _of_threshold(self) -> str:
        text = f"threshold {self.threshold:.3g}"
        if self.false_alarms is None:
            return text
        return f"{text}: {self.false_alarms:.1%} false alarms expected"
