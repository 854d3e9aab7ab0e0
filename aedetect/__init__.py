"""Anomaly detection with autoencoders, in the manner of scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .anomaly import AnomalyDetector as AnomalyDetector
    from .autoencoder import Autoencoder as Autoencoder
    from .contractive import ContractiveAutoencoder as ContractiveAutoencoder
    from .convolution import Conv1d as Conv1d
    from .convolution import Conv2d as Conv2d
    from .core import RobustCore as RobustCore
    from .corruption import Downsample as Downsample
    from .corruption import GaussianNoise as GaussianNoise
    from .corruption import Grayscale as Grayscale
    from .corruption import MaskingNoise as MaskingNoise
    from .corruption import Patch as Patch
    from .corruption import SaltAndPepper as SaltAndPepper
    from .corruption import SwapNoise as SwapNoise
    from .denoising import DenoisingAutoencoder as DenoisingAutoencoder
    from .ensemble import AutoencoderEnsemble as AutoencoderEnsemble
    from .kernel import KernelAutoencoder as KernelAutoencoder
    from .memory import MemoryAutoencoder as MemoryAutoencoder
    from .networks import Dense as Dense
    from .networks import Tied as Tied
    from .pca import PCADetector as PCADetector
    from .sparse import SparseAutoencoder as SparseAutoencoder
    from .variational import VariationalAutoencoder as VariationalAutoencoder

__version__ = "0.1.0"

# Loaded on first use, so that `import aedetect` costs nothing and the command line answers at once.
_HOMES = {
    "AnomalyDetector": "anomaly",
    "Autoencoder": "autoencoder",
    "AutoencoderEnsemble": "ensemble",
    "ContractiveAutoencoder": "contractive",
    "Conv1d": "convolution",
    "Conv2d": "convolution",
    "DenoisingAutoencoder": "denoising",
    "Dense": "networks",
    "Downsample": "corruption",
    "GaussianNoise": "corruption",
    "Grayscale": "corruption",
    "KernelAutoencoder": "kernel",
    "MaskingNoise": "corruption",
    "MemoryAutoencoder": "memory",
    "PCADetector": "pca",
    "Patch": "corruption",
    "RobustCore": "core",
    "SaltAndPepper": "corruption",
    "SparseAutoencoder": "sparse",
    "SwapNoise": "corruption",
    "Tied": "networks",
    "VariationalAutoencoder": "variational",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aedetect' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
