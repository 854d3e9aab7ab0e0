"""What only the trained estimator does: early stopping, warm start, reports, callbacks."""

import copy
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from estimators import assert_same_scores
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    Autoencoder,
    Dense,
    KernelAutoencoder,
    MemoryAutoencoder,
    PCADetector,
    SparseAutoencoder,
    Tied,
    VariationalAutoencoder,
)
from aedetect.networks import Network


def test_early_stopping_keeps_the_best_weights(digits):
    model = Autoencoder(
        early_stopping=True, n_iter_no_change=3, epochs=500, learning_rate=0.02, random_state=0
    ).fit(digits[:300])
    curve = model.validation_loss_curve_
    assert model.n_iter_ == len(curve) == len(model.loss_curve_) < 500
    assert model.fit_report_["rows"] == "held-out"
    assert model.fit_report_["error"] == pytest.approx(min(curve), rel=1e-3)
    assert curve[-1] > min(curve)
    best = model.best_epoch_
    assert best < len(curve)
    assert curve[best - 1] == pytest.approx(min(curve), rel=1e-3)
    assert model.fit_report_["error"] == pytest.approx(curve[best - 1], rel=1e-4)


def test_thresholds_after_early_stopping_are_of_models_trained_for_as_long(tumours):
    options = {"learning_rate": 0.02, "random_state": 0}
    model = Autoencoder(early_stopping=True, epochs=200, **options).fit(tumours[0])
    assert model.best_epoch_ < model.n_iter_ < 200
    plain = Autoencoder(epochs=model.best_epoch_, **options).fit(tumours[0])
    np.testing.assert_allclose(model.calibration_scores_, plain.calibration_scores_, rtol=1e-5)


def test_without_early_stopping_all_epochs_run(digits):
    model = Autoencoder(epochs=7, random_state=0).fit(digits[:100])
    assert model.n_iter_ == len(model.loss_curve_) == model.best_epoch_ == 7
    assert model.validation_loss_curve_ == []


def test_warm_start_goes_on(digits):
    model = Autoencoder(epochs=5, warm_start=True, random_state=0).fit(digits[:200])
    first = model.loss_curve_[-1]
    model.fit(digits[:200])
    assert model.n_iter_ == model.best_epoch_ == 10
    assert model.loss_curve_[5] < first
    cold = Autoencoder(epochs=5, random_state=0).fit(digits[:200])
    assert cold.fit(digits[:200]).n_iter_ == 5


def test_failed_warm_start_leaves_everything_as_it_was(digits):
    model = Autoencoder(epochs=5, warm_start=True, early_stopping=True, random_state=0)
    model.fit(digits[:300])
    before = copy.deepcopy(model.__getstate__())
    model.set_params(optimizer="sgd", learning_rate=1e30)
    with pytest.raises(ValueError, match="diverged"):
        model.fit(digits[:300])
    after = model.__getstate__()
    assert after["loss_curve_"] == before["loss_curve_"]
    assert after["validation_loss_curve_"] == before["validation_loss_curve_"]
    weights = after["model_"].weights
    assert all((weights[k] == w).all() for k, w in before["model_"].weights.items())


def test_warm_start_holds_out_the_same_rows_and_keeps_a_better_beginning(digits):
    model = Autoencoder(epochs=60, warm_start=True, early_stopping=True, random_state=0)
    error = model.fit(digits[:600]).fit_report_["error"]
    best = model.best_epoch_
    model.set_params(epochs=1, learning_rate=0.05).fit(digits[:600])
    assert model.validation_loss_curve_[-1] > error
    assert model.fit_report_["error"] == pytest.approx(error)
    assert model.best_epoch_ == best <= 60


