"""Several models, whose errors are combined."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..rows.blocks import in_chunks
from ..rows.ranks import Ranks
from .base import Model, refuse_shapes


@dataclass(frozen=True, eq=False)
class EnsembleModel(Model):
    """Members that each see some columns.

    Attributes
    ----------
    members : list of Model
    columns : list of ndarray of int
        What each sees.
    column_means : ndarray of shape (n_features,)
        They rebuild columns that no member sees.
    aggregation : str
        How errors become one.
    training_errors : list of ndarray
        Sorted errors of the training rows, one array a member, where errors become ranks.
    """

    members: list[Model]
    columns: list[np.ndarray]
    column_means: np.ndarray
    aggregation: str
    training_errors: list[np.ndarray] = field(default_factory=list)

    @cached_property
    def bounded(self) -> bool:
        return any(member.bounded for member in self.members)

    @property
    def latent_dim(self) -> int:
        return sum(member.latent_dim for member in self.members)

    def check(self, n_features: int) -> None:
        refuse_shapes(column_means=(self.column_means, (n_features,)))
        if not len(self.members) == len(self.columns) > 0:
            raise ValueError(f"{len(self.members)} members see {len(self.columns)} sets of columns")
        for member, columns in zip(self.members, self.columns, strict=True):
            refuse_shapes(columns=(columns, (None,)))
            if columns.dtype.kind not in "iu" or not (np.diff(columns, prepend=-1) > 0).all():
                raise ValueError("columns of a member are not in order")
            if columns[-1] >= n_features:
                raise ValueError(f"a member sees column {columns[-1]} of {n_features}")
            member.check(len(columns))
        for errors in self.training_errors:
            refuse_shapes(training_errors=(errors, (None,)))

    @cached_property
    def ranks(self) -> list[Ranks]:
        return [Ranks.of(errors) for errors in self.training_errors]

    def knowing(self, X: np.ndarray) -> "EnsembleModel":
        """Return the same model, with what it needs to know about its training rows."""
        if self.aggregation != "rank":
            return self
        quietly = np.errstate(over="ignore", invalid="ignore", divide="ignore")
        errors = in_chunks(quietly(self.members_errors), X).T
        return replace(self, training_errors=[np.sort(e[~np.isnan(e)]) for e in errors])

    def codes(self, X: np.ndarray) -> np.ndarray:
        return np.concatenate(self._of_members(X, "codes"), axis=1)

    def rows(self, Z: np.ndarray) -> np.ndarray:
        ends = np.cumsum([member.latent_dim for member in self.members])
        pairs = zip(self.members, np.split(Z, ends[:-1], axis=1), strict=True)
        rows = self._mean_over_members([member.rows(z) for member, z in pairs])
        unseen = np.setdiff1d(np.arange(len(self.column_means)), np.concatenate(self.columns))
        rows[:, unseen] = self.column_means[unseen]
        return rows

    def errors(self, X: np.ndarray) -> np.ndarray:
        errors = self._mean_over_members(self._of_members(X, "errors"))
        errors[np.isnan(X)] = np.nan
        return errors

    def row_errors(self, X: np.ndarray) -> np.ndarray:
        errors = self.members_errors(X)
        if self.aggregation == "rank":
            ranks = [
                np.where(np.isnan(error), np.nan, among(error))
                for among, error in zip(self.ranks, errors.T, strict=True)
            ]
            errors = np.stack(ranks, axis=1)
        elif self.aggregation == "log_mean":
            errors = np.log(np.maximum(errors, np.finfo(float).tiny))
        seen = ~np.isnan(errors).all(axis=1)
        combined = np.full(len(X), np.inf)  # a row that no member saw anything of is not normal
        combine = np.nanmedian if self.aggregation == "median" else np.nanmean
        combined[seen] = combine(errors[seen], axis=1)
        return combined

    def members_errors(self, X: np.ndarray) -> np.ndarray:
        """Errors (n, K); NaN where a member's columns are all missing."""
        errors = np.stack(self._of_members(X, "row_errors"), axis=1)
        errors[np.isnan(errors)] = np.inf
        for k, columns in enumerate(self.columns):
            errors[np.isnan(X[:, columns]).all(axis=1), k] = np.nan
        return errors

    def release(self) -> None:
        for member in self.members:
            member.release()

    def _of_members(self, X: np.ndarray, method: str) -> list[np.ndarray]:
        """Results of the members, each on its columns of the rows."""
        return [
            getattr(member, method)(np.ascontiguousarray(X[:, columns]))
            for member, columns in zip(self.members, self.columns, strict=True)
        ]

    def _mean_over_members(self, parts: list[np.ndarray]) -> np.ndarray:
        """Mean of the members' results for each column; 0 where none sees it."""
        total = np.zeros((len(parts[0]), len(self.column_means)))
        count = np.zeros(len(self.column_means))
        for columns, part in zip(self.columns, parts, strict=True):
            total[:, columns] += part
            count[columns] += 1
        return total / np.maximum(count, 1)
