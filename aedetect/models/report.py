"""Report on a fit: whether the network learned anything, and more than PCA did."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from ..rows.blocks import in_chunks
from ..rows.linear import projected
from .trained import TrainedModel

SILENT = 1e-3  # a unit of the code with a smaller standard deviation is silent

Warnings = list[tuple[str, type[Warning]]]  # messages and their categories


def fit_report(model: TrainedModel, train: np.ndarray, X: np.ndarray, kind: str) -> dict[str, Any]:
    """Mean error on rows `X`, beside those of the mean row and equally wide PCA of `train`."""
    full, mean, by_pca = projected(X, train, model.column_means, model.width)
    if model.bounded:
        by_pca = by_pca.clip(1e-3, 1 - 1e-3)  # a linear map leaves the range the error allows
    of_mean, of_pca = model.mean_errors([np.broadcast_to(mean, X.shape), by_pca], X)
    return {
        "rows": kind,
        "error": float(torch.from_numpy(in_chunks(model.errors, X)).nanmean()),
        "mean_row_error": of_mean,
        "pca_error": of_pca,
        "constant_columns": np.flatnonzero(full.min(axis=0) == full.max(axis=0)).tolist(),
    }


def of_identity(latent_dim: object, n_features: int) -> Warnings:
    """The warning for when nothing keeps the network from copying its input."""
    text = (
        f"latent_dim={latent_dim} is not below the {n_features} columns of X: the network can "
        "learn the identity, which rebuilds outliers as well as inliers. Lower it."
    )
    return [(text, UserWarning)]


def of_report(
    report: dict[str, Any], code_covariance: np.ndarray, names: np.ndarray | None
) -> Warnings:
    """Warnings about a useless fit, or about columns from which nothing was learned."""
    error, baseline = report["error"], report["mean_row_error"]
    found: Warnings = []
    if names is not None:  # in images, constant pixels are the rule
        found += of_constant(
            names[report["constant_columns"]],
            len(names),
            "Nothing is learned from them, and any change in them counts in full. Drop them if "
            "they mean nothing.",
        )
    if np.diag(code_covariance).max() < SILENT**2 and error > 0.99 * baseline > 0:
        text = (
            f"All {len(code_covariance)} units of the code are silent: every row gets the same "
            "code. Lower the penalty or learning_rate, or change the code's activation."
        )
        found.append((text, ConvergenceWarning))
    elif error >= baseline > 0:
        text = (
            f"The network did not learn: its error {error:.3g} on {report['rows']} rows is not "
            f"below that of the column means, {baseline:.3g}. Scale the columns (StandardScaler), "
            "train longer (epochs), or change learning_rate."
        )
        found.append((text, ConvergenceWarning))
    return found


def of_constant(constant: Sequence[Any], n_columns: int, consequence: str) -> Warnings:
    """The warning about columns with a single value in training, and the consequence."""
    if not 0 < len(constant) < n_columns:  # if all are, that was said before
        return []
    text = (
        f"Constant in training: {', '.join(map(repr, constant[:5]))}"
        f"{', ...' if len(constant) > 5 else ''} ({len(constant)} of {n_columns} columns). "
        f"{consequence}"
    )
    return [(text, UserWarning)]