@pytest.mark.parametrize(
    ("model", "change", "was"),
    [
        (Autoencoder(), {"loss": "huber"}, "loss='squared_error'"),
        (Autoencoder(), {"network": (8,)}, r"network=\(64, 32\)"),
        (Autoencoder(), {"latent_dim": 3}, "latent_dim='auto'"),
        (MemoryAutoencoder(), {"n_items": 7}, "n_items=100"),
        (VariationalAutoencoder(), {"variance": "learned"}, "variance='fixed'"),
    ],
)
def test_warm_start_refuses_another_model(model, change, was, digits):
    model.set_params(epochs=20, warm_start=True, random_state=0).fit(digits[:50])
    with pytest.raises(ValueError, match=f"warm_start=True goes on with {was}, which was changed"):
        model.set_params(**change).fit(digits[:50])


def test_a_constant_column_of_a_table_is_named(rng):
    frame = pd.DataFrame(rng.standard_normal((100, 4)), columns=list("abcd")).assign(b=3.0)
    model = Autoencoder(epochs=30, random_state=0)
    with pytest.warns(UserWarning, match=r"Constant in training: 'b' \(1 of 4 columns\)"):
        model.fit(frame)
    assert model.fit(frame.to_numpy()).fit_report_["constant_columns"] == [1]  # without a word


def test_silent_units_are_told(digits):
    network = Dense(hidden=(8,), code_activation="relu")
    model = SparseAutoencoder(
        sparsity=100, network=network, epochs=60, learning_rate=0.01, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="All 8 units of the code are silent"):
        model.fit(digits[:200])


def test_a_collapsed_posterior_is_told(rng):
    model = VariationalAutoencoder(beta=100, epochs=30, random_state=0)
    with (
        pytest.warns(UserWarning, match="The posterior has collapsed"),
        warnings.catch_warnings(action="ignore", category=ConvergenceWarning),
    ):
        model.fit(rng.standard_normal((200, 5)))
    assert model.unit_divergences_.shape == (3,)


@pytest.mark.parametrize("epochs", [1, 2])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_divergence_in_the_last_step_is_seen(epochs, early_stopping, digits):
    model = Autoencoder(
        optimizer="sgd",
        learning_rate=1e38,
        epochs=epochs,
        batch_size=300,
        early_stopping=early_stopping,
        random_state=0,
    )
    with pytest.raises(ValueError, match="diverged|no finite score"):
        model.fit(digits[:300])


def test_scoring_monitor_survives_a_refit_with_another_network(tumours):
    _, test, truth = tumours
    monitor = ScoringMonitor(scoring="roc_auc")
    model = Autoencoder(network=(8,), epochs=9, random_state=0).set_callbacks(monitor)
    model.fit(test, truth)
    model.set_params(network=(8, 8)).fit(test, truth)
    assert len(monitor.get_logs().data) >= 9


def test_warm_start_refuses_other_columns(digits):
    model = Autoencoder(epochs=20, warm_start=True, random_state=0).fit(digits[:50])
    scores = model.score_samples(digits)
    with pytest.raises(ValueError, match="on 64 columns; X has 10"):
        model.fit(digits[:50, 20:30])
    np.testing.assert_array_equal(model.score_samples(digits), scores)


def test_changed_parameters_do_not_touch_the_fitted_network(digits):
    model = Autoencoder(epochs=20, random_state=0).fit(digits[:100])
    scores = model.score_samples(digits)
    model.set_params(network=(3,), latent_dim=1, loss="absolute_error")
    np.testing.assert_array_equal(model.score_samples(digits), scores)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.score_samples(digits), scores)


def test_report_compares_with_the_mean_row_and_pca(digits):
    digits = digits[:1000]  # all of them are looked at
    model = Autoencoder(latent_dim=8, epochs=100, random_state=0).fit(digits)
    report = model.fit_report_
    assert report["rows"] == "training"
    assert report["error"] == pytest.approx(-model.score(digits), rel=1e-6)
    assert report["mean_row_error"] == pytest.approx(digits.var(axis=0).mean(), rel=1e-6)
    pca = PCA(8).fit(digits)
    error = np.square(digits - pca.inverse_transform(pca.transform(digits))).mean()
    assert report["pca_error"] == pytest.approx(error, rel=1e-6)
    assert report["error"] < report["pca_error"]


