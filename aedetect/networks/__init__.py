"""Networks: small descriptions of layers, and the modules they build, K models at a time."""

from .activations import ACTIVATIONS
from .base import Network
from .convolution import Conv1d, Conv2d
from .dense import Dense, Tied
from .layers import Affine, Coder, Layered, TransposedAffine, product

__all__ = [
    "ACTIVATIONS",
    "Affine",
    "Coder",
    "Conv1d",
    "Conv2d",
    "Dense",
    "Layered",
    "Network",
    "Tied",
    "TransposedAffine",
    "product",
]
