"""What every detector shares: validation, chunked scoring, the threshold and its sign."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted

from ._inputs import readable, validated
from ._linear import LARGEST
from ._params import Params, Range
from ._rows import warn_of_rows
from ._threads import in_threads

Contamination = Literal["auto"] | Annotated[float, Range(0, 0.5)]

CHUNK = 4096  # rows scored at a time,
CHUNK_VALUES = 2**17  # fewer of them where rows are wide: a chunk should stay in the cache
MULTIPLE = 32  # a chunk is padded to a multiple of this many rows, see `in_chunks`

WORST = 1e300  # the largest error: that of a row without a value; means of many stay finite


def chunks(X: np.ndarray, size: int | None = None) -> list[np.ndarray]:
    """Cut rows into blocks of `size`, or of a few thousand, less where they are wide."""
    size = size or max(MULTIPLE, min(CHUNK, CHUNK_VALUES // X.shape[1] // MULTIPLE * MULTIPLE))
    return [X[start : start + size] for start in range(0, len(X), size)]


def in_chunks(
    function: Callable[[np.ndarray], np.ndarray], X: np.ndarray, size: int | None = None
) -> np.ndarray:
    """Apply a row-by-row function to blocks of rows, so that memory stays bounded.

    Matrix products and vectorised exponentials round differently at the ragged end of a block.
    Blocks are therefore padded, to a multiple of 32 rows, which suffices for torch in float32, or
    to exactly `size` rows: on most processors a row's result does not depend, not even in its last
    digit, on how many came with it. Several blocks are worked on at a time, in threads.
    """

    def of_block(block: np.ndarray) -> np.ndarray:
        padding = -len(block) % (size or MULTIPLE)
        if not padding:
            return function(block)
        padded = np.concatenate([block, np.repeat(block[-1:], padding, axis=0)])
        return function(padded)[: len(block)]

    results, done = np.empty(0), 0
    for result in in_threads(of_block, chunks(X, size)):
        if done == 0:
            results = np.empty((len(X), *result.shape[1:]), result.dtype)
        results[done : done + len(result)] = result
        done += len(result)
    return results


def find_threshold(
    scores: np.ndarray, contamination: float | Literal["auto"], *, logarithmic: bool = False
) -> float:
    """Score below which a row is an outlier.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Of the training rows, high = normal.
    contamination : float or "auto"
        A share: that many of the rows fall below, or fewer where rows tie at the boundary. 0: none
        does. "auto": rows beyond Tukey's upper fence (third quartile + 1.5 x interquartile range)
        of the logarithmic error, and in any case the worst one and those that tie with it, unless
        all do. Where scores are likelihoods, and may be positive, of minus the score itself.
    logarithmic : bool, default=False
        Whether minus the score is like a logarithm already.

    Returns
    -------
    float
        Halfway between the two neighbouring scores where a number of rows is asked for.
    """
    ordered = np.sort(scores)
    if contamination != "auto":
        return _between(ordered, round(contamination * len(ordered)))
    error = -ordered
    if error[-1] >= 0 and not logarithmic:
        error = np.log(np.maximum(error, np.finfo(np.float64).tiny))
    lower, upper = np.percentile(error, [25, 75])
    beyond = int(np.count_nonzero(error > upper + 1.5 * (upper - lower)))
    worst = int(np.count_nonzero(ordered == ordered[0]))
    return _between(ordered, max(beyond, worst) if worst < len(ordered) else 0)


def _between(ordered: np.ndarray, k: int) -> float:
    """Return a value above the k lowest of the sorted scores and not above the others.

    Of equal scores on both sides, none is below.
    """
    if k == 0:
        return float(ordered[0])
    below, above = ordered[k - 1], ordered[k]
    middle = below + (above - below) / 2
    return float(middle if middle > below else above)


def _bounded(X: np.ndarray) -> np.ndarray:
    """Put the largest number that can be computed with in place of larger ones."""
    return X.clip(-LARGEST, LARGEST) if X.dtype == np.float64 else X


def in_dtype(results: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert float64, and what is too large for float32 to its largest number."""
    limits = np.finfo(dtype)
    if results.dtype != dtype:
        results = results.clip(float(limits.min), float(limits.max))
    return results.astype(dtype, copy=False)


