"""Autoencoder: rebuild a row from a narrow code, and distrust rows that come back wrong."""

from dataclasses import fields, replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from ..models.frame import Frame
from ..models.report import fit_report, of_identity, of_report
from ..models.trained import TrainedModel
from ..networks.base import Network
from ..networks.dense import as_network
from ..objectives.base import Objective
from ..objectives.errors import ERRORS
from ..params import Count, NotNegative, Positive, Range
from ..rows.blocks import one_thread
from ..rows.linear import column_means
from ..training.stack import Epoch, Progress, Spec, Trained, fit_stack
from ..warn import warn_all
from .base import default_latent_dim
from .latent import LatentTools

REPORT_ROWS = 1000  # the did-it-learn check looks at this many rows at most,
REPORT_AT_LEAST = 30  # and at held-out rows only if there are this many


class Plan(NamedTuple):
    """How an estimator is going to be trained on some rows."""

    spec: Spec
    rows: Tensor  # in the network's frame
    frame: Frame
    column_means: np.ndarray

    def model(self, weights: dict[str, np.ndarray]) -> TrainedModel:
        spec = self.spec
        return TrainedModel(
            network=spec.network,
            objective=replace(spec.objective, gaps=True),  # others may have some
            frame=self.frame,
            column_means=self.column_means,
            width=spec.latent_dim,
            weights=weights,
        )


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

    objective: ClassVar[type[Objective]] = Objective
    _shaping: ClassVar[tuple[str, ...]] = ("network", "loss", "latent_dim")  # warm starts keep them

    # Training --------------------------------------------------------------------------------

    def _fit(self, X: np.ndarray, y: Any) -> TrainedModel:
        plan = self._plan(X)
        self.model_: Any = plan.model(plan.spec.weights or {})  # what callbacks see
        now: dict[str, Any] = {"estimator": self, "X": X, "y": y}
        context = self._init_callback_context(max_subtasks=self.epochs)
        context.call_on_fit_task_begin(**now)

        def with_callbacks(epoch: Epoch, progress: Progress) -> bool:
            task = context.subcontext("epoch").call_on_fit_task_begin(**now)
            epoch(self._changed(plan.spec.objective))
            self.loss_curve_, self.validation_loss_curve_ = progress.losses, progress.held_out
            return bool(
                task.call_on_fit_task_end(
                    **now,
                    reconstruction_attributes=lambda: self._attributes(
                        plan.model(progress.weights()), X
                    ),
                )
            )

        (trained,) = fit_stack([plan.spec], [plan.rows], with_callbacks)
        self._take(plan, trained, X)
        context.call_on_fit_task_end(**now)
        return self.model_

    def _learn(self, X: np.ndarray) -> TrainedModel:
        plan = self._plan(X)
        (trained,) = fit_stack([plan.spec], [plan.rows])
        self._take(plan, trained, X)
        return self.model_

    def _plan(self, X: np.ndarray) -> Plan:
        """What to train, and on what."""
        d = X.shape[1]
        goes_on = self._goes_on(d)
        network = self.model_.network if goes_on else clone(as_network(self.network))
        frame = self.model_.frame if goes_on else self._frame_of(X, network)
        means = self.model_.column_means if goes_on else self._means_of(X, frame)
        width = default_latent_dim(d) if self.latent_dim == "auto" else self.latent_dim
        objective = self._objective(gaps=bool(np.isnan(X.min())), **self._of_rows(X, frame, means))
        if not goes_on and objective.allows_identity and width >= d:
            warn_all(of_identity(self.latent_dim, d))
        rows, tol = self._network_rows(X, frame), 0.0
        if self.early_stopping:
            tol = self.tol * _mean_row_loss(objective, rows[:REPORT_ROWS, :d])
        spec = Spec(
            network=network,
            objective=objective,
            latent_dim=width,
            column_means=frame.enter(means[None])[0].numpy(),
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            epochs=self.epochs,
            batch_size=self._batch_size(len(X)),
            n_held_out=int(np.ceil(self.validation_fraction * len(X))) * self.early_stopping,
            patience=self.n_iter_no_change,
            tol=tol,
            device=self._device(),
            random_state=self.random_state,
            unit=float(frame.scale ** ERRORS[self.loss].degree),
            weights=self.model_.weights if goes_on else None,
            losses=self.loss_curve_ if goes_on else [],
            held_out_losses=self.validation_loss_curve_ if goes_on else [],
        )
        return Plan(spec, rows, frame, means)

    def _objective(self, **others: Any) -> Objective:
        """What the parameters say is minimised."""
        values = {name: getattr(self, name) for name in self._of_objective}
        return self.objective(criterion=self.loss, **values, **others)

    def _changed(self, objective: Objective) -> Objective | None:
        """The objective with what callbacks have set, if they have."""
        values = {name: getattr(self, name) for name in self._of_objective}
        same = all(repr(value) == repr(getattr(objective, name)) for name, value in values.items())
        return None if same else replace(objective, **values)

    @property
    def _of_objective(self) -> set[str]:
        """Parameters that are fields of the objective."""
        return {field.name for field in fields(self.objective)} & set(self.__dict__)

    def _of_rows(self, X: np.ndarray, frame: Frame, means: np.ndarray) -> dict[str, Any]:
        """Fields of the objective that depend on the rows."""
        return {}

    def _frame_of(self, X: np.ndarray, network: Network) -> Frame:
        if _output_of(network) != "identity":
            return Frame.identity(X.shape[1])
        return Frame.of(X, centre=getattr(network, "bias", True))

    def _means_of(self, X: np.ndarray, frame: Frame) -> np.ndarray:
        return frame.mean if frame.mean.any() else column_means(X)

    def _network_rows(self, X: np.ndarray, frame: Frame) -> Tensor:
        """All training rows in the network's frame."""
        return frame.training_rows(X)

    def _take(self, plan: Plan, trained: Trained, X: np.ndarray) -> None:
        """Set what training left, and what follows from it."""
        if trained.failure is not None:
            raise ValueError(self._diverged(trained))
        with one_thread():
            self._describe(plan.model(trained.weights), trained, X)

    def _describe(self, model: TrainedModel, trained: Trained, X: np.ndarray) -> None:
        self.model_ = model
        self.loss_curve_, self.validation_loss_curve_ = trained.losses, trained.held_out_losses
        some = X[trained.kept[:REPORT_ROWS]]
        self.code_mean_, self.code_covariance_ = _moments(model.codes(some))
        self._after_training(X)
        self._shaped_by = {name: repr(getattr(self, name)) for name in self._shaping}
        if not model.objective.rebuilds:
            return
        of, kind = some, "training"
        if len(trained.held_out) >= REPORT_AT_LEAST:
            of, kind = X[trained.held_out[:REPORT_ROWS]], "held-out"
        self.fit_report_ = fit_report(model, some, of, kind)
        names = getattr(self, "feature_names_in_", None)
        warn_all(of_report(self.fit_report_, self.code_covariance_, names))

    def _after_training(self, X: np.ndarray) -> None:
        """Set further fitted attributes."""

    def _diverged(self, trained: Trained) -> str:
        return (
            f"Training diverged after {len(trained.losses)} epochs: {trained.failure}. Lower "
            f"learning_rate={self.learning_rate}, or look for extreme values in X."
        )

    @property
    def _units_matter(self) -> bool:
        """Not of images and series, nor where outputs have a range of their own."""
        return not hasattr(self.network, "shape") and _output_of(self.network) == "identity"

    @property
    def _bounded(self) -> bool:
        return self.loss == "binary_cross_entropy"

    def _goes_on(self, n_features: int) -> bool:
        """Whether `fit` goes on from an earlier one, which must have been of the same kind."""
        if not (self.warm_start and hasattr(self, "model_")):
            return False
        if len(self.column_means_) != n_features:
            raise ValueError(
                f"warm_start=True goes on from a fit on {len(self.column_means_)} columns; X has "
                f"{n_features}. Fit a new estimator."
            )
        was = self._shaped_by
        changed = [name for name in self._shaping if repr(getattr(self, name)) != was[name]]
        if changed:
            shown = ", ".join(f"{name}={was[name]}" for name in changed)
            raise ValueError(
                f"warm_start=True goes on with {shown}, which was changed. Fit a new estimator."
            )
        return True

    def _as_rows(self, X: np.ndarray, reset: bool = False) -> np.ndarray:
        return (as_network(self.network) if reset else self.network_).as_rows(X)

    def _from_rows(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return self.network_.from_rows(rows, shape)

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

    # What was fitted -------------------------------------------------------------------------

    @property
    def weights_(self) -> dict[str, np.ndarray]:
        """Trained parameters."""
        return self.model_.weights

    @property
    def network_(self) -> Network:
        """The network as trained."""
        return self.model_.network

    @property
    def loss_(self) -> str:
        """The loss as trained."""
        return self.model_.objective.criterion

    @property
    def latent_dim_(self) -> int:
        """Width of the code."""
        return self.model_.width

    @property
    def mean_(self) -> np.ndarray:
        """What rows are centred on."""
        return self.model_.frame.mean

    @property
    def scale_(self) -> float:
        """What they are divided by."""
        return self.model_.frame.scale

    @property
    def column_means_(self) -> np.ndarray:
        """What stands in for missing values."""
        return self.model_.column_means

    @property
    def n_iter_(self) -> int:
        """Epochs run."""
        return len(self.loss_curve_)

    @property
    def n_parameters_(self) -> int:
        """Numbers learned."""
        return sum(weight.size for weight in self.weights_.values())

    @property
    def compression_ratio_(self) -> float:
        """Width of the code as a share of the width of a row."""
        return self.latent_dim_ / self.n_features_in_


def plan_of(estimator: Autoencoder, X: np.ndarray) -> Plan:
    """How an estimator would be trained."""
    return estimator._plan(X)


def finish(estimator: Autoencoder, plan: Plan, trained: Trained, X: np.ndarray) -> str | None:
    """End as by `fit`, where many are trained together; return why that failed, if it did."""
    if trained.failure is not None:
        return estimator._diverged(trained)
    estimator._take(plan, trained, X)
    estimator._set_threshold(X)
    return None


def _output_of(network: object) -> str:
    return getattr(network, "output_activation", "identity")


def _mean_row_loss(objective: Objective, x: Tensor) -> float:
    """Loss of answering with the column means, in the network's frame."""
    return float(objective.error.of(x.nanmean(0).expand_as(x), x).nanmean())


def _moments(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance."""
    with np.errstate(over="ignore", invalid="ignore"):  # of a network that overflows
        mean = codes.mean(axis=0)
        centred = codes - mean
        return mean, centred.T @ centred / max(len(codes) - 1, 1)
