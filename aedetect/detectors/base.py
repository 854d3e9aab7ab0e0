"""What every detector shares: validation, codes, rebuilt rows and scores."""

from abc import ABC
from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted

from ..models.base import Model
from ..models.scores import in_blocks, scores_of
from ..params import all_or_nothing
from ..rows.checks import refuse_infinite, refuse_out_of_range, refuse_unusable, warn_of_rows
from ..rows.inputs import readable
from ..rows.limits import LARGEST, WORST, bounded, in_dtype
from .decision import Deciding


class Detector(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    CallbackSupportMixin,
    Deciding,
    ABC,
):
    """Base class of detectors that compress a row into a code and rebuild it.

    A subclass defines its parameters and how it learns (`_learn`). Everything learned is in
    `model_`, which encodes, rebuilds and computes errors on plain arrays.

    Scores follow scikit-learn: high means normal, ``decision_function`` is the score minus the
    threshold, and ``predict`` returns +1 for inliers and -1 for outliers.
    """

    @property
    def _units_matter(self) -> bool:
        """Whether a column counts for more if its values are larger."""
        return True

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what normal rows look like, and set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two. NaN marks a missing value: the network receives the column
            mean instead, and errors are averaged over observed values only. Each row and each
            column must have an observed value. Sparse matrices are converted to dense.
        y : ignored
            Not used for learning, but passed to callbacks that compute scores.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data cannot be used; the message says which. The estimator is
            then left as it was before the call.

        Warns
        -----
        UserWarning
            If all columns are constant; if there are 5 rows or fewer; if the ranges of columns
            differ by more than a factor of 1,000 and the score depends on their scale.
        """
        return self._fit_with_callbacks(X, y)

    @with_callbacks
    def _fit_with_callbacks(self, X: Any, y: Any) -> Self:
        rows = self._prepared(X)
        warn_of_rows(
            rows,
            getattr(self, "feature_names_in_", None),
            units_matter=self._units_matter and getattr(X, "ndim", 2) <= 2,
        )
        self.model_: Any = self._fit(rows, y)
        self._set_threshold(rows)
        return self

    def _fit(self, X: np.ndarray, y: Any) -> Model:
        """Learn, in one step that callbacks are told of."""
        now: dict[str, Any] = {"estimator": self, "X": X, "y": y}
        context = self._init_callback_context(max_subtasks=0)
        context.call_on_fit_task_begin(**now)
        model = self._learn(X)
        context.call_on_fit_task_end(
            **now, reconstruction_attributes=lambda: self._attributes(model, X)
        )
        return model

    def _attributes(self, model: Model, X: np.ndarray) -> dict[str, Any]:
        """What an estimator with that model has, for callbacks that score."""
        return {"model_": model, "offset_": self._threshold(model, X)}

    def _prepared(self, X: Any) -> np.ndarray:
        """Check parameters and training rows."""
        self._check_params()
        rows = self._validate(X, reset=True)
        if self._bounded:
            refuse_out_of_range(rows, self._column_names)
        return rows

    def _scorable(self, X: Any) -> np.ndarray:
        """Return validated rows whose error can be told."""
        rows = self._validate(X)
        if self.model_.bounded:
            refuse_out_of_range(rows, self._column_names)
        return rows

    @property
    def _bounded(self) -> bool:
        """Whether the error takes values from 0 to 1 only."""
        return False

    @property
    def _n_features_out(self) -> int:
        """Number of columns that `transform` returns."""
        return self.model_.latent_dim

    def transform(self, X: Any) -> np.ndarray:
        """Encode rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, latent_dim_), or what `set_output` asks for
            Codes, in the dtype of `X`. A row without observed values has the code of the column
            means.
        """
        X = self._validate(X)
        return in_dtype(in_blocks(self.model_, self.model_.codes, X), X.dtype)

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Rebuild rows from codes.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_dim_)
            Codes.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        with np.errstate(over="ignore", invalid="ignore"):  # it adds up all values
            Z = check_array(
                readable(Z, "Z"), dtype=[np.float64, np.float32], order="C", input_name="Z"
            )
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {Z.shape[1]} columns; codes of this {type(self).__name__} have "
                f"{self._n_features_out}."
            )
        return in_dtype(in_blocks(self.model_, self.model_.rows, bounded(Z)), Z.dtype)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Encode and decode rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the dtype of `X`. A row without observed values is rebuilt like the column means.
        """
        rows = self._validate(X)
        rebuilt = in_dtype(in_blocks(self.model_, self.model_.rebuilt, rows), rows.dtype)
        return self._in_layout_of(X, rebuilt)

    def score_features(self, X: Any) -> np.ndarray:
        """Error of each value, which shows the columns that make a row anomalous.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float64
            Nonnegative; NaN wherever `X` is NaN. The mean over a row's observed values is minus
            its score, unless the detector scores by a likelihood, or is an ensemble whose members
            see some columns each or combine their errors in another way than by the mean.
        """
        rows = self._scorable(X)
        errors = in_blocks(self.model_, self.model_.errors, rows)
        return self._in_layout_of(X, np.minimum(errors, WORST))

    def score_samples(self, X: Any) -> np.ndarray:
        """Score of each row: minus the mean error over its observed columns. High means normal.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Finite. A row without observed values (all NaN) gets the lowest score, -1e300.
        """
        rows = self._scorable(X)
        return scores_of(self.model_, rows)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`, so that grid search prefers lower errors.

        It also prefers the identity: maximised over ``latent_dim``, it selects the widest code,
        which detects nothing. If rows have labels, search with an ROC AUC scorer instead.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        float
        """
        return float(self.score_samples(X).mean())

    def _validate(self, X: Any, *, reset: bool = False) -> np.ndarray:
        """Return `X` as a C-ordered float array, NaN for gaps; errors name row and column."""
        if not reset:
            check_is_fitted(self)
        array = X if not reset and self._is_ready(X) else self._checked(X, reset)
        if not -LARGEST <= float(array.min()) <= float(array.max()) <= LARGEST:  # or some are NaN
            refuse_infinite(array, self._column_names)
            if reset:
                refuse_unusable(array, self._column_names)
            array = bounded(array)
        return array

    def _is_ready(self, X: Any) -> bool:
        """Say whether scikit-learn's checks, longer than scoring a row, would find nothing."""
        return (
            type(X) is np.ndarray
            and X.dtype in (np.float32, np.float64)
            and X.ndim == 2
            and X.shape[1] == self.n_features_in_
            and len(X) > 0
            and X.flags.c_contiguous
            and not hasattr(self, "feature_names_in_")
        )

    @property
    def _sk_visual_block_(self) -> Any:
        """How a notebook shows it once fitted: below its name, what the fit says of itself."""
        if not hasattr(self, "offset_"):
            raise AttributeError(f"{type(self).__name__} has not been fitted.")
        from sklearn.utils._repr_html.estimator import _VisualBlock  # none is public

        names = {"names": type(self).__name__, "name_details": str(self)}
        return lambda: _VisualBlock("single", self, **names, name_caption=self._summary())

    def _summary(self: Any) -> str:
        """Width of the code, error beside means and PCA, and threshold."""
        told = [f"threshold {self.offset_:.3g}"]
        if hasattr(self, "latent_dim_"):
            told.insert(0, f"code of {self.latent_dim_}")
        if report := getattr(self, "fit_report_", None):
            told.append(
                f"error {report['error']:.3g} on {report['rows']} rows (column means "
                f"{report['mean_row_error']:.3g}, PCA {report['pca_error']:.3g})"
            )
        return "; ".join(told)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def prepared(detector: Detector, X: Any) -> np.ndarray:
    """What `fit` makes of rows before it learns from them."""
    return detector._prepared(X)
