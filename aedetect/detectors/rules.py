"""Rules that find a threshold from scores."""

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal

import numpy as np
from scipy.stats import false_discovery_control, genpareto
from sklearn.metrics import precision_recall_curve, roc_curve

from ..params import Count, Params, Positive, Range
from ..rows.null import null_p_values
from ..rows.threshold import find_threshold

Share = Annotated[float, Range(0, 1, above_low=True)]


class Rule(Params, ABC):
    """Finds the score below which a row is an outlier.

    Attributes
    ----------
    of_unseen : bool
        Class attribute: whether scores of rows that were not learned from are wanted, if there are
        any, and not those of the rows given to `fit`.
    """

    of_unseen: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, scores: np.ndarray, y: np.ndarray | None = None) -> float:
        """The threshold for scores (n,), high = normal, and labels (n,), for rules that need them.

        Raises
        ------
        ValueError
            If it cannot be found from these.
        """


class Quantile(Rule):
    """Flags a share of the rows.

    Parameters
    ----------
    share : float, default=0.05
        From 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.detectors.rules import Quantile
    >>> Quantile(share=0.25)(np.array([-4.0, -3.0, -2.0, -1.0]))
    -3.5
    """

    share: Annotated[float, Range(0, 1)] = 0.05

    def __call__(self, scores: np.ndarray, y: np.ndarray | None = None) -> float:
        return find_threshold(scores, self.share)


class MAD(Rule):
    """Flags errors far above the median, in units of the median absolute deviation.

    Parameters
    ----------
    k : float, default=3.5
        How far, in units of 1.4826 MAD, a normal distribution's standard deviation.

    References
    ----------
    Iglewicz & Hoaglin, "How to detect and handle outliers", 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.detectors.rules import MAD
    >>> round(MAD()(-np.array([1.0, 2.0, 3.0, 4.0, 5.0])), 2)
    -8.19
    """

    k: Positive = 3.5

    def __call__(self, scores: np.ndarray, y: np.ndarray | None = None) -> float:
        median = np.median(scores)
        return float(median - self.k * 1.4826 * np.median(np.abs(scores - median)))


class Tukey(Rule):
    """Flags errors beyond the upper quartile and k interquartile ranges.

    Parameters
    ----------
    k : float, default=1.5
        Length of the whisker.

    References
    ----------
    Tukey, "Exploratory data analysis", 1977.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.detectors.rules import Tukey
    >>> Tukey()(-np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    -7.0
    """

    k: Positive = 1.5

    def __call__(self, scores: np.ndarray, y: np.ndarray | None = None) -> float:
        lower, upper = np.percentile(scores, [25, 75])
        return float(lower - self.k * (upper - lower))


class Tail(Rule):
    """Peaks over threshold: sets a threshold that a share `alpha` of rows exceeds.

    A generalised Pareto distribution is fitted to the excesses of the largest errors over the
    quantile `start`. A quantile of that distribution is the threshold; it may lie beyond all
    errors seen. Where a share `alpha` reaches to below the tail, as of errors many of which are
    equal, the threshold is a quantile of all errors.

    Parameters
    ----------
    alpha : float, default=0.001
        Probability of a false alarm.
    start : float, default=0.9
        The errors above this quantile are the tail.

    References
    ----------
    Pickands, "Statistical inference using extreme order statistics", 1975. Siffer, Fouque, Termier
    & Largouet, "Anomaly detection in streams with extreme value theory", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.detectors.rules import Tail
    >>> error = np.random.default_rng(0).exponential(size=10_000)
    >>> bool(abs(Tail(alpha=1e-4)(-error) + np.log(1e4)) < 1)
    True
    """

    alpha: Share = 0.001
    start: Annotated[float, Range(0, 1)] = 0.9

    def __call__(self, scores: np.ndarray, y: np.ndarray | None = None) -> float:
        share = 1 - self.start
        if self.alpha >= share:
            return find_threshold(scores, self.alpha)
        above = np.quantile(-scores, self.start)
        excess = -scores[-scores > above] - above
        if self.alpha * len(scores) >= max(len(excess), 1):  # among ties, not in the tail
            return find_threshold(scores, self.alpha)
        if len(excess) < 10:
            raise ValueError(
                f"{len(excess)} of {len(scores)} scores are beyond the quantile start={self.start}"
                "; Tail needs at least 10."
            )
        scale = excess.mean()
        shape, _, unit = genpareto.fit(excess / scale, floc=0)
        beyond = genpareto.isf(self.alpha * len(scores) / len(excess), shape, scale=unit)
        return float(-(above + scale * beyond))


