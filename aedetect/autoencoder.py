"""Autoencoder: rebuild a row from a narrow code, and distrust rows that come back wrong."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from ._backprop import Forward, serves
from ._detector import default_latent_dim
from ._frame import FAR, Frame
from ._inputs import refuse_out_of_range
from ._latent import LatentTools
from ._linear import column_means
from ._params import Count, NotNegative, Params, Positive, Range, is_ours
from ._report import fit_report, warn_of, warn_of_identity
from ._stack import train_stack
from ._training import seeded
from .losses import LOSSES, Loss
from .networks import Coder, Layered, Network, as_network

Generators = Sequence[torch.Generator]

REPORT_ROWS = 1000  # the did-it-learn check looks at this many rows at most,
REPORT_AT_LEAST = 30  # and at held-out rows only if there are this many


class Autoencoder(LatentTools):
    """Score rows by how badly an undercomplete autoencoder rebuilds them.

    An encoder squeezes a row x into a code z of a few numbers, a decoder rebuilds it, and both
    learn to make the mean of ``error(x_hat, x)`` over the training rows small (Rumelhart, Hinton
    & Williams, 1986; Hinton & Salakhutdinov, 2006). What is common among the training rows is
    rebuilt well; what is strange is not.

    Rows enter the network centred on the column means and divided by one overall standard
    deviation, and leave it mapped back. Columns with larger spread count for more, as in PCA: put
    a ``StandardScaler`` in front where that is not wanted. A network whose output is bounded
    ("sigmoid", "tanh") gets the data as they are.

    Parameters
    ----------
    latent_dim : int or "auto", default="auto"
        Width of the code; "auto" is the square root of the number of columns, rounded up.
    network : Network or tuple of int, default=(64, 32)
        The layers; a tuple gives the encoder's hidden widths and means `Dense`.
    loss : {"squared_error", "absolute_error", "binary_cross_entropy", "huber"}, \
            default="squared_error"
        Error of a rebuilt value, averaged over columns. The cross-entropy needs data in [0, 1] and
        ``output_activation="sigmoid"``; Huber's bend is at the overall standard deviation.
    optimizer : {"adam", "adamw", "sgd", "rmsprop"}, default="adam"
        "sgd" has a Nesterov momentum of 0.9.
    learning_rate : float, default=0.001
        Size of a step.
    epochs : int, default=100
        Passes over the training rows, at most.
    batch_size : int or "auto", default="auto"
        Rows a step; "auto" makes about 16 steps an epoch, with 8 to 256 rows each.
    weight_decay : float, default=0
        L2 penalty ("adamw": decoupled decay).
    early_stopping : bool, default=False
        Hold out rows, keep the weights of the epoch that rebuilt them best, and stop when none has
        been better for a while.
    validation_fraction : float, default=0.1
        Share of the training rows held out by `early_stopping`.
    n_iter_no_change : int, default=10
        Epochs without improvement after which `early_stopping` stops.
    tol : float, default=0.0001
        Smallest improvement that counts, as a share of the loss of the column means.
    contamination : float or "auto", default="auto"
        Share of training rows, from 0 to 0.5, that the threshold puts outside; "auto" takes
        rows beyond Tukey's fence of the logarithmic error, and at least the worst one.
    device : str, default="auto"
        Where to train: "cpu", "cuda", ...; "auto" prefers CUDA. Fitted networks rest on the CPU.
    random_state : int, RandomState or None, default=None
        Seed of weights, shuffles and the held-out rows. None differs from call to call. The global
        random state is never touched.
    warm_start : bool, default=False
        Go on from the weights of the previous fit.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        Trained parameters. A dense layer's last row is its bias.
    loss_curve_ : list of float
        Mean training loss of each epoch, in the unit of the loss.
    validation_loss_curve_ : list of float
        The same on held-out rows; only with `early_stopping`.
    n_iter_ : int
        Epochs run, over all fits with `warm_start`.
    n_parameters_ : int
        Numbers learned.
    compression_ratio_ : float
        Width of the code as a share of the width of a row.
    fit_report_ : dict
        The did-it-learn check, on at most 1,000 rows: "rows" ("training" or "held-out"), "error"
        of this model, "mean_row_error" of answering with the training rows' column means,
        "pca_error" of the training rows' principal components of equal width.
        "constant_columns": indices of columns that are the same in all of those rows, of which
        nothing can be learned.
    latent_dim_ : int
        Width of the code.
    code_mean_ : ndarray of shape (latent_dim_,)
    code_covariance_ : ndarray of shape (latent_dim_, latent_dim_)
        Of the codes of at most 1,000 training rows; `sample` draws from them.
    mean_ : ndarray of shape (n_features,)
    scale_ : float
        What rows are centred on and divided by; 0 and 1 where the network's output is bounded, and
        no centring where it has no bias.
    column_means_ : ndarray of shape (n_features,)
        They stand in for missing values.
    network_ : Network
    loss_ : str
        The network and the loss as trained; later changes of the parameters do not touch them.
    offset_ : float
        Threshold on the score.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Only where `X` had column names.

    Warns
    -----
    ConvergenceWarning
        If the fitted model rebuilds rows no better than the column means, or all rows get the same
        code.
    UserWarning
        If ``latent_dim >= n_features``: the identity can be learned, and detects nothing. If a
        named column of a table is constant.

    See Also
    --------
    PCADetector : The linear case in closed form.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from aedetect import Autoencoder
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> benign, malignant = X[y == 1], X[y == 0]
    >>> detector = make_pipeline(StandardScaler(), Autoencoder(epochs=20, random_state=0))
    >>> scores = detector.fit(benign[:200]).score_samples(malignant)
    >>> bool(scores.mean() < detector.score_samples(benign[200:]).mean())
    True
    """

    latent_dim: Literal["auto"] | Count = "auto"
    network: Network | tuple[Count, ...] = (64, 32)
    loss: Literal["squared_error", "absolute_error", "binary_cross_entropy", "huber"] = (
        "squared_error"
    )
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    learning_rate: Positive = 1e-3
    epochs: Count = 100
    batch_size: Literal["auto"] | Count = "auto"
    weight_decay: NotNegative = 0.0
    early_stopping: bool = False
    validation_fraction: Annotated[float, Range(0, 0.5, above_low=True)] = 0.1
    n_iter_no_change: Count = 10
    tol: NotNegative = 1e-4
    device: str = "auto"
    random_state: int | np.random.RandomState | None = None
    warm_start: bool = False

    _shaping: ClassVar[tuple[str, ...]] = ("network", "loss", "latent_dim")  # warm starts keep them
    _per_model: ClassVar[
        tuple[str, ...]
    ] = ()  # parameters that `_loss` takes as (K, 1) tensors too
    _complete: ClassVar[bool] = False  # whether training rows are known to have no gaps

    # What a variant overrides ----------------------------------------------------------------

    def _loss(self, net: Coder, x: Tensor, generators: Generators) -> Tensor:
        """Loss of each row (K, n) of a batch (K, n, d); chance comes from K generators."""
        return self._row_error(self._rebuild(net, x), x)

    def _codes(self, net: Coder, x: Tensor) -> Tensor:
        """Codes (K, n, latent_dim) of rows (K, n, d), without chance."""
        return net.encode(x)

    def _build(self, n_features: int, latent_dim: int, generators: Generators) -> Coder:
        """Module that encodes and decodes for ``len(generators)`` models."""
        return self.network_.build(n_features, latent_dim, generators)

    def _derives_in_rows(self, net: Coder) -> bool:
        """Say whether `_loss` takes derivatives with respect to the rows."""
        return False

    def _after_training(self, X: np.ndarray) -> None:
        """Set further fitted attributes, when the network is in place."""

    def _network_rows(self, X: np.ndarray) -> Tensor:
        """All training rows in the network's frame."""
        return torch.from_numpy(self._frame.training_rows(X))

    def _warn_if_identity(self, n_features: int) -> None:
        """Warn where nothing keeps the network from copying its input."""
        if self.latent_dim_ >= n_features:
            warn_of_identity(self.latent_dim, n_features)

    # Training --------------------------------------------------------------------------------

    def _row_error(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Mean error over the observed columns."""
        if self._complete:
            return self._criterion.error(x_hat, x).mean(-1)
        return self._observed_error(x_hat, x).sum(-1) / self._n_observed(x)

    def _observed_error(self, x_hat: Tensor, x: Tensor) -> Tensor:
        """Error of each value, 0 with a gradient of 0 where `x` is missing."""
        if self._complete:
            return self._criterion.error(x_hat, x)
        observed = ~x.isnan()
        return self._criterion.error(x_hat, torch.where(observed, x, x_hat.detach())) * observed

    def _n_observed(self, x: Tensor) -> Tensor | int:
        return x.shape[-1] if self._complete else (~x.isnan()).sum(-1)

    def _fit(self, X: np.ndarray, y: Any) -> None:
        now: dict[str, Any] = {"estimator": self, "X": X, "y": y}
        context = self._init_callback_context(max_subtasks=self.epochs)
        context.call_on_fit_task_begin(**now)

        def with_callbacks(epoch: Callable[[], None], net: Coder) -> bool:
            task = context.subcontext("epoch").call_on_fit_task_begin(**now)
            epoch()
            return bool(
                task.call_on_fit_task_end(
                    **now, reconstruction_attributes=lambda: self._so_far(net, X)
                )
            )

        (failure,) = train_stack([self], [X], with_callbacks)
        if failure:
            raise ValueError(failure)
        context.call_on_fit_task_end(**now)

    def _diverged(self, failure: str) -> str:
        return (
            f"Training diverged after {len(self.loss_curve_)} epochs: {failure}. Lower "
            f"learning_rate={self.learning_rate}, or look for extreme values in X."
        )

    def _begin(self, X: np.ndarray) -> tuple[torch.Generator, Tensor, Tensor]:
        """Return the source of chance, the rows to learn from and the rows to hold out."""
        generator = seeded(self.random_state)
        order = torch.randperm(len(X), generator=generator, device="cpu")
        n_held_out = int(np.ceil(self.validation_fraction * len(X))) if self.early_stopping else 0
        if not self._goes_on:
            self._start(X)
            self._warn_if_identity(X.shape[1])
        for curve in ("loss_curve_", "validation_loss_curve_"):  # copies: a failed fit is undone
            setattr(self, curve, list(getattr(self, curve)))
        self._epochs_done = len(self.loss_curve_)
        return generator, order[n_held_out:], order[:n_held_out]

    def _start(self, X: np.ndarray) -> None:
        """Start afresh: the frame of the data, the width of the code."""
        self.__dict__.pop("weights_", None)  # of an earlier fit
        self._shape = {name: repr(getattr(self, name)) for name in self._shaping}
        self.network_, self.loss_ = clone(as_network(self.network)), self.loss
        output = _output_of(self.network_)
        if self.loss == "binary_cross_entropy" and output != "sigmoid":
            raise ValueError(
                f"loss='binary_cross_entropy' needs outputs in (0, 1), which "
                f"network={self.network!r} does not promise; set "
                "network=Dense(..., output_activation='sigmoid')."
            )
        d = X.shape[1]
        if output == "identity":
            frame = Frame.of(X, centre=getattr(self.network_, "bias", True))
        else:
            frame = Frame.identity(d)
        self.mean_, self.scale_, self.column_means_ = frame.mean, frame.scale, column_means(X)
        self.latent_dim_ = default_latent_dim(d) if self.latent_dim == "auto" else self.latent_dim
        self.__dict__.update(loss_curve_=[], validation_loss_curve_=[])

    @property
    def _units_matter(self) -> bool:
        """Not of images and series, nor where outputs have a range of their own."""
        network = as_network(self.network)
        return not hasattr(network, "shape") and _output_of(network) == "identity"

    @property
    def _goes_on(self) -> bool:
        """Whether `fit` goes on from an earlier one, which must have been of the same kind."""
        if not (self.warm_start and hasattr(self, "weights_")):
            return False
        changed = [name for name in self._shaping if repr(getattr(self, name)) != self._shape[name]]
        if changed:
            was = ", ".join(f"{name}={self._shape[name]}" for name in changed)
            raise ValueError(
                f"warm_start=True goes on with {was}, which was changed. Fit a new estimator."
            )
        return True

    def _finish(self, X: np.ndarray, kept: Tensor, held_out: Tensor) -> None:
        """Set what follows from the trained weights."""
        self._take(self._restored())
        self.n_iter_ = len(self.loss_curve_)
        self.compression_ratio_ = self.latent_dim_ / X.shape[1]
        self.n_parameters_ = sum(weight.size for weight in self.weights_.values())
        some = X[kept[:REPORT_ROWS].numpy()]
        self._describe_codes(some)
        self._after_training(X)
        if len(held_out) >= REPORT_AT_LEAST:
            self._did_it_learn(some, X[held_out[:REPORT_ROWS].numpy()], "held-out")
        else:
            self._did_it_learn(some, some, "training")

    def _mean_row_loss(self, X: np.ndarray) -> float:
        """Loss of answering with the column means, in the network's frame."""
        x = torch.from_numpy(self._frame.enter(X[:REPORT_ROWS]))
        return float(self._criterion.error(x.nanmean(0).expand_as(x), x).nanmean())

    def _replays(self, net: Coder) -> bool:
        """Whether a step of training is the same every time; others' code has to say so."""
        network_is_known = is_ours(self.network_) and is_ours(net)
        return is_ours(self) and (network_is_known or self.network_.replayable)

    @property
    def _phase(self) -> object:
        """What of the loss may change with the epochs: callbacks set parameters."""
        values = [getattr(self, field.name) for field in fields(self)]
        return values, [dict(vars(value)) for value in values if isinstance(value, Params)]

    def _so_far(self, net: Coder, X: np.ndarray) -> dict[str, Any]:
        """Fitted attributes as if training stopped here, for callbacks that score."""
        snapshot = object.__new__(type(self))
        snapshot.__dict__.update(vars(self))
        snapshot.weights_ = {
            name: p[0].detach().cpu().numpy().copy() for name, p in net.named_parameters()
        }
        snapshot._take(snapshot._restored())
        return {
            "weights_": snapshot.weights_,
            "_net": snapshot._net,
            "_forward": snapshot._forward,
            "offset_": snapshot._threshold(X),
        }

    def _built(self, generators: Generators) -> Coder:
        net = self._build(self.n_features_in_, self.latent_dim_, generators)
        if not isinstance(net, Coder):
            raise TypeError(
                f"{type(self.network_).__name__}.build returned a {type(net).__name__}; expected a "
                "Coder, with `encode` and `decode`."
            )
        net.column_means = self._built_means()[None]
        return net

    def _built_means(self) -> Tensor:
        """What stands in for missing values, (1, n_features) in the network's frame."""
        return torch.from_numpy(self._frame.enter(self.column_means_[None]))

    def _restored(self) -> Coder:
        """The network that `weights_` describes."""
        net = self._built([seeded(0)])
        for name, parameter in net.named_parameters():
            parameter.data = torch.tensor(self.weights_[name])[None]
        return net.eval()

    def _take(self, net: Coder) -> None:
        """Keep a network for use; plain dense ones also in the way that scores rows fastest."""
        self._net = net
        hooks = ("_codes", "_rebuild")
        plain = all(getattr(type(self), name) is getattr(Autoencoder, name) for name in hooks)
        self._forward = None
        if plain and isinstance(net, Layered) and serves(net):
            self._forward = Forward(net)

    def __getstate__(self) -> dict[str, Any]:
        nets = "_net", "_forward"
        return {name: value for name, value in super().__getstate__().items() if name not in nets}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "weights_" in state:
            self._take(self._restored())

    def _did_it_learn(self, train: np.ndarray, X: np.ndarray, kind: str) -> None:
        self.fit_report_ = fit_report(self, train, X, kind)
        warn_of(self)

    def _as_rows(self, X: np.ndarray, reset: bool = False) -> np.ndarray:
        return (as_network(self.network) if reset else self.network_).as_rows(X)

    def _from_rows(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return self.network_.from_rows(rows, shape)

    # Use -------------------------------------------------------------------------------------

    def _encode(self, X: np.ndarray) -> np.ndarray:
        return self._apply(lambda x: self._codes(self._net, x), self._frame.enter(X))

    def _decode(self, Z: np.ndarray) -> np.ndarray:
        z = Z.clip(-FAR, FAR).astype(np.float32, copy=False)
        return self._frame.leave(self._apply(self._net.decode, z))

    def _feature_errors(self, X: np.ndarray) -> np.ndarray:
        return self._of_rebuilt(X, self._criterion.error) * self._unit

    def _row_errors(self, X: np.ndarray) -> np.ndarray:
        def mean_error(x_hat: Tensor, x: Tensor) -> Tensor:
            errors = self._criterion.error(x_hat, x)
            total = errors.sum(-1, dtype=torch.float64)
            if total.sum().isfinite():
                return total / x.shape[-1]
            observed = ~x.isnan()
            return torch.where(observed, errors, 0).sum(-1, dtype=torch.float64) / observed.sum(-1)

        return self._of_rebuilt(X, mean_error) * self._unit

    def _of_rebuilt(self, X: np.ndarray, compare: Callable[[Tensor, Tensor], Tensor]) -> np.ndarray:
        """What `compare` makes of rows as they are rebuilt, and as they came; in float64."""
        if self._forward is None:
            return self._apply(
                lambda x: compare(self._rebuild(self._net, x), x), self._frame.enter(X)
            )
        with torch.inference_mode():
            put_rows = partial(self._frame.enter_into, X=X)
            return self._forward(len(X), put_rows, compare).double().numpy()

    def _release(self) -> None:
        if self._forward is not None:
            self._forward.release()

    def _rebuild(self, net: Coder, x: Tensor) -> Tensor:
        return net.decode(self._codes(net, x))

    def _apply(self, function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
        """Run one model on rows (n, ...) in its frame; float64 out."""
        with torch.inference_mode():
            return function(torch.from_numpy(x)[None])[0].double().numpy()

    @property
    def _criterion(self) -> Loss:
        return LOSSES[self.loss_]

    @property
    def _frame(self) -> Frame:
        return Frame(self.mean_, self.scale_)

    @property
    def _unit(self) -> float:
        """What an error in the network's frame is in the data's unit."""
        return float(self.scale_**self._criterion.degree)

    def _validate(self, X: Any, *, reset: bool = False) -> np.ndarray:
        X = super()._validate(X, reset=reset)
        if (
            reset
            and self.warm_start
            and hasattr(self, "weights_")
            and len(self.mean_) != X.shape[1]
        ):
            raise ValueError(
                f"warm_start=True goes on from a fit on {len(self.mean_)} columns; X has "
                f"{X.shape[1]}. Fit a new estimator."
            )
        return X

    def _scorable(self, X: Any, *, reset: bool = False) -> np.ndarray:
        X = super()._scorable(X, reset=reset)
        refuse_out_of_range(X, self.loss if reset else self.loss_, self._column_names)
        return X

    def _batch_size(self, n: int) -> int:
        if self.batch_size != "auto":
            return self.batch_size
        return int(2 ** np.clip(np.log2(n / 16) // 1, 3, 8))

    def _device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            return torch.empty(0, device=self.device).device
        except (RuntimeError, AssertionError) as error:  # torch raises either
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"device={self.device!r} cannot be used here ({reason}); expected 'auto', 'cpu' or "
                "a device that torch finds."
            ) from error

    @property
    def _n_features_out(self) -> int:
        return self.latent_dim_


def _output_of(network: Network) -> str:
    return getattr(network, "output_activation", "identity")
