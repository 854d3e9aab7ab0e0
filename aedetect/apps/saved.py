"""Fitted estimators in files that hold no code: arrays, numbers and names."""

import hashlib
import json
import os
import platform
from importlib.metadata import version
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from ..detectors.anomaly import AnomalyDetector
from ..detectors.autoencoder import Autoencoder
from ..detectors.base import Detector
from ..detectors.conformal import ConformalDetector
from ..detectors.contractive import Contractive, ContractiveAutoencoder
from ..detectors.core import RobustCore
from ..detectors.denoising import Denoising, DenoisingAutoencoder
from ..detectors.ensemble import AutoencoderEnsemble
from ..detectors.gaussian import GaussianDetector
from ..detectors.kernel import KernelAutoencoder
from ..detectors.memory import MemoryAutoencoder, MemoryObjective
from ..detectors.patches import PatchDetector
from ..detectors.pca import PCADetector
from ..detectors.rules import MAD, AlertBudget, EmpiricalNull, FromLabels, Quantile, Tail, Tukey
from ..detectors.sparse import Sparse, SparseAutoencoder
from ..detectors.threshold import Threshold
from ..detectors.variational import Variational, VariationalAutoencoder
from ..detectors.wrapper import Wrapper
from ..files import whole_file
from ..images.filter import ImageFilter
from ..models import ensemble, frame, gaussian, kernel, linear, parts, surprise, trained
from ..models.base import Model
from ..models.state import Reader, Writer
from ..networks import Conv1d, Conv2d, Dense, Tied
from ..objectives import corruption
from ..objectives.base import Objective
from ..objectives.swaps import Swapping
from ..params import check
from ..series.detector import SeriesDetector
from ..series.partial import Partial
from ..series.whole import check_series, check_window
from ..series.window import SlidingWindow
from ..tables.columns import Category, Number, Time
from ..tables.encoder import TableEncoder
from .fitted import check_patches, check_threshold

FORMAT = 1
UNREADABLE = (  # what a forged file may raise
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError, RuntimeError,
)  # fmt: skip
MAX_HEADER = 2**22  # bytes

OURS = (
    AlertBudget, AnomalyDetector, Autoencoder, AutoencoderEnsemble, ConformalDetector,
    ContractiveAutoencoder, DenoisingAutoencoder, EmpiricalNull, FromLabels, MAD, Quantile, Tail,
    TableEncoder, Threshold, Tukey, Category, Number, Time,
    GaussianDetector, ImageFilter, KernelAutoencoder, MemoryAutoencoder, PatchDetector,
    PCADetector, RobustCore, SeriesDetector, SlidingWindow, Partial,
    SparseAutoencoder, VariationalAutoencoder, Contractive, Denoising, MemoryObjective, Objective,
    Sparse, Swapping, Variational, Conv1d, Conv2d, Dense, Tied, ensemble.EnsembleModel, frame.Frame,
    gaussian.GaussianModel, kernel.KernelModel, linear.LinearModel, parts.Memory, parts.Rows,
    parts.Scale,
    parts.Swaps, parts.Tails, surprise.Surprise, surprise.SurpriseModel,
    trained.TrainedModel, corruption.Downsample, corruption.GaussianNoise, corruption.Grayscale,
    corruption.MaskingNoise, corruption.Patch, corruption.SaltAndPepper, corruption.SwapNoise,
)  # fmt: skip
THEIRS = (
    ColumnTransformer, FunctionTransformer, MinMaxScaler, MissingIndicator, OneHotEncoder,
    OrdinalEncoder, PCA, Pipeline, PowerTransformer, QuantileTransformer, RobustScaler,
    SimpleImputer, StandardScaler,
)  # fmt: skip
KINDS = {kind.__name__: kind for kind in (*OURS, *THEIRS)}


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file that holds no code.

    The file is of the safetensors format: arrays, and a header that says in JSON what they are.
    Unlike a pickle it runs nothing when it is read.

    Parameters
    ----------
    estimator : estimator
        A detector of this package, for rows, images or series, `RobustCore`, `TableEncoder`,
        `ImageFilter`, `SlidingWindow`, or a Pipeline of such and of scikit-learn's StandardScaler,
        MinMaxScaler, RobustScaler, QuantileTransformer, PowerTransformer, SimpleImputer,
        OneHotEncoder, OrdinalEncoder, ColumnTransformer, PCA and FunctionTransformer without a
        function. `Threshold` and `ConformalDetector` around one.
    path : path
        In an existing folder; the file is whole or not there.

    Raises
    ------
    TypeError
        If a part is of another class, such as a network or a corruption of your own; the message
        names it.
    ValueError
        If a Pipeline has a memory, or the description without arrays is too long to be read
        again, as with 200,000 categories of text.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_digits
    >>> import aedetect
    >>> X = load_digits().data
    >>> model = aedetect.PCADetector(latent_dim=8).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     aedetect.save(model, Path(folder, "model.safetensors"))
    ...     loaded = aedetect.load(Path(folder, "model.safetensors"))
    >>> bool((loaded.score_samples(X) == model.score_samples(X)).all())
    True
    """
    _check(estimator)
    writer = Writer(KINDS)
    tree = writer.tree(estimator, type(estimator).__name__)
    arrays = {name: np.ascontiguousarray(array) for name, array in writer.arrays.items()}
    described = json.dumps(tree, allow_nan=False)
    header = {
        "format": str(FORMAT),
        "estimator": described,
        "versions": json.dumps(_versions()),
        "sha256": _digest(described, arrays),
    }
    data = safetensors.save(arrays, header)
    if (size := int.from_bytes(data[:8], "little")) > MAX_HEADER:
        raise ValueError(
            f"{type(estimator).__name__} takes {size:,} bytes to describe without its arrays; a "
            f"file may hold {MAX_HEADER:,}. Encoders with fewer categories take less."
        )
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


def load(path: str | os.PathLike[str]) -> Any:
    """Read an estimator that `save` has written.

    Parameters
    ----------
    path : path
        Of the file.

    Returns
    -------
    estimator
        Its networks rest on the CPU, wherever they were trained.

    Raises
    ------
    ValueError
        If the file was not written by `save`, was changed, or has a newer format; the message says
        what was found.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import aedetect
    >>> X = [[0.0, 1.0], [2.0, 3.0], [3.0, 5.0], [4.0, 4.0], [5.0, 7.0], [7.0, 6.0]]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     aedetect.save(aedetect.PCADetector(latent_dim=1).fit(X), Path(folder, "pca"))
    ...     aedetect.load(Path(folder, "pca"))
    PCADetector(latent_dim=1)
    """
    try:
        with open(path, "rb") as file:
            return _loaded(file)
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be loaded: {_reason(error)}") from error


def _loaded(file: BinaryIO) -> Any:
    start, header = _header(file)
    if header.get("format") != str(FORMAT):
        raise ValueError(
            f"its format is {str(header.get('format'))[:20]!r}, this version of aedetect reads "
            f"format {FORMAT}"
        )
    try:
        arrays = safetensors.load(start + file.read())
    except (SafetensorError, KeyError, ValueError, MemoryError) as error:
        raise ValueError(f"it is no safetensors file ({error})") from error
    if _digest(header["estimator"], arrays) != header.get("sha256"):
        raise ValueError("its contents are not those that were saved")
    reader = Reader(KINDS, arrays)
    estimator = reader.thing(_json(header["estimator"]))
    if left := arrays.keys() - reader.used:
        raise ValueError(f"array {min(left)[:80]!r} belongs to nothing")
    _check(estimator)
    return estimator


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    try:
        return str(error)[:500]
    except UNREADABLE:  # what it names cannot be printed
        return f"its parts do not fit ({type(error).__name__})"


def _header(file: BinaryIO) -> tuple[bytes, dict[str, str]]:
    """The first bytes, and the strings in them; read with more distrust than the library has."""
    length = os.fstat(file.fileno()).st_size
    start = file.read(8)
    size = int.from_bytes(start, "little")
    if len(start) < 8 or size > min(length - 8, MAX_HEADER):
        raise ValueError("it is no safetensors file (its header is longer than can be)")
    text = file.read(size)
    try:
        header = _json(text.decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError("it is no safetensors file (its header is no JSON)") from error
    found = header.get("__metadata__") if isinstance(header, dict) else None
    strings = isinstance(found, dict) and all(isinstance(v, str) for v in found.values())
    if found is None or not strings or "estimator" not in found:
        raise ValueError("aedetect.save did not write it")
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if length != 8 + size + max(ends, default=0):
        raise ValueError(f"it is of {length:,} bytes, which is not what its header says")
    return start + text, found


def _json(text: str) -> Any:
    """Return what a JSON text says; a name that occurs twice is refused, and so is what is deep."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            raise ValueError("a name occurs twice in its header")
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no number of JSON")

    return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)


