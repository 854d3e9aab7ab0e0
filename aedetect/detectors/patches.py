"""Patch detector: which pixels of an image are strange, and which images."""

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Self

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ..chance import seeded
from ..images.windows import images_of, some_windows, stitched
from ..params import Count, NotNegative, Params, Range, all_or_nothing
from ..rows.threshold import (
    FEWEST,
    Contamination,
    calibrated_threshold,
    find_threshold,
    folds,
    p_values,
)
from ..warn import warn
from .base import Detector
from .decision import Deciding
from .labels import Labelling
from .pca import PCADetector
from .wrapper import scores_by

LIMITS = 0.99, 0.9999  # quantiles of errors of normal pixels: where the scale of maps lies
FEW = 5  # folds of fewer images than thresholds are told from
LEAST = 0.1  # of the usual error: what errors are divided by, at least


class PatchDetector(MetaEstimatorMixin, Labelling, Params):
    """Score images by their patches, and say of each pixel how strange it is.

    A detector learns patches from anywhere in the training images. The map of an image is the mean
    of the errors that overlapping patches find at each pixel, weighted so that no seams remain,
    and smoothed. The image's error is that of its strangest pixels, compared in two ways: with what
    is usual at these pixels, as more is at edges that differ from image to image, and with the rest
    of the image, as all of it may be coarse. Let t be the mean of its strangest pixels, each
    divided by the usual error there, and m the median of all: the error is ``sqrt(t * t / m)``, the
    geometric mean of both comparisons.

    Parameters
    ----------
    estimator : detector, default=None
        What scores patches. One of this package tells errors of pixels (`score_features`); any
        other, whose `score_samples` is high for normal rows, one error a patch. None:
        `PCADetector` with a sixteenth as many components as a patch has values.
    size : int, default=32
        Side of a patch in pixels; 1 for images of features (`TorchFeatures`).
    stride : int, default=None
        Pixels from one patch to the next, at most `size`; None: a quarter of it.
    smoothing : float, default=1.5
        Standard deviation of the Gaussian that smooths maps, in pixels; 0 for none.
    pooling : "max", "mean" or float, default=0.01
        The error of an image from those of its pixels: the largest, their mean, or the mean of that
        share of them, the largest ones. Also compared with the median, see above.
    max_patches : int, default=5000
        Patches to learn from at most, drawn at random.
    contamination : float or "auto", default="auto"
        "auto" sets the threshold so that about 3 % of new normal images are flagged, or, learned
        from n < 20, those stranger than each of them, about 1 / (n + 1); a number from
        0 to 0.5 is the share of the training images to flag, each as scored by a detector that did
        not learn from it.
    random_state : int, RandomState or None, default=None
        Of the draw of patches and the folds.

    Attributes
    ----------
    estimator_ : detector
        Fitted to patches.
    shape_ : tuple of int
        (height, width, channels) of images.
    size_, stride_ : int
        Side of patches, and pixels from one to the next, as fitted.
    usual_ : ndarray of shape (height, width)
        Mean error of each pixel in training images. As all that follows, told from maps by
        detectors that did not learn from the image, unless it is the only one.
    map_limits_ : (float, float)
        The error that 99 % of normal pixels are below, and that 99.99 % are: where the scale of
        drawn maps begins and ends, whatever image is drawn.
    calibration_scores_ : ndarray
        Sorted scores of training images. Only from at least 20 images.
    offset_ : float
        Threshold on the score.

    See Also
    --------
    make_image_detector : For small images that show one thing each.

    Examples
    --------
    >>> import numpy as np
    >>> from aedetect import PatchDetector
    >>> rng = np.random.default_rng(0)
    >>> waves = np.sin(np.arange(48) + rng.uniform(0, 6, (40, 1, 1)))
    >>> waves = waves + rng.normal(0, 0.1, (40, 48, 48))  # stripes and noise
    >>> detector = PatchDetector(size=8, random_state=0).fit(waves[:30])
    >>> waves[30, 20:24, 20:24] = 0
    >>> int(detector.score_samples(waves[30:]).argmin())
    0
    >>> strangest = int(detector.error_maps(waves[30:31]).argmax())
    >>> 20 <= strangest // 48 < 24 and 20 <= strangest % 48 < 24
    True
    """

    estimator: Any = None
    size: Count = 32
    stride: Count | None = None
    smoothing: NotNegative = 1.5
    pooling: Literal["max", "mean"] | Annotated[float, Range(0, 1, above_low=True)] = 0.01
    max_patches: Annotated[int, Range(2)] = 5_000
    contamination: Contamination = "auto"
    random_state: int | np.random.RandomState | None = None

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what patches of normal images look like, and set scale and threshold.

        Parameters
        ----------
        X : array-like of shape (n, height, width) or (n, height, width, channels)
            Normal images.
        y : ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter or the images cannot be used; the message says which.

        Warns
        -----
        UserWarning
            If there is one image.
        """
        self._check_params()
        images = images_of(X)
        self._refuse_misfits(images)
        self.size_, self.stride_ = self.size, self._stride
        seed = seeded(self.random_state).initial_seed() % 2**63
        estimator = self._learned(images, seed)
        maps = self._unseen_maps(estimator, images, seed)
        total, n = maps.sum(axis=0), len(maps)
        usual = _divisor(total / n)
        others = ((total - errors) / (n - 1) if n > 1 else total for errors in maps)
        pairs = zip(maps, others, strict=True)  # no image tells what is usual for itself
        scores = np.sort([self._score(errors / _divisor(told)) for errors, told in pairs])
        auto = self.contamination == "auto" and len(images) >= FEWEST
        share = 0.0 if self.contamination == "auto" else self.contamination
        low, high = np.quantile(maps.ravel(), LIMITS, overwrite_input=True)

        self.__dict__.pop("calibration_scores_", None)
        self.estimator_, self.shape_, self.usual_ = estimator, images.shape[1:], usual
        self.map_limits_ = float(low), float(high)
        self.offset_ = calibrated_threshold(scores) if auto else find_threshold(scores, share)
        if len(images) >= FEWEST:
            self.calibration_scores_ = scores
        return self

    def error_maps(self, X: Any) -> np.ndarray:
        """Error of each pixel. High means strange.

        Parameters
        ----------
        X : array-like of shape (n, height, width) or (n, height, width, channels)
            Images of the size of the training images.

        Returns
        -------
        ndarray of shape (n, height, width), float64
            In the estimator's unit; `map_limits_` says what is high.
        """
        images = self._images(X)
        return _stacked(self._maps(self.estimator_, images), images)

    def score_samples(self, X: Any) -> np.ndarray:
        """Score of each image. High means normal.

        Parameters
        ----------
        X : array-like of shape (n, height, width) or (n, height, width, channels)
            Images of the size of the training images.

        Returns
        -------
        ndarray of shape (n,), float64
            Minus the error of each image.
        """
        images = self._images(X)
        return self.score_maps(self._maps(self.estimator_, images))

    def score_maps(self, maps: Iterable[np.ndarray]) -> np.ndarray:
        """Score of each image from its map, where that is there already.

        Parameters
        ----------
        maps : iterable of ndarray of shape (height, width)
            As `error_maps` returns them.

        Returns
        -------
        ndarray of shape (n,), float64
            As `score_samples` returns them.
        """
        check_is_fitted(self)
        self._check_params()
        scores = []
        for errors in maps:
            if np.shape(errors) != self.shape_[:2]:
                raise ValueError(
                    f"maps has one of shape {np.shape(errors)}; expected {self.shape_[:2]}."
                )
            scores.append(self._score(errors / self.usual_))
        return np.array(scores)

    def p_values(self, X: Any) -> np.ndarray:
        """Share of normal images that score as low as each image.

        Parameters
        ----------
        X : array-like of shape (n, height, width) or (n, height, width, channels)
            Images.

        Returns
        -------
        ndarray of shape (n,), float64
            At least 1 / (1 + n) with the n scores of `calibration_scores_`, at most 1.

        Raises
        ------
        AttributeError
            If there were fewer than 20 training images.
        """
        check_is_fitted(self)
        if not hasattr(self, "calibration_scores_"):
            raise AttributeError(f"p_values needs a fit on at least {FEWEST} images.")
        return p_values(self.score_samples(X), self.calibration_scores_)

    def _refuse_misfits(self, images: np.ndarray) -> None:
        """Refuse patches that do not fit into the images or leave gaps, and what scores none."""
        scores = "score_samples", "decision_function"
        if self.estimator is not None and not any(hasattr(self.estimator, s) for s in scores):
            raise TypeError(f"estimator={self.estimator!r}; expected a detector with {scores[0]}.")
        n, height, width = images.shape[:3]
        if self.size > min(height, width):
            raise ValueError(
                f"size={self.size} exceeds images of {height} x {width} pixels; set size to at "
                f"most {min(height, width)}."
            )
        if n < 3 and self.size == height == width:
            raise ValueError(
                f"X has {n} images, and size={self.size} makes one patch of each; expected at "
                "least 3 images, or smaller patches."
            )
        if n == 1:
            warn(
                "X is one image: its own errors set the threshold, too low for others. Fit on more."
            )
        if self._stride > self.size:
            raise ValueError(f"stride={self.stride}; expected at most size={self.size}.")

    @property
    def _stride(self) -> int:
        return max(1, self.size // 4) if self.stride is None else self.stride

    def _images(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        self._check_params()
        images = images_of(X)
        if images.shape[1:] != self.shape_:
            found, known = (" x ".join(map(str, s)) for s in (images.shape[1:], self.shape_))
            raise ValueError(f"X has images of {found} values; the training images had {known}.")
        return images

    def _learned(self, images: np.ndarray, seed: int) -> Any:
        """The estimator, fitted to patches of some images."""
        latent_dim = max(1, self.size**2 * images.shape[3] // 16)
        estimator = PCADetector(latent_dim=latent_dim) if self.estimator is None else self.estimator
        estimator = clone(estimator)
        if isinstance(estimator, Deciding):
            estimator.set_params(contamination=0.0)  # no patch is labelled
        rng = np.random.default_rng(seed)
        patches = some_windows(images, self.size, self.max_patches, rng)
        return estimator.fit(_rows(estimator, patches))

    def _unseen_maps(self, estimator: Any, images: np.ndarray, seed: int) -> np.ndarray:
        """Maps (n, height, width) by detectors that did not learn from the image, if not alone."""
        parts = [(estimator, images)]
        if len(images) > 1:
            parts = [
                (self._learned(images[some], seed), images[others])
                for some, others in _folds(len(images), seed)
            ]
        return _stacked((errors for part in parts for errors in self._maps(*part)), images)

    def _maps(self, estimator: Any, images: np.ndarray) -> Iterator[np.ndarray]:
        def errors(patches: np.ndarray) -> np.ndarray:
            if isinstance(estimator, Detector):
                return estimator.score_features(patches).mean(axis=-1)
            found = -scores_by(estimator, _rows(estimator, patches))
            return np.broadcast_to(found[:, None, None], patches.shape[:3])

        for found in stitched(images, self.size_, self.stride_, errors):
            yield gaussian_filter(found, self.smoothing) if self.smoothing else found

    def _score(self, errors: np.ndarray) -> float:
        """Score of an image from the errors of its pixels, as multiples of what is usual."""
        share = {"max": 0.0, "mean": 1.0}.get(str(self.pooling))
        share = float(self.pooling) if share is None else share
        k = max(1, math.ceil(share * errors.size))
        strangest = float(np.partition(errors, -k, axis=None)[-k:].mean())
        return -strangest / math.sqrt(max(float(np.median(errors)), LEAST))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags


def _folds(n: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Indices of images to learn from, and of others to score; of few, each is scored."""
    if n >= FEWEST:
        return folds(n, seed)
    order = np.random.default_rng(seed).permutation(n)
    return [(np.setdiff1d(order, part), part) for part in np.array_split(order, min(n, FEW))]


def _divisor(usual: np.ndarray) -> np.ndarray:
    """Usual errors that others can be divided by."""
    return np.maximum(usual, LEAST * usual.mean() or 1.0)


def _stacked(maps: Iterable[np.ndarray], images: np.ndarray) -> np.ndarray:
    """Maps of images (n, height, width, channels) as one array, without a list of them between."""
    return np.fromiter(maps, np.dtype((np.float64, images.shape[1:3])))


def _rows(estimator: Any, patches: np.ndarray) -> np.ndarray:
    """Patches as the estimator takes them: flat, unless it knows that pixels share a unit."""
    return patches if isinstance(estimator, Detector) else patches.reshape(len(patches), -1)