class AlertBudget(Rule):
    """Flags about as many normal rows a day as there is time to look at.

    Parameters
    ----------
    alerts : float, default=10
        Normal rows that may be flagged per day; outliers come on top of them.
    rows : int, default=10000
        Rows scored per day.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.detectors.rules import AlertBudget
    >>> AlertBudget(alerts=10, rows=100)(-np.arange(10.0))
    -8.5
    """

    alerts: Positive = 10
    rows: Count = 10_000

    def __call__(self, scores: np.ndarray, y: np.ndarray | None = None) -> float:
        share = self.alerts / self.rows
        if share > 1:
            raise ValueError(f"alerts={self.alerts} is more than rows={self.rows}.")
        if share * len(scores) >= 10 or len(scores) < 100:
            return Quantile(share=share)(scores)
        try:
            return Tail(alpha=share)(scores)
        except ValueError as error:
            raise ValueError(
                f"alerts={self.alerts} of rows={self.rows} is a smaller share than {len(scores)} "
                "scores tell, as many of them are equal. Set more alerts, or use more rows."
            ) from error


class FromLabels(Rule):
    """The best threshold on labelled rows.

    Parameters
    ----------
    metric : {"f1", "balanced_accuracy"}, default="f1"
        What is maximised.
    labels : {"sklearn", "01"}, default="sklearn"
        What `y` holds: -1 for outliers and +1 for inliers, or 1 for outliers and 0 for inliers.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.detectors.rules import FromLabels
    >>> FromLabels()(np.array([-9.0, -8.0, -2.0, -1.0]), np.array([-1, -1, 1, 1]))
    -5.0
    """

    metric: Literal["f1", "balanced_accuracy"] = "f1"
    labels: Literal["sklearn", "01"] = "sklearn"
    of_unseen: ClassVar[bool] = False

    def __call__(self, scores: np.ndarray, y: np.ndarray | None = None) -> float:
        if y is None:
            raise ValueError("The rule FromLabels needs y; it is None.")
        known = (1, -1) if self.labels == "sklearn" else (0, 1)
        outlier = np.asarray(y) == known[1]
        if set(np.unique(y)) != set(known):
            raise ValueError(
                f"y holds {np.unique(y)[:5]}; labels={self.labels!r} means {known[0]} for inliers "
                f"and {known[1]} for outliers, and both are needed."
            )
        if self.metric == "f1":
            precision, recall, cuts = precision_recall_curve(outlier, -scores)
            worth = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
            cut = -cuts[worth[:-1].argmax()]
        else:
            false, true, cuts = roc_curve(outlier, -scores, drop_intermediate=False)
            cut = -cuts[1:][(true - false)[1:].argmax()]
        above = scores[scores > cut].min(initial=np.inf)
        middle = cut + (above - cut) / 2 if above < np.inf else np.nextafter(cut, np.inf)
        return float(middle if middle > cut else above)


class EmpiricalNull(Rule):
    """For a table that is learned from and scored: flags rows at a false discovery rate.

    The distribution of normal scores is estimated from the better part of all scores. On average,
    at most about a share `fdr` of the flagged rows is normal. If no row stands out, none is
    flagged. The scores of `AnomalyDetector` are ranks for its training rows, so none stands out:
    use its `null_p_values`.

    Parameters
    ----------
    fdr : float, default=0.1
        Expected share of normal rows among those flagged.

    References
    ----------
    Efron, "Large-scale simultaneous hypothesis testing: the choice of a null hypothesis", 2004.
    Benjamini & Hochberg, "Controlling the false discovery rate", 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect.detectors.rules import EmpiricalNull
    >>> scores = -np.random.default_rng(0).chisquare(5, size=1000)
    >>> scores[:5] = -1000
    >>> int((scores < EmpiricalNull()(scores)).sum())
    5
    """

    fdr: Share = 0.1
    of_unseen: ClassVar[bool] = False

    def __call__(self, scores: np.ndarray, y: np.ndarray | None = None) -> float:
        flagged = false_discovery_control(null_p_values(scores)) <= self.fdr
        return find_threshold(scores, flagged.mean()) if not flagged.all() else float("inf")
