"""From scores to labels: the threshold, and the rows it is found from."""

from typing import Any

import numpy as np

from ..models.base import Model
from ..models.scores import scores_of
from ..rows.limits import WORST
from ..rows.threshold import (
    AT_MOST,
    FALSE_ALARMS,
    FEWEST,
    Contamination,
    calibrated_threshold,
    find_threshold,
    folds,
    p_values,
)
from .inputs import RowInput
from .labels import Labelling


class Deciding(Labelling, RowInput):
    """The threshold and p-values of a detector that has a `model_`.

    Parameters
    ----------
    contamination : float or "auto", default="auto"
        "auto" sets the threshold so that about 3 % of new normal rows are flagged: it comes from
        scores of training rows by models that did not learn from them. A number from 0 to 0.5 is
        the share of training rows to flag.
    """

    contamination: Contamination = "auto"

    def _learn(self, X: np.ndarray) -> Model:
        """Learn from validated rows in one step; override `_fit` to learn in several."""
        raise NotImplementedError(f"{type(self).__name__} must say how it learns.")

    def _set_threshold(self, X: np.ndarray, *, calibrate: bool = True) -> None:
        self.__dict__.pop("calibration_scores_", None)
        if not calibrate or self.contamination != "auto" or len(X) < FEWEST:
            self.offset_ = self._threshold(self.model_, X)
            return
        self.calibration_scores_ = np.sort(_finite(self._unseen_scores(X), X))
        self.offset_ = calibrated_threshold(self.calibration_scores_)
        worst = find_threshold(self._training_scores(self.model_, X), 1 / len(X))
        if worst <= calibrated_threshold(self.calibration_scores_, AT_MOST):
            self.offset_ = max(self.offset_, worst)

    def _threshold(self, model: Model, X: np.ndarray) -> float:
        """The threshold that a share of training rows is below."""
        share = FALSE_ALARMS if self.contamination == "auto" else self.contamination
        return find_threshold(_finite(self._training_scores(model, X), X), share)

    def _training_scores(self, model: Model, X: np.ndarray) -> np.ndarray:
        return scores_of(model, X)

    def _unseen_scores(self, X: np.ndarray) -> np.ndarray:
        """Scores of training rows by models like this one that did not learn from them."""
        return np.concatenate(
            [scores_of(self._learn(X[some]), X[others]) for some, others in self._folds(len(X))]
        )

    def _folds(self, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
        seed = getattr(self, "random_state", 0)
        if isinstance(seed, np.random.RandomState):
            seed = int(seed.randint(2**31 - 1))
        return folds(n, seed)

    def p_values(self, X: Any) -> np.ndarray:
        """Share of normal rows that score as low as each row. Needs ``contamination="auto"``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            At least 1 / (1 + n) with the n scores of `calibration_scores_`, at most 1. Of new
            normal rows, a share of about a has a p-value of at most a.

        Raises
        ------
        AttributeError
            If the detector was fitted with another `contamination`, or on fewer than 20 rows.
        """
        scores = self.score_samples(X)
        if not hasattr(self, "calibration_scores_"):
            raise AttributeError(
                f"p_values needs a fit with contamination='auto' on at least {FEWEST} rows; this "
                f"{type(self).__name__} has contamination={self.contamination!r}."
            )
        return p_values(scores, self.calibration_scores_)


def _finite(scores: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Refuse rows that have no score to speak of."""
    if lost := int(np.count_nonzero(scores <= -WORST)):
        raise ValueError(
            f"{lost} training rows have no finite score; X holds "
            f"values up to {np.nanmax(np.abs(X)):.3g}, scale it (StandardScaler)."
        )
    return scores
