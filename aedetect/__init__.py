"""Anomaly detection with autoencoders and a scikit-learn interface."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .apps.onnx import export_onnx as export_onnx
    from .apps.saved import load as load
    from .apps.saved import save as save
    from .detectors.anomaly import AnomalyDetector as AnomalyDetector
    from .detectors.autoencoder import Autoencoder as Autoencoder
    from .detectors.conformal import ConformalDetector as ConformalDetector
    from .detectors.contractive import ContractiveAutoencoder as ContractiveAutoencoder
    from .detectors.core import RobustCore as RobustCore
    from .detectors.denoising import DenoisingAutoencoder as DenoisingAutoencoder
    from .detectors.ensemble import AutoencoderEnsemble as AutoencoderEnsemble
    from .detectors.explain import explain as explain
    from .detectors.explain import nearest_normal as nearest_normal
    from .detectors.gaussian import GaussianDetector as GaussianDetector
    from .detectors.imaging import make_image_detector as make_image_detector
    from .detectors.kernel import KernelAutoencoder as KernelAutoencoder
    from .detectors.memory import MemoryAutoencoder as MemoryAutoencoder
    from .detectors.patches import PatchDetector as PatchDetector
    from .detectors.pca import PCADetector as PCADetector
    from .detectors.rules import MAD as MAD
    from .detectors.rules import AlertBudget as AlertBudget
    from .detectors.rules import EmpiricalNull as EmpiricalNull
    from .detectors.rules import FromLabels as FromLabels
    from .detectors.rules import Quantile as Quantile
    from .detectors.rules import Tail as Tail
    from .detectors.rules import Tukey as Tukey
    from .detectors.sparse import SparseAutoencoder as SparseAutoencoder
    from .detectors.tabular import make_detector as make_detector
    from .detectors.threshold import Threshold as Threshold
    from .detectors.variational import VariationalAutoencoder as VariationalAutoencoder
    from .displays.calibration import CalibrationDisplay as CalibrationDisplay
    from .displays.features import FeatureErrorDisplay as FeatureErrorDisplay
    from .displays.kernels import KernelDisplay as KernelDisplay
    from .displays.latent import LatentDisplay as LatentDisplay
    from .displays.loss import LossCurveDisplay as LossCurveDisplay
    from .displays.reconstruction import ReconstructionDisplay as ReconstructionDisplay
    from .displays.score import ScoreDisplay as ScoreDisplay
    from .displays.travel import TravelDisplay as TravelDisplay
    from .images.features import TorchFeatures as TorchFeatures
    from .images.filter import ImageFilter as ImageFilter
    from .images.reading import read_images as read_images
    from .networks.convolution import Conv1d as Conv1d
    from .networks.convolution import Conv2d as Conv2d
    from .networks.dense import Dense as Dense
    from .networks.dense import Tied as Tied
    from .objectives.corruption import Downsample as Downsample
    from .objectives.corruption import GaussianNoise as GaussianNoise
    from .objectives.corruption import Grayscale as Grayscale
    from .objectives.corruption import MaskingNoise as MaskingNoise
    from .objectives.corruption import Patch as Patch
    from .objectives.corruption import SaltAndPepper as SaltAndPepper
    from .objectives.corruption import SwapNoise as SwapNoise
    from .series.detector import SeriesDetector as SeriesDetector
    from .series.made import make_series_detector as make_series_detector
    from .series.stream import StreamDetector as StreamDetector
    from .series.window import SlidingWindow as SlidingWindow
    from .tables.encoder import TableEncoder as TableEncoder

__version__ = "0.1.0"

# Loaded on first use, so that `import aedetect` costs nothing and the command line answers at once.
_HOMES = {
    "AlertBudget": "detectors.rules",
    "AnomalyDetector": "detectors.anomaly",
    "Autoencoder": "detectors.autoencoder",
    "AutoencoderEnsemble": "detectors.ensemble",
    "CalibrationDisplay": "displays.calibration",
    "ConformalDetector": "detectors.conformal",
    "ContractiveAutoencoder": "detectors.contractive",
    "Conv1d": "networks.convolution",
    "Conv2d": "networks.convolution",
    "DenoisingAutoencoder": "detectors.denoising",
    "Dense": "networks.dense",
    "Downsample": "objectives.corruption",
    "EmpiricalNull": "detectors.rules",
    "FeatureErrorDisplay": "displays.features",
    "FromLabels": "detectors.rules",
    "GaussianDetector": "detectors.gaussian",
    "GaussianNoise": "objectives.corruption",
    "Grayscale": "objectives.corruption",
    "ImageFilter": "images.filter",
    "KernelAutoencoder": "detectors.kernel",
    "KernelDisplay": "displays.kernels",
    "LatentDisplay": "displays.latent",
    "LossCurveDisplay": "displays.loss",
    "MAD": "detectors.rules",
    "MaskingNoise": "objectives.corruption",
    "MemoryAutoencoder": "detectors.memory",
    "PCADetector": "detectors.pca",
    "Patch": "objectives.corruption",
    "PatchDetector": "detectors.patches",
    "Quantile": "detectors.rules",
    "ReconstructionDisplay": "displays.reconstruction",
    "RobustCore": "detectors.core",
    "SaltAndPepper": "objectives.corruption",
    "ScoreDisplay": "displays.score",
    "SeriesDetector": "series.detector",
    "SlidingWindow": "series.window",
    "SparseAutoencoder": "detectors.sparse",
    "StreamDetector": "series.stream",
    "SwapNoise": "objectives.corruption",
    "TableEncoder": "tables.encoder",
    "Tail": "detectors.rules",
    "Threshold": "detectors.threshold",
    "Tied": "networks.dense",
    "TorchFeatures": "images.features",
    "TravelDisplay": "displays.travel",
    "Tukey": "detectors.rules",
    "VariationalAutoencoder": "detectors.variational",
    "explain": "detectors.explain",
    "export_onnx": "apps.onnx",
    "nearest_normal": "detectors.explain",
    "load": "apps.saved",
    "make_detector": "detectors.tabular",
    "make_image_detector": "detectors.imaging",
    "make_series_detector": "series.made",
    "read_images": "images.reading",
    "save": "apps.saved",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aedetect' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
