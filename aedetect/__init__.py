"""Anomaly detection with autoencoders, in the manner of scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .autoencoder import Autoencoder as Autoencoder
    from .networks import Dense as Dense
    from .networks import Tied as Tied
    from .pca import PCADetector as PCADetector

__version__ = "0.1.0"

# Loaded on first use, so that `import aedetect` costs nothing and the command line answers at once.
_HOMES = {
    "Autoencoder": "autoencoder",
    "Dense": "networks",
    "PCADetector": "pca",
    "Tied": "networks",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aedetect' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
