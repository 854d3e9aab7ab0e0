"""What fitting leaves behind: frozen arrays and plain values, all that scoring needs."""

from abc import ABC, abstractmethod
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np

from ..params import Record


class Model(Record, ABC):
    """Codes, rebuilt rows and errors of plain rows: C-ordered float arrays, NaN for gaps.

    A subclass is a frozen dataclass of arrays, plain values and other such dataclasses. Anything
    derived from them, such as networks and indices, is kept in cached properties, which are not
    part of its state.

    Attributes
    ----------
    block : int or None
        Class attribute: rows worked on at a time, where a multiple of 32 is not enough.
    """

    block: ClassVar[int | None] = None

    @cached_property
    def bounded(self) -> bool:
        """Whether the error takes values from 0 to 1 only."""
        return False

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """Width of a code."""

    @abstractmethod
    def codes(self, X: np.ndarray) -> np.ndarray:
        """Codes (n, latent_dim) of rows (n, n_features), in float64."""

    @abstractmethod
    def rows(self, Z: np.ndarray) -> np.ndarray:
        """Rows (n, n_features) of codes (n, latent_dim), in float64."""

    @abstractmethod
    def errors(self, X: np.ndarray) -> np.ndarray:
        """Error of each rebuilt value, same shape as `X`, in float64."""

    def rebuilt(self, X: np.ndarray) -> np.ndarray:
        return self.rows(self.codes(X))

    def row_errors(self, X: np.ndarray) -> np.ndarray:
        """Mean error (n,) over the observed columns."""
        observed = ~np.isnan(X)
        return np.where(observed, self.errors(X), 0).sum(1) / observed.sum(1)

    def check(self, n_features: int) -> None:
        """Raise ValueError where parts do not belong together, before anything is built."""

    def release(self) -> None:
        """Release memory that was kept from one block of rows to the next."""


def refuse_shapes(**shapes: tuple[np.ndarray, tuple[int | None, ...]]) -> None:
    """Raise for the first array that has NaN or the wrong shape; None fits any length."""
    for name, (array, shape) in shapes.items():
        fits = len(array.shape) == len(shape) and all(
            n in (m, None) for n, m in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype.kind not in "fiub":
            raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; expected {shape}")
        if np.isnan(array).any():
            raise ValueError(f"{name} has NaN where numbers must be")


def refuse_unless_positive(**numbers: float) -> None:
    """Raise for the first number that is not positive and finite."""
    for name, number in numbers.items():
        if not 0 < number < np.inf:
            raise ValueError(f"{name}={number}; expected a positive number")


def learned(path: str, doc: str) -> Any:
    """Return a property of an estimator that reads from its `model_`."""
    read = attrgetter(path)
    return property(lambda detector: read(detector.model_), doc=doc)
