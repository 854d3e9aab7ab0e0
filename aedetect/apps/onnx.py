"""Detectors as graphs that run without Python (``pip install 'aedetect[onnx]'``)."""

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from ..detectors.base import Detector
from ..detectors.inside import fact, inwards, steps, unwrapped
from ..detectors.wrapper import Wrapper
from ..files import whole_file
from ..models.scores import scores_of
from ..tables.encoder import TableEncoder

OPSET = 18
TOLERANCE = 1e-4
ROWS = 256  # that are compared


def export_onnx(detector: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted detector as an ONNX graph: one file that scores rows without Python.

    The graph takes ``X``, rows (n, n_features) in float64 with NaN for missing values, n at least
    1, and returns ``score``, ``decision`` (float64) and ``label`` (int64), each (n,): what
    `score_samples`, `decision_function` and `predict` return, usually within a relative 1e-6. It
    uses operator set 18. Images and series are passed as the detector's `fit` flattens them. The
    graph refuses nothing: infinite values count as 1e100 and -1e100, and where no error can be
    computed, the score is the lowest, -1e300. Its metadata holds the detector's parameters, the
    columns' names and the version of this package.

    Before the file is written, `onnxruntime` scores 256 rows drawn around the training rows, near
    and far, half of them with gaps if the detector takes gaps.

    Parameters
    ----------
    detector : estimator
        A detector of this package, a Pipeline that ends in one, or `Threshold` or
        `ConformalDetector` around one of these. Other steps of the Pipeline must be among those
        that skl2onnx can convert in float64, as scikit-learn's scalers and PCA are.
    path : path
        Where to write the file, in an existing folder; it is written in full or not at all.

    Raises
    ------
    TypeError
        If a part of `detector` has no graph; the message names it. `TableEncoder` has none.
    ValueError
        If a score from the graph differs by more than 1e-4 of itself, or of the threshold if that
        is larger.
    ImportError
        If onnx, onnxruntime, onnxscript or skl2onnx is missing.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import aedetect
    >>> X = load_iris().data
    >>> detector = make_pipeline(StandardScaler(), aedetect.PCADetector(latent_dim=2)).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "detector.onnx")
    ...     aedetect.export_onnx(detector, path)
    ...     session = onnxruntime.InferenceSession(path)
    >>> score, decision, label = session.run(None, {"X": X})
    >>> bool(abs(score - detector.score_samples(X)).max() < 1e-9)
    True
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
        import skl2onnx  # noqa: F401
    except ImportError as error:
        needed = "export_onnx needs onnx, onnxruntime, onnxscript and skl2onnx"
        raise ImportError(f"{needed}: pip install 'aedetect[onnx]' ({error})") from error
    before, last, offset = _taken_apart(detector)
    with _quietly():
        graph = _graph_of_detector(last, offset)
        if before:
            graph = _joined(_graph_of_steps(before), graph)
    _describe(graph, detector)
    onnx.checker.check_model(graph)
    data = graph.SerializeToString()
    _compare(data, detector, _rows_around(before, last), offset)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def _taken_apart(detector: Any) -> tuple[list[Any], Detector, float]:
    """The earlier steps, the detector after them that has a model, and the threshold in force."""
    check_is_fitted(detector)
    if any(
        isinstance(part, Wrapper) and hasattr(part, "estimators_") for part in inwards(detector)
    ):
        raise TypeError(f"{detector} has no graph: it keeps a detector for each training row.")
    *before, last = steps(unwrapped(detector))
    if not isinstance(last, Detector):
        raise TypeError(f"{type(last).__name__} has no graph; it is not a detector of aedetect.")
    before = [step for step in before if step not in ("passthrough", None)]
    return before, last, float(fact(detector, "offset_"))


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the exporters' own messages."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _graph_of_detector(detector: Detector, offset: float) -> Any:
    import torch

    from ..models.graph import Decision, module_of

    module = Decision(module_of(detector.model_), offset).eval().requires_grad_(False)
    program = torch.onnx.export(
        module,
        (torch.zeros((3, detector.n_features_in_), dtype=torch.float64),),
        input_names=["X"],
        output_names=["score", "decision", "label"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        opset_version=OPSET,
        dynamo=True,
        optimize=False,  # it takes numbers below 1e-8 for 0
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def _graph_of_steps(before: list[Any]) -> Any:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType

    for step in before:
        if isinstance(step, TableEncoder):
            raise TypeError(
                "TableEncoder has no graph, as it reads tables of text and times: export "
                "detector[1:], and give the graph what detector[:1].transform returns."
            )
    columns = [("X", DoubleTensorType([None, before[0].n_features_in_]))]
    try:
        return to_onnx(make_pipeline(*before), initial_types=columns, target_opset=OPSET)
    except Exception as error:  # of many kinds
        names = ", ".join(type(step).__name__ for step in before)
        raise TypeError(f"skl2onnx has no graph in float64 of {names}: {error}") from error


def _joined(before: Any, after: Any) -> Any:
    """Join two graphs into one."""
    from onnx import compose

    before.ir_version = after.ir_version
    before = compose.add_prefix(before, "steps_", rename_inputs=False)
    after = compose.add_prefix(after, "detector_", rename_outputs=False)
    links = [(before.graph.output[0].name, "detector_X")]
    return compose.merge_models(before, after, io_map=links)


def _describe(graph: Any, detector: Any) -> None:
    from .. import __version__

    graph.producer_name, graph.producer_version = "aedetect", __version__
    entry = graph.metadata_props.add()
    entry.key, entry.value = "detector", " ".join(repr(detector).split())
    if hasattr(detector, "feature_names_in_"):
        entry = graph.metadata_props.add()
        entry.key, entry.value = "columns", json.dumps(list(detector.feature_names_in_))


def _rows_around(before: list[Any], detector: Detector) -> np.ndarray:
    """Rows at the centre of those that were learned from, up to the threshold, and beyond it."""
    rng, d, model = np.random.default_rng(0), detector.n_features_in_, detector.model_
    centre = model.rebuilt(np.full((1, d), np.nan))[0]
    noise = rng.standard_normal((ROWS, d))

    def rows_at(distance: Any) -> np.ndarray:
        X = centre + distance * noise
        return X.clip(0.01, 0.99) if model.bounded else X

    some = 10.0 ** np.arange(-20, 21)
    errors = [np.median(-scores_of(model, rows_at(distance)[:16])) for distance in some]
    threshold = some[np.searchsorted(np.maximum.accumulate(errors), -detector.offset_) % len(some)]
    X = rows_at(threshold * 10.0 ** rng.uniform(-3, 2, (ROWS, 1)))
    for step in reversed(before):
        try:
            X = step.inverse_transform(X)
        except (AttributeError, ValueError):  # not all have an inverse
            X = rng.standard_normal((ROWS, before[0].n_features_in_))
            break
    if all(get_tags(step).input_tags.allow_nan for step in before):
        X[::2][rng.random(X[::2].shape) < 0.2] = np.nan
    return X


def _compare(data: bytes, detector: Any, X: np.ndarray, offset: float) -> None:
    """Raise where the graph scores or decides otherwise than the detector."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: it tells of nodes that it cannot fold
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of many kinds
        raise TypeError(f"onnxruntime cannot run the graph in float64: {error}") from error
    score, decision, label = session.run(None, {"X": X})
    names = getattr(detector, "feature_names_in_", None)
    rows = X if names is None else pd.DataFrame(X, columns=names)
    wanted = detector.score_samples(rows)
    scale = np.maximum(np.abs(wanted), np.abs(offset) if np.isfinite(offset) else 0)
    differs = np.abs(score - wanted) / np.maximum(scale, np.finfo(float).tiny)
    clear = np.abs(wanted - offset) > TOLERANCE * scale
    decides = (label == detector.predict(rows)) & (label == np.where(decision >= 0, 1, -1))
    if not differs.max() <= TOLERANCE or not decides[clear].all():
        raise ValueError(
            f"The graph's score of a row differs from the detector's by {differs.max():.1e} of it, "
            f"and {np.count_nonzero(~decides[clear])} labels differ; at most {TOLERANCE:g} and "
            "none were expected. Nothing was written."
        )
