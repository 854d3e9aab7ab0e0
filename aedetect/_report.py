"""What a fit says of itself: whether the network learned anything, and more than PCA did."""

from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from ._detector import in_chunks
from ._linear import column_means, filled, principal_axes
from ._warnings import warn

SILENT = 1e-3  # standard deviation of a unit of the code that says nothing


def fit_report(model: Any, train: np.ndarray, X: np.ndarray, kind: str) -> dict[str, Any]:
    """Mean error on rows `X`, beside that of the mean row and of PCA of equal width, of `train`."""
    full = filled(train, column_means(train, model.column_means_))
    mean, axes, _ = principal_axes(full, model.latent_dim_)
    by_pca = (filled(X, mean) - mean) @ axes.T @ axes + mean
    if model.loss_ == "binary_cross_entropy":
        by_pca = by_pca.clip(1e-3, 1 - 1e-3)  # a linear map leaves the range the loss allows

    def mean_error(rebuilt: np.ndarray) -> float:
        x_hat, x = (torch.from_numpy(model._frame.enter(rows)) for rows in (rebuilt, X))
        error = model._criterion.error(x_hat, x).nanmean(dtype=torch.float64)
        return float(error) * float(model._unit)

    return {
        "rows": kind,
        "error": mean_error(in_chunks(model._reconstruct, X)),
        "mean_row_error": mean_error(np.broadcast_to(mean, X.shape)),
        "pca_error": mean_error(by_pca),
        "constant_columns": np.flatnonzero(full.min(axis=0) == full.max(axis=0)).tolist(),
    }


def warn_of_identity(latent_dim: object, n_features: int) -> None:
    """Warn that nothing keeps the network from copying its input."""
    warn(
        f"latent_dim={latent_dim} is not below the {n_features} columns of X: the network can "
        "learn the identity, which rebuilds outliers as well as inliers. Lower it.",
    )


def warn_of(model: Any) -> None:
    """Warn of what makes a fit useless, according to its report."""
    report = model.fit_report_
    error, baseline = report["error"], report["mean_row_error"]
    names = getattr(model, "feature_names_in_", None)
    if names is not None:  # in images, constant pixels are the rule
        consequence = (
            "Nothing is learned of them, and any change in them counts in full. Drop them if they "
            "mean nothing."
        )
        warn_of_constant(names[report["constant_columns"]], len(names), consequence)
    if np.diag(model.code_covariance_).max() < SILENT**2 and error > 0.99 * baseline > 0:
        warn(
            f"All {model.latent_dim_} units of the code are silent: every row gets the same "
            "code. Lower the penalty or learning_rate, or change the code's activation.",
            ConvergenceWarning,
        )
    elif error >= baseline > 0:
        warn(
            f"The network did not learn: its error {error:.3g} on {report['rows']} rows is not "
            f"below that of the column means, {baseline:.3g}. Scale the columns (StandardScaler), "
            "train longer (epochs), or change learning_rate.",
            ConvergenceWarning,
        )


def warn_of_constant(constant: np.ndarray, n_columns: int, consequence: str) -> None:
    """Warn of columns that had one value in training, and say what follows."""
    if 0 < len(constant) < n_columns:  # where all are, that was said before
        warn(
            f"Constant in training: {', '.join(map(repr, constant[:5]))}"
            f"{', ...' if len(constant) > 5 else ''} ({len(constant)} of {n_columns} columns). "
            f"{consequence}",
        )
