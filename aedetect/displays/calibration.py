"""Whether as many normal rows are flagged as p-values promise."""

from typing import Any, Self

import numpy as np
from scipy.stats import betabinom, binom
from sklearn.pipeline import Pipeline

from ..detectors.inside import fact
from ..detectors.wrapper import Wrapper
from .canvas import BLACK, BLUE, Display, finite

UP_TO = 0.25  # larger shares of false alarms are of no use
COVERED = 0.95


class CalibrationDisplay(Display):
    """Observed share of false alarms over the nominal one, the threshold on p-values.

    The band holds the observed share of a calibrated detector with a probability of 95 % at each
    threshold. It is binomial for the rows given; where the p-values come from m scores of
    calibration rows, it is wider, beta-binomial, since these are a sample, too.

    Parameters
    ----------
    p_values : ndarray of shape (n,)
        Of normal rows that were not learned from.
    n_calibration : int, default=None
        Number m of scores that they come from; None: as if there were infinitely many.

    Attributes
    ----------
    nominal_, observed_ : ndarray
        Thresholds, ascending, and the share of rows with a p-value of at most each.
    low_, high_ : ndarray
        The band at `levels_`.
    levels_ : ndarray
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    References
    ----------
    Bates, Candes, Lei, Romano & Sesia, "Testing for outliers with conformal p-values", 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import CalibrationDisplay, PCADetector
    >>> X = np.random.default_rng(0).standard_normal((900, 4))
    >>> display = CalibrationDisplay.from_estimator(PCADetector().fit(X[:400]), X[400:])
    >>> bool(abs(np.interp(0.1, display.nominal_, display.observed_) - 0.1) < 0.05)
    True
    """

    p_values: np.ndarray
    n_calibration: int | None = None

    @classmethod
    def from_estimator(cls, detector: Any, X: Any, *, ax: Any = None) -> Self:
        """Draw how often normal rows are flagged.

        Parameters
        ----------
        detector : detector
            Fitted, with `p_values`: of this package, with ``contamination="auto"``, or a
            `ConformalDetector`; or a Pipeline or `Threshold` of one.
        X : array-like of shape (n_samples, n_features)
            Normal rows that were not learned from.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        CalibrationDisplay

        Raises
        ------
        TypeError
            If the detector has no p-values.
        AttributeError
            If it was fitted with another `contamination`, or on fewer than 20 rows.
        """
        values, known = _p_values(detector, X), fact(detector, "calibration_scores_")
        return cls.from_predictions(values, n_calibration=len(known), ax=ax)

    @classmethod
    def from_predictions(
        cls, p_values: Any, *, n_calibration: int | None = None, ax: Any = None
    ) -> Self:
        """Draw the calibration of p-values.

        Parameters
        ----------
        p_values : array-like of shape (n_samples,)
            Of normal rows that were not learned from, above 0 and at most 1.
        n_calibration : int, default=None
            Number of scores that they come from; None: as if there were infinitely many.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        CalibrationDisplay

        Raises
        ------
        ValueError
            If a p-value is out of range.
        """
        values = finite(p_values, "p_values")
        if values.min() < 0 or values.max() > 1:
            raise ValueError(
                f"p_values reach from {values.min():g} to {values.max():g}; expected 0 to 1."
            )
        return cls(p_values=values, n_calibration=n_calibration).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw shares, diagonal and band.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        CalibrationDisplay
        """
        n, m, ax = len(self.p_values), self.n_calibration, self._draw_on(ax)
        self.nominal_ = np.r_[0, np.sort(self.p_values), 1]
        self.observed_ = np.r_[np.arange(n + 1), n] / n
        self.levels_ = a = np.linspace(0, 1, 401)[1:-1]
        alarms = binom(n, a) if m is None else betabinom(n, a * (m + 1), (1 - a) * (m + 1))
        self.low_, self.high_ = (end / n for end in alarms.interval(COVERED))
        ax.fill_between(
            a, self.low_, self.high_, color="0.85", label=f"{COVERED:.0%} of calibrated detectors"
        )
        ax.plot([0, 1], [0, 1], "--", color=BLACK, linewidth=1, label="as promised")
        ax.step(self.nominal_, self.observed_, where="post", color=BLUE, label=f"{n} normal rows")
        top = max(UP_TO, float(np.mean(self.p_values <= UP_TO)))
        ax.set(
            xlim=(0, UP_TO),
            ylim=(0, 1.05 * top),
            xlabel="nominal share of false alarms (threshold on p-values)",
            ylabel="observed share of false alarms",
        )
        ax.legend(loc="upper left")
        return self


def _p_values(detector: Any, X: Any) -> np.ndarray:
    """P-values by the outermost detector that has some."""
    if isinstance(detector, Pipeline):
        X = detector[:-1].transform(X) if len(detector) > 1 else X
        return _p_values(detector[-1], X)
    if hasattr(detector, "p_values"):
        return np.asarray(detector.p_values(X))
    if isinstance(detector, Wrapper):
        return _p_values(detector.estimator_, X)
    raise TypeError(
        f"{type(detector).__name__} has no p_values; CalibrationDisplay takes a detector of this "
        "package, or ConformalDetector around another."
    )