@contextmanager
def _all_or_nothing(estimator: object) -> Iterator[None]:
    """Undo every change of the estimator's attributes if the block fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class Detector(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    OutlierMixin,
    CallbackSupportMixin,
    Params,
    ABC,
):
    """Base of detectors that squeeze a row into a code and rebuild it.

    A subclass says how it is fitted (`_fit`), how rows become codes (`_encode`), how codes become
    rows (`_decode`) and how wrong each rebuilt value is (`_feature_errors`), all on plain arrays.

    Scores follow scikit-learn: high means normal, ``decision_function`` is the score above the
    threshold, and ``predict`` returns +1 for inliers and -1 for outliers.
    """

    contamination: Contamination = "auto"

    _block_size: ClassVar[int | None] = None  # rows, where a multiple of 32 is not enough
    _min_features: ClassVar[int] = 2  # of one column nothing is left to compress

    @abstractmethod
    def _fit(self, X: np.ndarray, y: Any) -> None:
        """Learn from validated rows; set fitted attributes. `y` is for callbacks only."""

    @abstractmethod
    def _encode(self, X: np.ndarray) -> np.ndarray:
        """Codes (n, latent_dim) of rows (n, n_features), in float64."""

    @abstractmethod
    def _decode(self, Z: np.ndarray) -> np.ndarray:
        """Rows (n, n_features) of codes (n, latent_dim), in float64."""

    @abstractmethod
    def _feature_errors(self, X: np.ndarray) -> np.ndarray:
        """Error of each rebuilt value, same shape as `X`, in float64."""

    @property
    def _logarithmic(self) -> bool:
        """Whether scores are like logarithms already."""
        return False

    @property
    def _units_matter(self) -> bool:
        """Whether a column counts for more if its values are larger."""
        return True

    @property
    @abstractmethod
    def _n_features_out(self) -> int:
        """Number of columns that `transform` returns."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what normal rows look like, and the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, at least two. NaN stands for a missing value: the column mean goes into
            the network instead, and errors are taken over observed values only. Each row and each
            column needs an observed value. Sparse matrices are made dense.
        y : ignored
            Nothing is learned from it; callbacks that score get it.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are unusable; the message names which. The estimator is
            then left as it was before the call.

        Warns
        -----
        UserWarning
            If all columns are constant; if there are 5 rows or fewer; if the ranges of columns
            differ by more than a factor of 1,000, where that decides what counts.
        """
        with _all_or_nothing(self):
            return self._fit_with_callbacks(X, y)

    @with_callbacks
    def _fit_with_callbacks(self, X: Any, y: Any) -> Self:
        prepared = self._prepared(X)
        warn_of_rows(
            prepared,
            getattr(self, "feature_names_in_", None),
            units_matter=self._units_matter and getattr(X, "ndim", 2) <= 2,
        )
        self._fit(prepared, y)
        self._set_threshold(prepared)
        return self

    def _prepared(self, X: Any) -> np.ndarray:
        """Check parameters and training rows."""
        self._check_params()
        return self._scorable(X, reset=True)

    def _scorable(self, X: Any, *, reset: bool = False) -> np.ndarray:
        """Return validated rows whose error can be told."""
        return self._validate(X, reset=reset)

    @property
    def _column_names(self) -> Sequence[Any]:
        """What columns are called in errors: by their numbers where they have no names."""
        return getattr(self, "feature_names_in_", range(self.n_features_in_))

    def _set_threshold(self, X: np.ndarray) -> None:
        self.offset_ = self._threshold(X)

    def _threshold(self, X: np.ndarray) -> float:
        scores = self._training_scores(X)
        lost = int(np.count_nonzero(scores <= -WORST))
        if lost:
            raise ValueError(
                f"{lost} training rows have no finite score; X holds "
                f"values up to {np.nanmax(np.abs(X)):.3g}, scale it (StandardScaler)."
            )
        return find_threshold(scores, self.contamination, logarithmic=self._logarithmic)

    def _training_scores(self, X: np.ndarray) -> np.ndarray:
        return self._score(X)

    @contextmanager
    def _one_task(self, X: np.ndarray, y: Any) -> Iterator[None]:
        """Tell callbacks of a fit that has no steps."""
        context = self._init_callback_context(max_subtasks=0)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        yield
        context.call_on_fit_task_end(
            estimator=self,
            X=X,
            y=y,
            reconstruction_attributes=lambda: {"offset_": self._threshold(X)},
        )

    def transform(self, X: Any) -> np.ndarray:
        """Codes of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, latent_dim_), or what `set_output` asks for
            In the dtype of `X`. A row without a value has the code of the column means.
        """
        X = self._validate(X)
        return in_dtype(self._in_chunks(self._encode, X), X.dtype)

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Rows rebuilt from codes.

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
        return in_dtype(self._in_chunks(self._decode, _bounded(Z)), Z.dtype)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Rows as the detector rebuilds them: encoded and decoded.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            In the dtype of `X`. A row without a value is rebuilt as the column means are.
        """
        rows = self._validate(X)
        rebuilt = in_dtype(self._in_chunks(self._reconstruct, rows), rows.dtype)
        return self._in_layout_of(X, rebuilt)

    def score_features(self, X: Any) -> np.ndarray:
        """Error of each value: which columns make a row strange.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float64
            Not negative; NaN where `X` is, a row without a value too. The mean of a row's observed
            values is minus its score, unless the detector scores by a likelihood.
        """
        errors = self._in_chunks(self._feature_errors, self._scorable(X))
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
            Finite. A row without a value (all NaN) has the lowest score there is, -1e300.
        """
        return self._score(self._scorable(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Score above the threshold: ``score_samples(X) - offset_``. Negative means outlier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """+1 for inliers, -1 for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,), int
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`, so that grid search prefers the lower error.

        It prefers the identity, too: maximised over ``latent_dim`` it picks the widest code,
        which detects nothing. With labelled rows, search with an ROC AUC scorer instead.

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

    def _score(self, X: np.ndarray) -> np.ndarray:
        errors = self._in_chunks(self._row_errors, X)
        maybe_empty = np.flatnonzero(np.isnan(X[:, 0]))
        errors[maybe_empty[np.isnan(X[maybe_empty]).all(axis=1)]] = WORST
        return -np.fmin(errors, WORST)  # also where an error is NaN, as infinity less infinity is

    def _in_chunks(self, function: Callable[[np.ndarray], np.ndarray], X: np.ndarray) -> np.ndarray:
        """Apply `function` to blocks of rows, of which some may be too large to compute with."""
        quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")
        try:
            return in_chunks(quietly(function), X, self._block_size)
        finally:
            self._release()

    def _release(self) -> None:
        """Give back memory that was kept from one block of rows to the next."""

    def _row_errors(self, X: np.ndarray) -> np.ndarray:
        """Mean error over the observed columns."""
        observed = ~np.isnan(X)
        return np.where(observed, self._feature_errors(X), 0).sum(1) / observed.sum(1)

    def _reconstruct(self, X: np.ndarray) -> np.ndarray:
        return self._decode(self._encode(X))

    def _validate(self, X: Any, *, reset: bool = False) -> np.ndarray:
        """Return `X` as a C-ordered float array, NaN for gaps; errors name row and column."""
        if not reset:
            check_is_fitted(self)
        array = X if not reset and self._is_ready(X) else self._checked(X, reset)
        if not -LARGEST <= float(array.min()) <= float(array.max()) <= LARGEST:  # or some are NaN
            self._refuse_unusable(array, reset)
            array = _bounded(array)
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

    def _checked(self, X: Any, reset: bool) -> np.ndarray:
        X = readable(X)
        return validated(
            self,
            X if getattr(X, "ndim", 2) <= 2 else self._as_rows(np.asarray(X), reset),
            reset=reset,
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite=False,
            ensure_min_samples=2 if reset else 1,
            ensure_min_features=self._min_features if reset else 1,
        )

    def _as_rows(self, X: np.ndarray, reset: bool = False) -> np.ndarray:
        """Images or windows (n, ...) as rows (n, n_features)."""
        return X.reshape(len(X), -1)

    def _from_rows(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Undo `_as_rows`."""
        return rows.reshape(shape)

    def _in_layout_of(self, X: Any, rows: np.ndarray) -> np.ndarray:
        """Give results the shape that the images or windows `X` came in."""
        return self._from_rows(rows, X.shape) if getattr(X, "ndim", 2) > 2 else rows

    def _refuse_unusable(self, X: np.ndarray, reset: bool) -> None:
        """Raise for infinite values; at fit also for huge ones, and empty rows or columns."""
        missing, infinite = np.isnan(X), np.isinf(X)
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            raise ValueError(
                f"Input X contains infinity (inf) in column {self._name_of(column)}, row {row}; "
                f"{infinite.any(1).sum()} of {len(X)} rows have such values. Replace them; NaN "
                "stands for a missing value."
            )
        if not reset:
            return
        if missing.all(axis=1).any():
            raise ValueError(
                f"Row {missing.all(axis=1).argmax()} of X has no observed value (all NaN); "
                f"{missing.all(axis=1).sum()} of {len(X)} rows are so. Drop them."
            )
        if missing.all(axis=0).any():
            column = self._name_of(missing.all(axis=0).argmax())
            raise ValueError(f"Column {column} of X has no observed value (all NaN). Drop it.")
        largest = np.fmax.reduce(np.abs(X)).astype(np.float64)
        if largest.max() > LARGEST:
            raise ValueError(
                f"Column {self._name_of(largest.argmax())} of X holds values up to "
                f"{largest.max():.3g} in size, whose squares are too large to compute with. Put "
                "NaN where they stand for missing values; or divide the column by a constant, or "
                "take its logarithm."
            )

    def _name_of(self, column: int) -> str:
        names = getattr(self, "feature_names_in_", None)
        return str(column) if names is None else repr(names[column])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def default_latent_dim(n_features: int) -> int:
    """Square root of the number of columns, rounded up, and less than all of them."""
    return max(1, min(n_features - 1, int(np.ceil(np.sqrt(n_features)))))
