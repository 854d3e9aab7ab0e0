"""Operations on codes: interpolation, sampling, completion of rows, export of the encoder."""

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from ..chance import seeded
from ..models.base import learned
from ..models.frame import Frame
from ..models.scores import in_blocks
from ..networks.layers import Coder
from ..params import Count, NotNegative, Range, refuse_unless
from ..rows.inputs import readable
from ..rows.limits import in_dtype
from .base import Detector


class EncoderModule(nn.Module):
    """The encoder alone, from rows in the data's units to codes, for fine-tuning in torch.

    Its parameters are copies; it is an ordinary module without the axis of K models.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, net: Coder, codes: Callable[[Coder, Tensor], Tensor], frame: Frame) -> None:
        super().__init__()
        self.net, self.codes = net, codes
        if type(net).fill is Coder.fill:  # a graph has no branches
            net.fill = net.put_means  # type: ignore[method-assign]
        self.register_buffer("mean", torch.from_numpy(frame.mean).float())
        self.register_buffer("scale", torch.tensor(frame.scale, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Map rows (n, n_features) to codes (n, latent_dim)."""
        return self.codes(self.net, ((x - self.mean) / self.scale)[None])[0]


class LatentTools(Detector):
    """Fitted attributes of every trained autoencoder, and operations on its codes."""

    weights_ = learned("weights", "Trained parameters.")
    network_ = learned("network", "The network as trained.")
    loss_ = learned("objective.criterion", "The loss as trained.")
    latent_dim_ = learned("width", "Width of the code.")
    mean_ = learned("frame.mean", "What rows are centred on.")
    scale_ = learned("frame.scale", "What they are divided by.")
    column_means_ = learned("column_means", "What stands in for missing values.")

    @property
    def n_iter_(self: Any) -> int:
        """Number of epochs run."""
        return len(self.loss_curve_)

    @property
    def n_parameters_(self: Any) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.model_.net.parameters())

    @property
    def compression_ratio_(self: Any) -> float:
        """Width of the code as a share of the width of a row."""
        return self.latent_dim_ / self.n_features_in_

    def interpolate(self: Any, a: Any, b: Any, n: int = 10) -> np.ndarray:
        """Decode points on the straight line between the codes of `a` and `b`.

        Parameters
        ----------
        a, b : array-like of shape (n_features,)
            Two rows, or images.
        n : int, default=10
            Number of rows to return; the first is `a` rebuilt, the last `b` rebuilt.

        Returns
        -------
        ndarray of shape (n, n_features), or n images in the layout of `a`
        """
        refuse_unless(Count, "n", n)
        ends = np.stack([a, b])
        start, end = in_blocks(self.model_, self.model_.codes, self._validate(ends))
        share = np.linspace(0, 1, n)[:, None]
        rows = self.inverse_transform((1 - share) * start + share * end)
        return self._from_rows(rows, (n, *ends.shape[1:])) if ends.ndim > 2 else rows

    def sample(self: Any, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Sample new rows from a normal distribution fitted to the codes of training rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        refuse_unless(Count, "n_samples", n_samples)
        rng = np.random.default_rng(seeded(random_state).initial_seed())
        codes = rng.multivariate_normal(
            self.code_mean_,
            self.code_covariance_,
            n_samples,
            method="eigh",
            check_valid="ignore",  # it is, but for rounding
        )
        return self.inverse_transform(codes)

    def complete(
        self: Any, X: Any, observed: Any = None, n_steps: int = 200, learning_rate: float = 0.05
    ) -> np.ndarray:
        """Fill in missing values to fit the rest of the row.

        Gradient steps search for the code whose rebuilt row is closest to the observed values, that
        is, for the closest point on the surface of normal rows. They start from the code of the row
        with missing values replaced by the column means.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with NaN where a value is missing.
        observed : array-like of bool of shape (n_samples, n_features), optional
            False where a value is to be replaced; by default where it is NaN.
        n_steps : int, default=200
            Number of Adam steps. 0 means a single pass through the network.
        learning_rate : float, default=0.05
            Step size of Adam.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Observed values are unchanged, the others rebuilt; in a single pass if the steps do not
            lead to a finite row.

        Raises
        ------
        ValueError
            If a row has no observed value (the message names the first such row), or if a parameter
            is invalid.
        """
        refuse_unless(Annotated[int, Range(0)], "n_steps", n_steps)
        refuse_unless(NotNegative, "learning_rate", learning_rate)
        given, X = X, self._scorable(X)
        if observed is None:
            observed = ~np.isnan(X)
        else:
            observed = readable(observed, "observed")
            if np.shape(observed) != np.shape(given):
                raise ValueError(
                    f"observed has shape {np.shape(observed)}, X has {np.shape(given)}."
                )
            observed = np.asarray(observed, bool)
            observed = (self._as_rows(observed) if observed.ndim > 2 else observed) & ~np.isnan(X)
        if not observed.any(axis=1).all():
            raise ValueError(f"Row {observed.any(axis=1).argmin()} of X has no observed value.")
        filled = np.where(observed, X, self.column_means_.astype(X.dtype))
        model = self.model_
        x, mask = model.frame.enter(filled)[None], torch.from_numpy(observed)[None]
        z = self._nearest_code(x, mask, n_steps, learning_rate)
        with torch.no_grad():
            rebuilt = model.frame.leave(model.net.decode(z)[0].double().numpy())
        completed = np.where(observed, X, rebuilt)
        return self._in_layout_of(given, in_dtype(completed, X.dtype))

    def _nearest_code(
        self: Any, x: Tensor, mask: Tensor, n_steps: int, learning_rate: float
    ) -> Tensor:
        net, objective = self.model_.net, self.model_.objective
        with torch.no_grad():
            start = objective.codes(net, x)
        z = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([z], lr=learning_rate)
        for _ in range(n_steps):
            with torch.enable_grad():
                error = (objective.error.of(net.decode(z), x) * mask).sum()
            (z.grad,) = torch.autograd.grad(error, z)
            optimizer.step()
        arrived = net.decode(z.detach()).isfinite().all(-1, keepdim=True)
        return torch.where(arrived, z.detach(), start)

    def encoder_module(self: Any) -> EncoderModule:
        """Return the trained encoder as a separate module, for fine-tuning in torch.

        Returns
        -------
        torch.nn.Module
            Maps rows (n, n_features) in the data's units, float32, to codes (n, latent_dim_). Its
            parameters are copies, and trainable.
        """
        check_is_fitted(self)
        model = self.model_
        net = model.new_net().requires_grad_().train()
        return EncoderModule(net, model.objective.codes, model.frame)
