"""What is inside a detector: the steps of a Pipeline, and what wrappers hold."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .wrapper import Wrapper


def inwards(detector: Any) -> Iterator[Any]:
    """A detector, the last step of a Pipeline, what a wrapper holds, and so on."""
    yield detector
    if isinstance(detector, Pipeline):
        yield from inwards(detector[-1])
    elif isinstance(detector, Wrapper):
        check_is_fitted(detector)
        yield from inwards(detector.estimator_)


def fact(detector: Any, name: str) -> Any:
    """A fitted attribute of the outermost detector that has it, or None."""
    return next((getattr(part, name) for part in inwards(detector) if hasattr(part, name)), None)


def threshold_of(detector: Any) -> float:
    """The threshold in force on the scores of the detector behind all wrappers."""
    if fact(detector, "method") == "jackknife+":
        raise TypeError(f"{detector} has a threshold on p-values, none on scores.")
    return float(fact(detector, "offset_"))


def calibration_of(detector: Any) -> np.ndarray | None:
    """Scores of rows that were not learned from, if there are any on the scale of its scores."""
    if fact(detector, "method") == "jackknife+":
        return None  # its scores are p-values; each of these is of a model of its own
    known: np.ndarray | None = fact(detector, "calibration_scores_")
    return known


def unwrapped(detector: Any) -> Any:
    """The detector that scores, behind all steps on the way to it; without wrappers."""
    steps = list(_steps_to(detector))
    return steps[0] if len(steps) == 1 else Pipeline([(str(i), s) for i, s in enumerate(steps)])


def _steps_to(detector: Any) -> Iterator[Any]:
    if isinstance(detector, Pipeline):
        yield from steps(detector)[:-1]
        yield from _steps_to(detector[-1])
    elif isinstance(detector, Wrapper):
        check_is_fitted(detector)
        yield from _steps_to(detector.estimator_)
    else:
        yield detector


def steps(detector: Any) -> list[Any]:
    """The steps of a Pipeline, but those that do nothing, or the detector alone."""
    if not isinstance(detector, Pipeline):
        return [detector]
    return [step for _, step in detector.steps if step not in ("passthrough", None)]


def last(detector: Any) -> Any:
    """The detector at a Pipeline's end."""
    return steps(detector)[-1]


def before(detector: Any) -> Pipeline | None:
    """What a Pipeline does to rows before they reach its detector."""
    return detector[:-1] if len(steps(detector)) > 1 else None


def scored(detector: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and the error of each value."""
    path, end = before(detector), last(detector)
    Z = X if path is None else path.transform(X)
    return end.score_samples(Z), np.nan_to_num(np.asarray(end.score_features(Z)), nan=0.0)


def rebuilt(detector: Any, X: Any) -> Any:
    """Rebuilt rows in the units of `X`."""
    path, end = before(detector), last(detector)
    if path is None:
        return end.reconstruct(X)
    return path.inverse_transform(end.reconstruct(path.transform(X)))
