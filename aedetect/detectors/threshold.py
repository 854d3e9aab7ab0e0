"""A threshold by a rule, on the scores of any detector."""

from typing import Any, Self

import numpy as np

from ..params import check
from .inside import calibration_of
from .rules import Quantile, Rule
from .wrapper import Wrapper, scores_by


class Threshold(Wrapper):
    """Sets the threshold of any detector by a rule.

    Parameters
    ----------
    rule : Rule, default=None
        `Quantile`, `MAD`, `Tukey`, `Tail`, `AlertBudget`, `FromLabels` or `EmpiricalNull`; None:
        ``Quantile()``, 5 % of the rows. Detectors of this package with ``contamination="auto"``
        give a rule their scores of rows that were not learned from, others those of the rows given
        to `fit`. The last two rules always take the latter.
    prefit : bool, default=False
        Whether `estimator` is fitted already: the rows given to `fit` set the threshold alone.

    Attributes
    ----------
    estimator_ : detector
        The fitted detector.
    offset_ : float
        Threshold on the score.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    See Also
    --------
    ConformalDetector : Thresholds with a guarantee.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import AlertBudget, PCADetector, Threshold
    >>> X = np.random.default_rng(0).standard_normal((2000, 4))
    >>> rule = AlertBudget(alerts=5, rows=100)
    >>> detector = Threshold(estimator=PCADetector(), rule=rule).fit(X)
    >>> bool(0.03 < (detector.predict(X) == -1).mean() < 0.07)
    True
    """

    rule: Rule | None = None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the detector, and find the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), optional
            Labels, for `FromLabels` alone.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used; the message says which.
        """
        self._check_params()
        rule = check(Quantile() if self.rule is None else self.rule)
        estimator = self._known() if self.prefit else self._unfitted().fit(X)
        scores = None
        if rule.of_unseen and not self.prefit:
            scores = calibration_of(estimator)
        if scores is None:
            scores = scores_by(estimator, X)
        offset = rule(scores, None if y is None else np.asarray(y))
        if np.isnan(offset):
            raise ValueError(f"rule={rule} found NaN from {len(scores)} scores; expected a number.")
        self._keep(estimator)
        self.offset_ = offset
        return self
