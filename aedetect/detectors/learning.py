"""How an autoencoder learns: from its parameters to a specification, from training to a model."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from ..models.frame import Frame
from ..models.report import fit_report, of_identity, of_report
from ..models.scores import scores_of
from ..models.trained import TrainedModel
from ..networks.base import Network
from ..networks.dense import as_network
from ..objectives.base import Objective
from ..objectives.errors import ERRORS
from ..rows.blocks import one_thread
from ..rows.linear import column_means, default_latent_dim
from ..training.stack import Epoch, Progress, Spec, Trained, fit_stack
from ..warn import warn_all
from .latent import LatentTools

REPORT_ROWS = 1000  # the did-it-learn check looks at this many rows at most,
REPORT_AT_LEAST = 30  # and at held-out rows only if there are this many


@dataclass(frozen=True, eq=False)
class Plan:
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


class Learning(LatentTools):
    """What `Autoencoder` and its variants share apart from their parameters."""

    objective: ClassVar[type[Objective]] = Objective
    _shaping: ClassVar[tuple[str, ...]] = ("network", "loss", "latent_dim")  # warm starts keep them

    def _fit(self: Any, X: np.ndarray, y: Any) -> TrainedModel:
        plan = self._plan(X)
        self.model_: Any = plan.model(plan.spec.weights or {})  # what callbacks see
        now: dict[str, Any] = {"estimator": self, "X": X, "y": y}
        context = self._init_callback_context(max_subtasks=self.epochs)
        context.call_on_fit_task_begin(**now)

        def with_callbacks(epoch: Epoch, progress: Progress) -> bool:
            nonlocal plan
            task = context.subcontext("epoch").call_on_fit_task_begin(**now)
            changed = self._changed(plan.spec.objective)
            if changed is not None:
                plan = replace(plan, spec=replace(plan.spec, objective=changed))
            epoch(changed)
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

    def _plan(self: Any, X: np.ndarray) -> Plan:
        """What to train, and on what."""
        d = X.shape[1]
        goes_on = self._goes_on(d)
        network = self.model_.network if goes_on else clone(as_network(self.network))
        frame = self.model_.frame if goes_on else self._frame_of(X, network)
        means = self.model_.column_means if goes_on else self._means_of(X, frame)
        width = default_latent_dim(d) if self.latent_dim == "auto" else self.latent_dim
        rows, tol = self._network_rows(X, frame), 0.0
        gaps = bool(rows.min().isnan())
        objective = self._objective(gaps=gaps, **self._of_rows(X, frame, means))
        if self.early_stopping:
            tol = self.tol * _mean_row_loss(objective, rows[:REPORT_ROWS, :d])
        spec = Spec(
            network=network,
            objective=objective,
            latent_dim=width,
            column_means=_in_frame(means, frame),
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

    def _objective(self: Any, **others: Any) -> Objective:
        """What the parameters say is minimised."""
        values = {name: getattr(self, name) for name in self._of_objective}
        return self.objective(criterion=self.loss, **values, **others)

    def _changed(self: Any, objective: Objective) -> Objective | None:
        """The objective with what callbacks have set, if they have."""
        values = {name: getattr(self, name) for name in self._of_objective}
        same = all(repr(value) == repr(getattr(objective, name)) for name, value in values.items())
        return None if same else replace(objective, **values)

    @property
    def _of_objective(self: Any) -> set[str]:
        """Parameters that are fields of the objective."""
        return {field.name for field in fields(self.objective)} & set(self.__dict__)

    def _of_rows(self: Any, X: np.ndarray, frame: Frame, means: np.ndarray) -> dict[str, Any]:
        """Fields of the objective that depend on the rows."""
        return {}

    def _frame_of(self: Any, X: np.ndarray, network: Network) -> Frame:
        if _output_of(network) != "identity":
            return Frame.identity(X.shape[1])
        return Frame.of(X, centre=getattr(network, "bias", True))

    def _means_of(self: Any, X: np.ndarray, frame: Frame) -> np.ndarray:
        return frame.mean if frame.mean.any() else column_means(X)

    def _network_rows(self: Any, X: np.ndarray, frame: Frame) -> Tensor:
        """All training rows in the network's frame."""
        return frame.training_rows(X)

    def _take(self: Any, plan: Plan, trained: Trained, X: np.ndarray) -> None:
        """Set what training left, and what follows from it."""
        if trained.failure is not None:
            raise ValueError(self._diverged(trained))
        spec, d = plan.spec, X.shape[1]
        if spec.weights is None and spec.objective.allows_identity and spec.latent_dim >= d:
            warn_all(of_identity(self.latent_dim, d))
        with one_thread():
            self._describe(plan.model(trained.weights), trained, X)

    def _describe(self: Any, model: TrainedModel, trained: Trained, X: np.ndarray) -> None:
        self.model_ = model
        self.loss_curve_, self.validation_loss_curve_ = trained.losses, trained.held_out_losses
        self.best_epoch_ = trained.best_epoch or getattr(self, "best_epoch_", None)
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
        if found := of_report(self.fit_report_, self.code_covariance_, names):
            warn_all(found)

    def _unseen_scores(self: Any, X: np.ndarray) -> np.ndarray:
        plan, folds = self._plan(X), self._folds(len(X))
        share = len(folds[0][0]) / len(X)
        spec = replace(
            plan.spec,
            epochs=self.best_epoch_,  # whose weights were kept
            batch_size=max(1, round(plan.spec.batch_size * share)),  # for as many steps
            n_held_out=0,
            weights=None,
            losses=[],
            held_out_losses=[],
        )
        found = fit_stack([spec] * len(folds), [plan.rows[some] for some, _ in folds])
        for trained in found:
            if trained.failure is not None:
                raise ValueError(self._diverged(trained))
        models = [plan.model(trained.weights) for trained in found]
        unseen = [X[others] for _, others in folds]
        return np.concatenate(list(map(scores_of, models, unseen)))

    def _after_training(self: Any, X: np.ndarray) -> None:
        """Set further fitted attributes."""

    def _diverged(self: Any, trained: Trained) -> str:
        return (
            f"Training diverged after {len(trained.losses)} epochs: {trained.failure}. Lower "
            f"learning_rate={self.learning_rate}, or look for extreme values in X."
        )

    @property
    def _units_matter(self: Any) -> bool:
        """Not of images and series, nor where outputs have a range of their own."""
        return not hasattr(self.network, "shape") and _output_of(self.network) == "identity"

    @property
    def _bounded(self: Any) -> bool:
        return self.loss == "binary_cross_entropy"

    def _goes_on(self: Any, n_features: int) -> bool:
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

    def _as_rows(self: Any, X: np.ndarray, reset: bool = False) -> np.ndarray:
        return (as_network(self.network) if reset else self.network_).as_rows(X)

    def _from_rows(self: Any, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return self.network_.from_rows(rows, shape)

    def _batch_size(self: Any, n: int) -> int:
        if self.batch_size != "auto":
            return int(self.batch_size)
        return int(2 ** np.clip(np.log2(n / 16) // 1, 3, 8))

    def _device(self: Any) -> torch.device:
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


def plan_of(estimator: Learning, X: np.ndarray) -> Plan:
    """How an estimator would be trained."""
    return estimator._plan(X)


Ending = Callable[[Learning, Plan, Trained, np.ndarray], None]  # of a fit, after training


def finish(estimator: Learning, plan: Plan, trained: Trained, X: np.ndarray) -> None:
    """End as by `fit`."""
    estimator._take(plan, trained, X)
    estimator._set_threshold(X)


def finish_uncalibrated(estimator: Learning, plan: Plan, trained: Trained, X: np.ndarray) -> None:
    """The same but for the threshold: it is found from the rows that were learned from."""
    estimator._take(plan, trained, X)
    estimator._set_threshold(X, calibrate=False)


def keep_model(estimator: Learning, plan: Plan, trained: Trained, _: np.ndarray) -> None:
    """Keep the model alone, for scores."""
    if trained.failure is not None:
        raise ValueError(estimator._diverged(trained))
    estimator.model_ = plan.model(trained.weights)


def _in_frame(means: np.ndarray, frame: Frame) -> np.ndarray:
    if means is frame.mean:
        return np.zeros(len(means), np.float32)
    return frame.enter(means[None])[0].numpy()


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