def _digest(described: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(described.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    packages = ("aedetect", "numpy", "scikit-learn", "torch")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def _refuse_memory(thing: Any) -> None:
    """Raise where a Pipeline, wherever it is, keeps what it fitted in a folder of pickles."""
    for part in (thing, *thing.get_params().values()):
        if isinstance(part, Pipeline) and part.memory is not None:
            raise ValueError("its Pipeline has a memory, which is a folder of pickles")


def _check(thing: Any) -> None:
    """Raise where an estimator's parameters, or what was fitted, cannot be."""
    if isinstance(thing, Pipeline):
        for _, step in thing.steps:
            if step not in ("passthrough", None):
                _check(step)
    elif isinstance(thing, RobustCore | TableEncoder | ImageFilter):
        check(thing)
        for column in getattr(thing, "columns_", []):
            column.check()
    elif isinstance(thing, SlidingWindow):
        check_window(check(thing))
    elif isinstance(thing, SeriesDetector):
        check_series(check(thing))
        for part in (thing.window, thing.estimator, getattr(thing, "estimator_", None)):
            if part is not None:
                _check(part)
        check_threshold(thing)
    elif isinstance(thing, Wrapper | PatchDetector):
        check(thing)
        for name in ("estimator", "estimator_"):
            if getattr(thing, name, None) is not None:
                _check(getattr(thing, name))
        for member in getattr(thing, "estimators_", []):
            _check(member)
        if isinstance(thing, PatchDetector):
            check_patches(thing)
        check_threshold(thing)
    elif isinstance(thing, Detector):
        check(thing)
        check_threshold(thing)
        if hasattr(thing, "model_"):
            known = thing.model_, thing.offset_, thing.n_features_in_
            if not all(map(isinstance, known, (Model, float, int))):
                raise ValueError(f"{type(thing).__name__} was not fitted as it says: {known}")
            thing.model_.check(thing.n_features_in_)
        for member in getattr(thing, "estimators_", []):
            _check(member)
    elif isinstance(thing, ColumnTransformer):
        for _, part, _ in getattr(thing, "transformers_", []):
            if not isinstance(part, str):
                _check(part)
    elif not isinstance(thing, THEIRS):
        raise TypeError(
            f"{type(thing).__module__}.{type(thing).__qualname__} is no estimator that a file "
            "without code can hold; see aedetect.save for what it can."
        )
    _refuse_memory(thing)
