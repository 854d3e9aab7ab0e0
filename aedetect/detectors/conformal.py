"""Thresholds with a guarantee: conformal p-values around any detector."""

from typing import Annotated, Any, Literal, Self

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import false_discovery_control
from sklearn.model_selection import KFold, LeaveOneOut, train_test_split
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import _num_samples, check_is_fitted

from ..params import Range, all_or_nothing, refuse_unless
from ..rows.threshold import calibrated_threshold, p_values
from ..warn import warn
from .wrapper import Wrapper, scores_by

Share = Annotated[float, Range(0, 1, above_low=True)]


class ConformalDetector(Wrapper):
    """Flags, on average, at most a share `alpha` of new normal rows, with any detector.

    A row's p-value is the share of calibration rows, itself among them, with a score as low. If
    rows are exchangeable (every order of them is equally likely), the probability that a new normal
    row has a p-value of at most alpha is at most alpha. This is an average over sets of calibration
    rows: with n of them, the share flagged by one fit varies by about ``sqrt(alpha / n)``. It holds
    for the method "split"; see below for the others.

    Parameters
    ----------
    method : {"split", "cross", "jackknife+"}, default="split"
        "split" calibrates on rows that are held out. "cross" scores each row by one of `cv` models
        that did not learn from it, and new rows by a model of all rows; alpha is then approximate,
        not guaranteed. "jackknife+" fits one model per row, without that row, and uses it to
        compare that row with the new one; the p-value is the score, and the probability is at most
        2 alpha (Barber et al., 2021).
    alpha : float, default=0.05
        Probability that a normal row is flagged.
    calibration_size : float, default=0.25
        Share of the rows held out, for "split".
    cv : int, default=5
        Models of "cross".
    prefit : bool, default=False
        Whether `estimator` is fitted already; all rows given to `fit` are then for calibration.
    n_jobs : int, default=None
        Models fitted at a time, through joblib, for "cross" and "jackknife+".
    random_state : int, RandomState or None, default=None
        Seed of the split.

    Attributes
    ----------
    estimator_ : detector
        The fitted detector.
    estimators_ : list of detector
        For "jackknife+": those that each miss one row.
    calibration_scores_ : ndarray of shape (n,)
        Sorted, but for "jackknife+", where the i-th is of the i-th row.
    offset_ : float
        Threshold on the score.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    References
    ----------
    Laxhammar & Falkman, "Inductive conformal anomaly detection", 2015. Barber, Candes, Ramdas &
    Tibshirani, "Predictive inference with the jackknife+", 2021. Bates, Candes, Lei, Romano &
    Sesia, "Testing for outliers with conformal p-values", 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from aedetect import ConformalDetector
    >>> X = np.random.default_rng(0).standard_normal((500, 4))
    >>> forest = IsolationForest(random_state=0)
    >>> detector = ConformalDetector(estimator=forest, random_state=0).fit(X)
    >>> detector.predict([[0.0, 0, 0, 0], [9, 9, 9, 9]])
    array([ 1, -1])
    >>> detector.p_values([[9.0, 9, 9, 9]]).round(3)
    array([0.008])
    """

    method: Literal["split", "cross", "jackknife+"] = "split"
    alpha: Share = 0.05
    calibration_size: Share = 0.25
    cv: Annotated[int, Range(2)] = 5
    n_jobs: int | None = None
    random_state: Annotated[int, Range(0, 2**32 - 1)] | np.random.RandomState | None = None

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the detector, and score rows that it did not learn from.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Normal rows.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used; the message says which.

        Warns
        -----
        UserWarning
            If there are so few calibration rows that no p-value is as low as alpha.
        """
        self._check_params()
        if self.prefit:
            self._keep(self._known())
            self._calibrate(scores_by(self.estimator_, X))
        elif self.method == "split":
            (X,) = indexable(X)
            rows = np.arange(_num_samples(X))
            drawn = train_test_split(
                rows, test_size=self.calibration_size, random_state=self._rng()
            )
            learned, others = map(np.sort, drawn)  # a column that only goes on is still one
            self._keep(self._unfitted().fit(_safe_indexing(X, learned)))
            self._calibrate(scores_by(self.estimator_, _safe_indexing(X, others)))
        else:
            self._resample(X)
        return self

    def _resample(self, X: Any) -> None:
        """Score each row by a model that did not learn from it."""
        (X,), left_out = indexable(X), LeaveOneOut()
        if self.method == "cross":
            left_out = KFold(self.cv, shuffle=True, random_state=self._rng())
        jobs = (
            delayed(_without)(self._unfitted(), X, *rows)
            for rows in left_out.split(np.empty(_num_samples(X)))
        )
        found = Parallel(self.n_jobs)(jobs)
        self._keep(self._unfitted().fit(X))
        self._calibrate(np.concatenate([scores for _, scores in found]))
        if self.method == "jackknife+":
            self.estimators_ = [estimator for estimator, _ in found]
            self.calibration_scores_ = np.concatenate([scores for _, scores in found])
            self.offset_ = np.nextafter(self.alpha, 1)

    def _rng(self) -> np.random.RandomState:
        seed = self.random_state
        return seed if isinstance(seed, np.random.RandomState) else np.random.RandomState(seed)

    def _calibrate(self, scores: np.ndarray) -> None:
        smallest = 1 / (len(scores) + 1)
        if self.alpha < smallest:
            warn(
                f"alpha={self.alpha} flags nothing with {len(scores)} calibration rows: their "
                f"smallest p-value is {smallest:.2g}. Calibrate on more rows."
            )
        self.__dict__.pop("estimators_", None)
        self.calibration_scores_, self.offset_ = np.sort(scores), -np.inf
        if self.alpha >= smallest:
            self.offset_ = calibrated_threshold(self.calibration_scores_, self.alpha)

    def recalibrate(self, X: Any) -> Self:
        """Take the threshold from other normal rows, as after a drift, without learning anew.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Normal rows that were not learned from.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the method is "jackknife+", whose calibration is that of the rows learned from.
        """
        check_is_fitted(self)
        if hasattr(self, "estimators_"):
            raise ValueError(
                "method='jackknife+' compares with the rows learned from; use 'split' or 'cross'."
            )
        self._calibrate(scores_by(self.estimator_, X))
        return self

    def p_values(self, X: Any) -> np.ndarray:
        """Probability that a normal row scores as low, in the sense of this class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            From 1 / (n + 1), with n calibration rows, to 1.
        """
        check_is_fitted(self)
        if not hasattr(self, "estimators_"):
            return p_values(scores_by(self.estimator_, X), self.calibration_scores_)
        pairs = zip(self.estimators_, self.calibration_scores_, strict=True)
        as_low = sum((own <= scores_by(estimator, X)).astype(int) for estimator, own in pairs)
        return (1 + as_low) / (1 + len(self.calibration_scores_))

    def score_samples(self, X: Any) -> np.ndarray:
        """Score of each row by the wrapped detector; for "jackknife+", its p-value.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            High = normal.
        """
        check_is_fitted(self)
        return self.p_values(X) if hasattr(self, "estimators_") else super().score_samples(X)

    def predict_fdr(self, X: Any, q: float = 0.1) -> np.ndarray:
        """Label rows so that, on average, at most about a share `q` of those flagged is normal.

        The procedure of Benjamini & Hochberg (1995), on all rows given. Conformal p-values of one
        calibration depend on each other in a way that it tolerates (Bates et al., 2023), if
        calibration rows and the normal ones among `X` are exchangeable.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows that are judged together.
        q : float, default=0.1
            False discovery rate.

        Returns
        -------
        ndarray of shape (n_samples,), int
            +1 for inliers, -1 for outliers.
        """
        refuse_unless(Share, "q", q)
        return np.where(false_discovery_control(self.p_values(X)) <= q, -1, 1)


def _without(estimator: Any, X: Any, learned: np.ndarray, others: np.ndarray) -> Any:
    fitted = estimator.fit(_safe_indexing(X, learned))
    return fitted, scores_by(fitted, _safe_indexing(X, others))