def test_network_that_learns_nothing_warns(rng):
    X = 100 + rng.standard_normal((200, 10))
    network = Dense(output_activation="tanh")  # which never reaches 100
    with pytest.warns(ConvergenceWarning, match="did not learn.*Scale the columns.*learning_rate"):
        Autoencoder(network=network, epochs=1, random_state=1).fit(X)


def test_diverging_training_raises_and_leaves_nothing_behind(digits):
    model = Autoencoder(optimizer="sgd", learning_rate=1e6, random_state=0)
    before = vars(model).keys()
    with pytest.raises(
        ValueError, match=r"diverged after \d+ epochs.*Lower learning_rate=1000000.0"
    ):
        model.fit(digits[:200])
    assert vars(model).keys() == before


@pytest.mark.parametrize("latent_dim", [64, 100])
def test_identity_warns(latent_dim, digits):
    with pytest.warns(UserWarning, match=f"latent_dim={latent_dim} is not below the 64 columns"):
        Autoencoder(latent_dim=latent_dim, epochs=1, random_state=0).fit(digits[:50])


def test_cross_entropy_refuses_data_outside_its_range(digits):
    network = Dense(hidden=(8,), output_activation="sigmoid")
    model = Autoencoder(network=network, loss="binary_cross_entropy", epochs=50, random_state=0)
    with pytest.raises(ValueError, match=r"from 0 to 1; column 1 of X runs from 0 to 8.*MinMax"):
        model.fit(digits * 16)
    with pytest.raises(ValueError, match="from 0 to 1"):
        model.fit(digits).score_samples(digits * 2)


def test_bounded_output_stays_in_its_range(digits):
    network = Dense(hidden=(32,), activation="tanh", output_activation="sigmoid")
    model = Autoencoder(network=network, epochs=100, random_state=0).fit(digits)
    assert model.fit_report_["error"] < 0.5 * model.fit_report_["mean_row_error"]
    rebuilt = model.reconstruct(digits)
    assert rebuilt.min() >= 0
    assert rebuilt.max() <= 1


def test_number_of_parameters():
    X = np.random.default_rng(0).standard_normal((30, 1)) * np.ones(10)
    dense = Autoencoder(latent_dim=2, network=(5,), epochs=20, random_state=0).fit(X)
    assert dense.n_parameters_ == (11 * 5 + 6 * 2) + (3 * 5 + 6 * 10)
    assert sum(w.size for w in dense.weights_.values()) == dense.n_parameters_
    tied = Autoencoder(latent_dim=2, network=Tied(hidden=(5,)), epochs=20, random_state=0).fit(X)
    assert tied.n_parameters_ == (11 * 5 + 6 * 2) + 5 + 10


def test_random_state_none_differs_from_call_to_call(digits):
    first, second = (
        Autoencoder(epochs=1).fit(digits[:50]).weights_["encoder.0.weight"] for _ in range(2)
    )
    assert not np.array_equal(first, second)


def test_unknown_network_says_what_is_missing(digits):
    class Nothing(Network):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must say how it is built"):
        Autoencoder(network=Nothing()).fit(digits)


# Callbacks ------------------------------------------------------------------------------------


class StopAfter:
    """Ends training after some epochs, and remembers what it saw."""

    def __init__(self, epochs):
        self.epochs, self.seen, self.torn_down = epochs, 0, False

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.torn_down = True

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.seen += context.task_name == "epoch"
        return self.seen >= self.epochs


def test_callback_stops_training(digits):
    callback = StopAfter(4)
    model = Autoencoder(random_state=0).set_callbacks(callback).fit(digits[:100])
    assert model.n_iter_ == callback.seen == 4
    assert callback.torn_down
    plain = Autoencoder(epochs=4, random_state=0).fit(digits[:100])
    np.testing.assert_array_equal(model.score_samples(digits), plain.score_samples(digits))


