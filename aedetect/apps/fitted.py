"""Whether the parts of a fitted detector, such as one from a file, belong together."""

import math
from typing import Any

from sklearn.utils.validation import check_is_fitted

from ..detectors.patches import PatchDetector
from ..models.base import refuse_shapes, refuse_unless_positive
from ..params import Count, allows

FITTED = {"estimator_", "shape_", "size_", "stride_", "usual_", "map_limits_", "offset_"}


def check_patches(detector: PatchDetector) -> None:
    """Raise ValueError where parts of what was fitted are missing, or do not belong together."""
    missing = FITTED - vars(detector).keys()
    if missing == FITTED:
        return
    if missing:
        raise ValueError(f"PatchDetector has no {min(missing)}")
    size, stride, shape = detector.size_, detector.stride_, detector.shape_
    whole = len(shape) == 3 and all(allows(Count, n) for n in (size, stride, *shape))
    if not whole or not stride <= size <= min(shape[:2]):
        raise ValueError(f"size_={size}, stride_={stride} and shape_={shape} do not fit together")
    check_is_fitted(detector.estimator_)
    width = size**2 * shape[2]
    if getattr(detector.estimator_, "n_features_in_", width) != width:
        raise ValueError(f"estimator_ does not score patches of {width} values")
    refuse_shapes(usual_=(detector.usual_, tuple(shape[:2])))
    for usual in (detector.usual_.min(), detector.usual_.max()):
        refuse_unless_positive(usual_=usual)
    limits = detector.map_limits_
    if not allows(tuple[float, ...], limits) or len(limits) != 2 or not limits[0] <= limits[1]:
        raise ValueError(f"map_limits_={limits} are no two errors in their order")


def check_threshold(thing: Any) -> None:
    """Raise where the threshold of a fitted detector, or what it was found from, cannot be."""
    offset = getattr(thing, "offset_", 0.0)
    if not isinstance(offset, float) or math.isnan(offset):
        raise ValueError(f"offset_={offset!r} is no threshold")
    if (scores := getattr(thing, "calibration_scores_", None)) is not None:
        refuse_shapes(calibration_scores_=(scores, (None,)))
        of_models = getattr(thing, "method", None) == "jackknife+"  # one score a model
        if not of_models and not (scores[:-1] <= scores[1:]).all():
            raise ValueError("calibration_scores_ are not sorted")
