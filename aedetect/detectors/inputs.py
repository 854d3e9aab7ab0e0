"""Rows, images and windows as they are given, and results in the same layout."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..params import Params
from ..rows.inputs import readable, validated


class RowInput(Params):
    """Turns what users give into plain rows."""

    _min_features: ClassVar[int] = 2  # of one column nothing is left to compress

    @property
    def _column_names(self) -> Sequence[Any]:
        """What columns are called in errors: by their numbers where they have no names."""
        return getattr(self, "feature_names_in_", range(self.n_features_in_))

    def _checked(self, X: Any, reset: bool) -> np.ndarray:
        X = readable(X)
        return validated(
            self,
            X if getattr(X, "ndim", 2) <= 2 else self._as_rows(np.asarray(X), reset),
            reset=reset,
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite=False,
            ensure_min_samples=2 if reset else 1,
            ensure_min_features=self._min_features if reset else 1,
        )

    def _as_rows(self, X: np.ndarray, reset: bool = False) -> np.ndarray:
        """Images or windows (n, ...) as rows (n, n_features)."""
        return X.reshape(len(X), -1)

    def _from_rows(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Undo `_as_rows`."""
        return rows.reshape(shape)

    def _in_layout_of(self, X: Any, rows: np.ndarray) -> np.ndarray:
        """Give results the shape that the images or windows `X` came in."""
        return self._from_rows(rows, X.shape) if getattr(X, "ndim", 2) > 2 else rows