def test_callbacks_are_torn_down_after_a_failure(digits):
    callback = StopAfter(99)
    model = Autoencoder(optimizer="sgd", learning_rate=1e6, random_state=0).set_callbacks(callback)
    with pytest.raises(ValueError, match="diverged"):
        model.fit(digits[:100])
    assert callback.torn_down


def test_scoring_monitor_sees_each_epoch(tumours):
    _, test, truth = tumours
    monitor = ScoringMonitor(scoring="roc_auc")
    model = Autoencoder(epochs=6, random_state=0).set_callbacks(monitor).fit(test, truth)
    scores = [row["roc_auc"] for row in monitor.get_logs().data if "roc_auc" in row]
    assert len(scores) == 6
    assert len(set(scores)) > 1
    assert scores[-1] == get_scorer("roc_auc")(model, test, truth)


def test_progress_bars_nest_in_pipeline_and_search(tumours, capsys):
    pipeline = make_pipeline(StandardScaler(), Autoencoder(epochs=3, random_state=0))
    search = GridSearchCV(pipeline, {"autoencoder__latent_dim": [2, 4]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(tumours[0])
    shown = capsys.readouterr().out
    for name in ("GridSearchCV", "Pipeline", "Autoencoder"):
        assert name in shown


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scoring_monitor_inside_a_search(n_jobs, tumours):
    _, test, truth = tumours
    monitor = ScoringMonitor(scoring="roc_auc")
    model = Autoencoder(epochs=3, random_state=0).set_callbacks(monitor)
    order = np.random.default_rng(0).permutation(len(test))
    search = GridSearchCV(model, {"latent_dim": [2, 4]}, cv=2, scoring="roc_auc", n_jobs=n_jobs)
    search.fit(test[order], truth[order])
    runs = monitor.get_logs(select="all")
    assert sum(len([row for row in run.data if "roc_auc" in row]) for run in runs) == 5 * 3


def test_weights_stay_writable_and_warnings_stay_quiet(digits):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        X = digits[:50].copy()
        X.flags.writeable = False
        model = Autoencoder(epochs=1, random_state=0).fit(X)
        model.score_samples(X)
    assert all(w.flags.writeable for w in model.weights_.values())
    assert next(iter(model.model_.net.parameters())).device == torch.device("cpu")


@pytest.mark.parametrize("detector", [PCADetector(), KernelAutoencoder()], ids=repr)
def test_scoring_monitor_sees_a_fit_without_steps(detector, tumours):
    _, test, truth = tumours
    monitor = ScoringMonitor(scoring="roc_auc")
    detector.set_callbacks(monitor).fit(test, truth)
    (row,) = (row for row in monitor.get_logs().data if "roc_auc" in row)
    assert row["roc_auc"] == get_scorer("roc_auc")(detector, test, truth)


@pytest.mark.machines
def test_no_score_depends_on_gaps_in_other_rows_or_on_threads(digits):
    model = Autoencoder(latent_dim=4, epochs=3, learning_rate=0.01, random_state=0)
    scores = model.fit(digits[:500]).score_samples(digits)
    gappy = digits.copy()
    gappy[::7, :9] = np.nan
    complete = np.delete(model.score_samples(gappy), np.s_[::7])
    assert_same_scores(complete, np.delete(scores, np.s_[::7]))
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(model.score_samples, [digits] * 20):
            np.testing.assert_array_equal(found, scores)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_units_of_the_data_do_not_matter(loss, rng):
    X = rng.standard_normal((100, 3)) @ rng.standard_normal((3, 6))
    model = Autoencoder(loss=loss, latent_dim=2, epochs=3, random_state=0)
    degree = 2 if loss == "squared_error" else 1
    expected = model.fit(X).score_samples(X)
    for exponent in (-40, -20, 20, 38, 90):
        unit = 10.0**exponent
        scores = model.fit(X * unit).score_samples(X * unit)
        np.testing.assert_allclose(scores / unit**degree, expected, rtol=1e-5)
