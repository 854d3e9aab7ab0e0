"""Searches that stack equal scikit-learn's; splits keep outliers out of training."""

import logging
import pickle
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from estimators import OBJECTIVES, name_of
from joblib import parallel_config
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from aedetect import (
    Autoencoder,
    ContractiveAutoencoder,
    Conv1d,
    DenoisingAutoencoder,
    Dense,
    GaussianNoise,
    MemoryAutoencoder,
    PCADetector,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from aedetect.metrics import mass_volume, pca_advantage, seed_stability
from aedetect.model_selection import (
    InlierKFold,
    NoveltySplit,
    StackedGridSearchCV,
    StackedHalvingGridSearchCV,
    StackedRandomizedSearchCV,
)

pytestmark = [  # too few epochs
    pytest.mark.filterwarnings("ignore:The network did not learn"),
    pytest.mark.filterwarnings("ignore:The posterior has collapsed"),
]
SMALL = {"network": (16,), "epochs": 5, "random_state": 0, "batch_size": 32}
PENALTIES = {
    SparseAutoencoder: ("sparsity", [0.01, 1.0]),
    ContractiveAutoencoder: ("contraction", [0.01, 0.1]),
    VariationalAutoencoder: ("beta", [0.5, 2.0]),
    MemoryAutoencoder: ("entropy", [0.0, 0.01]),
    DenoisingAutoencoder: ("corruption", [None, GaussianNoise(scale=0.1)]),
    Autoencoder: ("latent_dim", [2, 8]),
}


@pytest.fixture(scope="module")
def labelled(digits):
    rng = np.random.default_rng(0)
    X = digits[:200].copy()
    X[::10] = rng.uniform(size=(20, 64))
    y = np.ones(200, int)
    y[::10] = -1
    return X, y


def assert_same_search(stacked, plain, atol=1e-4):
    names = [name for name in plain.cv_results_ if "time" not in name]
    assert names == [name for name in stacked.cv_results_ if "time" not in name]
    assert stacked.cv_results_["params"] == plain.cv_results_["params"]
    for name in names:
        if name.startswith(("split", "mean", "std")):
            np.testing.assert_allclose(
                stacked.cv_results_[name], plain.cv_results_[name], rtol=1e-4, atol=atol
            )
    if hasattr(plain, "best_index_"):
        assert stacked.best_index_ == plain.best_index_


@pytest.mark.machines
@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_search_equals_scikit_learns(objective, labelled):
    X, y = labelled
    network = Dense(hidden=(16,), activation="sigmoid", code_activation="sigmoid")
    model = clone(objective).set_params(**{**SMALL, "network": network})
    name, values = PENALTIES[type(objective)]
    grid = {name: values, "learning_rate": [1e-3, 5e-3]}
    options = {"cv": InlierKFold(n_splits=3, random_state=0)}
    stacked = StackedGridSearchCV(model, grid, scoring="roc_auc", **options).fit(X, y)
    plain = GridSearchCV(model, grid, scoring="roc_auc", **options).fit(X, y)
    assert_same_search(stacked, plain, atol=2e-3)  # one pair of rows that changes places
    np.testing.assert_array_equal(stacked.score_samples(X), plain.score_samples(X))
    assert type(stacked.best_estimator_) is type(model)


def test_short_searches_score_as_scikit_learns_to_five_digits(labelled):
    grid = {"latent_dim": [1, 2, 3, 5, 8], "learning_rate": [1e-3, 3e-3]}
    options = {"cv": 3, "refit": False}
    stacked = StackedGridSearchCV(Autoencoder(**SMALL), grid, **options).fit(labelled[0])
    plain = GridSearchCV(Autoencoder(**SMALL), grid, **options).fit(labelled[0])
    for fold in range(3):
        name = f"split{fold}_test_score"
        np.testing.assert_allclose(stacked.cv_results_[name], plain.cv_results_[name], rtol=1e-5)


def test_everything_is_trained_together_and_nothing_twice(labelled, monkeypatch, caplog):
    sizes, alone = [], []
    from aedetect.detectors import many

    fit_stack, fit = many.fit_stack, Autoencoder.fit
    monkeypatch.setattr(
        many, "fit_stack", lambda specs, rows: sizes.append(len(specs)) or fit_stack(specs, rows)
    )
    monkeypatch.setattr(
        Autoencoder, "fit", lambda self, X, y=None: alone.append(1) or fit(self, X, y)
    )
    grid = {"latent_dim": [2, 3], "learning_rate": [1e-3, 1e-2], "random_state": [0, 1]}
    with caplog.at_level(logging.INFO, "aedetect"):
        search = StackedGridSearchCV(Autoencoder(**SMALL), grid, cv=4).fit(labelled[0])
    assert sizes == [16, 16]  # a stack for each width of the code
    assert len(alone) == 1  # the refit
    assert not caplog.messages
    assert (search.cv_results_["mean_fit_time"] > 0).all()


@pytest.mark.parametrize(
    "form",
    [list, lambda rows: rows.astype(np.int32), lambda rows: np.isin(np.arange(200), rows)],
    ids=["lists", "int32", "masks"],
)
def test_folds_may_be_lists_and_masks(form, labelled, monkeypatch):
    fit, alone = Autoencoder.fit, []
    monkeypatch.setattr(
        Autoencoder, "fit", lambda self, X, y=None: alone.append(1) or fit(self, X, y)
    )
    folds = list(KFold(2).split(labelled[0]))
    model, grid = Autoencoder(**SMALL), {"latent_dim": [2, 3]}
    given = [(form(train), form(test)) for train, test in folds]
    found, expected = (
        StackedGridSearchCV(model, grid, cv=cv, refit=False).fit(labelled[0]).cv_results_
        for cv in (given, folds)
    )
    np.testing.assert_array_equal(found["mean_test_score"], expected["mean_test_score"])
    assert not alone


@pytest.mark.parametrize("frame", [True, False])
def test_pipelines(frame, labelled):
    X, y = labelled
    X = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)]) if frame else X
    pipeline = make_pipeline(StandardScaler(), PCA(), Autoencoder(**SMALL))
    pipeline.set_output(transform="pandas" if frame else "default")
    grid = [
        {"pca__n_components": [8, 16], "autoencoder__latent_dim": [2, 3]},
        {"standardscaler": [MinMaxScaler(), "passthrough"], "autoencoder__epochs": [3]},
    ]
    options = {"cv": InlierKFold(n_splits=2, random_state=0)}
    scoring = {"auc": "roc_auc", "precision": "average_precision"}
    stacked = StackedGridSearchCV(pipeline, grid, scoring=scoring, refit="auc", **options)
    plain = GridSearchCV(pipeline, grid, scoring=scoring, refit="auc", **options)
    assert_same_search(stacked.fit(X, y), plain.fit(X, y), atol=2e-3)
    np.testing.assert_array_equal(stacked.predict(X), plain.predict(X))
    assert stacked.best_estimator_.named_steps.keys() == pipeline.named_steps.keys()
    again = clone(stacked)
    assert again.estimator is not stacked.estimator
    assert stacked.get_params()["cv"] is options["cv"]


def test_steps_before_the_network_are_fitted_once_a_fold(labelled, monkeypatch):
    fits, fit = [], PCA.fit_transform
    monkeypatch.setattr(
        PCA, "fit_transform", lambda self, *args: fits.append(1) or fit(self, *args)
    )
    pipeline = make_pipeline(PCA(8), Autoencoder(**SMALL))
    grid = {"autoencoder__latent_dim": [2, 3, 4], "autoencoder__learning_rate": [1e-3, 1e-2]}
    StackedGridSearchCV(pipeline, grid, cv=3, refit=False).fit(labelled[0])
    assert len(fits) == 3


def test_randomized_search_equals_scikit_learns(labelled):
    X, _ = labelled
    distributions = {"learning_rate": loguniform(1e-4, 1e-2), "latent_dim": [2, 5]}
    options = {"n_iter": 5, "random_state": np.random.RandomState(3), "cv": 2}
    options["return_train_score"] = True
    stacked = StackedRandomizedSearchCV(Autoencoder(**SMALL), distributions, **options).fit(X)
    options["random_state"] = np.random.RandomState(3)
    plain = RandomizedSearchCV(Autoencoder(**SMALL), distributions, **options).fit(X)
    assert_same_search(stacked, plain)


@pytest.mark.parametrize("piped", [False, True])
def test_halving_over_epochs_equals_scikit_learns(piped, labelled, monkeypatch):
    X, _ = labelled
    model = make_pipeline(StandardScaler(), Autoencoder(**SMALL)) if piped else Autoencoder(**SMALL)
    front = "autoencoder__" if piped else ""
    model.set_params(**{f"{front}epochs": 8})
    grid = {f"{front}latent_dim": [2, 5], f"{front}learning_rate": [1e-4, 1e-2]}
    options = {"factor": 2, "cv": 2, "random_state": 0}
    plain = HalvingGridSearchCV(
        model, grid, resource=f"{front}epochs", max_resources=8, return_train_score=False, **options
    ).fit(X)
    alone, train = [], Autoencoder.fit
    monkeypatch.setattr(
        Autoencoder, "fit", lambda self, X, y=None: alone.append(1) or train(self, X, y)
    )
    stacked = StackedHalvingGridSearchCV(model, grid, **options).fit(X)
    assert len(alone) == 1  # the refit
    assert_same_search(stacked, plain)
    assert stacked.n_resources_ == [2, 4, 8]
    assert (stacked.cv_results_["mean_fit_time"] > 0).all()
    assert stacked.best_estimator_.get_params()[f"{front}epochs"] == 8
    for copy in (pickle.loads(pickle.dumps(stacked)), deepcopy(stacked)):
        assert copy.score(X) == stacked.score(X)
    with pytest.raises(ValueError, match="resource='depth' is no parameter of"):
        StackedHalvingGridSearchCV(model, grid, resource="depth").fit(X)


def test_halving_over_rows_is_scikit_learns(labelled, caplog):
    options = {"factor": 2, "cv": 2, "resource": "n_samples", "return_train_score": True}
    options["random_state"] = 0
    arguments = Autoencoder(**SMALL), {"latent_dim": [2, 5]}
    plain = HalvingGridSearchCV(*arguments, **options).fit(labelled[0])
    with caplog.at_level(logging.INFO, "aedetect"):
        stacked = StackedHalvingGridSearchCV(*arguments, **options).fit(labelled[0])
    assert "folds change with n_samples" in caplog.text
    assert_same_search(stacked, plain, atol=0)


@pytest.mark.parametrize("backend", ["loky", "threading", "dask"])
def test_jobs_and_small_stacks_change_nothing(backend, labelled, request):
    if backend == "dask":
        request.getfixturevalue("dask_client")
    grid = {"latent_dim": [2, 3], "random_state": [0, 1]}
    search = StackedGridSearchCV(Autoencoder(**SMALL), grid, cv=2).fit(labelled[0])
    with parallel_config(backend=backend, n_jobs=2):
        other = StackedGridSearchCV(Autoencoder(**SMALL), grid, cv=2, max_stack_bytes=1)
        assert_same_search(search, other.fit(labelled[0]), atol=0)


def test_what_cannot_be_stacked_is_fitted_one_by_one(labelled, caplog):
    X, y = labelled
    pipeline = make_pipeline(StandardScaler(), Autoencoder(**SMALL))
    grid = {"autoencoder": [Autoencoder(**SMALL), PCADetector(latent_dim=4)]}
    options = {"scoring": "roc_auc", "cv": NoveltySplit(n_splits=2, random_state=0)}
    with caplog.at_level(logging.INFO, "aedetect"):
        stacked = StackedGridSearchCV(pipeline, grid, **options).fit(X, y)
    assert len(caplog.messages) == 2
    assert "PCADetector is not trained here" in caplog.messages[0]
    assert_same_search(stacked, GridSearchCV(pipeline, grid, **options).fit(X, y))


def test_candidates_that_fail_get_the_error_score(labelled):
    X, _ = labelled
    grid = {"learning_rate": [1e-3, 1e38]}
    options = {"cv": 2, "error_score": -99.0}
    with pytest.warns(FitFailedWarning, match=r"Training diverged after .* learning_rate=1e\+38"):
        stacked = StackedGridSearchCV(Autoencoder(**SMALL), grid, **options).fit(X)
    assert stacked.cv_results_["mean_test_score"][1] == -99
    with pytest.raises(ValueError, match="epochs=0"):
        StackedGridSearchCV(Autoencoder(), {"epochs": [0]}, cv=2, error_score="raise").fit(X)


def test_callbacks_see_the_search(labelled):
    grid = {"latent_dim": [2, 3]}
    search = StackedGridSearchCV(Autoencoder(**SMALL), grid, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(labelled[0])
    assert search.best_estimator_.latent_dim in (2, 3)


def test_the_widest_code_wins_without_labels_and_warns_of_nothing(labelled):
    """What the documents say of `score`: it prefers the identity."""
    grid = {"latent_dim": [2, 32]}
    model = Autoencoder(**{**SMALL, "epochs": 60})
    search = StackedGridSearchCV(model, grid, cv=2).fit(labelled[0])
    assert search.best_params_ == {"latent_dim": 32}


@pytest.mark.parametrize("label", [-1, 1])
def test_inlier_folds(label, rng):
    y = np.where(rng.random(103) < 0.2, -1, 1)
    strange = y == -1
    y = y if label == -1 else strange.astype(int)
    folds = list(InlierKFold(n_splits=4, outlier_label=label, random_state=0).split(y, y))
    assert not any(strange[train].any() for train, _ in folds)
    assert all(strange[test].any() for _, test in folds)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), range(103))
    for train, test in folds:
        assert len(np.intersect1d(train, test)) == 0
        assert len(train) + len(test) == 103 - (strange.sum() - strange[test].sum())
    assert not (np.diff(folds[0][1]) == 1).all()  # shuffled


def test_inlier_folds_without_labels_are_all_rows():
    folds = list(InlierKFold(n_splits=3, random_state=0).split(np.zeros((10, 2))))
    assert sorted(len(test) for _, test in folds) == [3, 3, 4]


def test_novelty_split_learns_from_inliers_only(labelled):
    X, y = labelled
    splits = list(NoveltySplit(n_splits=3, train_size=0.5, random_state=0).split(X, y))
    for train, test in splits:
        assert (y[train] == 1).all()
        assert len(train) == 90
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), range(200))
    assert (splits[0][0] != splits[1][0]).any()
    scores = cross_val_score(
        PCADetector(latent_dim=8), X, y, cv=NoveltySplit(n_splits=2), scoring="roc_auc"
    )
    assert (scores > 0.9).all()


@pytest.mark.parametrize(
    ("splitter", "y", "message"),
    [
        (InlierKFold(), np.r_[np.zeros(10), np.ones(3)], "y holds 0.0; with"),
        (InlierKFold(n_splits=20), np.ones(10), "n_splits=20 must be .* number of inliers, 10"),
        (InlierKFold(outlier_label=2), np.ones(10), "outlier_label=2; expected -1"),
        (NoveltySplit(train_size=1.0), np.ones(10), "leaves nothing to learn from or nothing"),
    ],
)  # fmt: skip
def test_splits_refuse(splitter, y, message):
    with pytest.raises(ValueError, match=message):
        next(splitter.split(y, y))


def test_images_are_laid_out_as_each_candidates_network_takes_them(rng):
    windows = rng.standard_normal((60, 16, 3))
    grid = {"network": [(8,), Conv1d(shape=(3, 16))]}
    model = Autoencoder(latent_dim=4, epochs=3, random_state=0)
    stacked = StackedGridSearchCV(model, grid, cv=2).fit(windows)
    assert_same_search(stacked, GridSearchCV(model, grid, cv=2).fit(windows))


def test_numbers_may_be_numpys_and_random_states_objects(labelled):
    model = SparseAutoencoder(**{**SMALL, "random_state": np.random.RandomState(0)})
    grid = {"sparsity": np.arange(1, 3), "learning_rate": np.float32([1e-3, 1e-2])}
    stacked = StackedGridSearchCV(model, grid, cv=2).fit(labelled[0])
    assert_same_search(stacked, GridSearchCV(model, grid, cv=2).fit(labelled[0]))


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_a_candidate_that_diverges_leaves_the_others_alone(objective, labelled):
    network = Dense(hidden=(16,), code_activation="sigmoid")
    model = clone(objective).set_params(**{**SMALL, "network": network})
    if isinstance(model, SparseAutoencoder):
        model.set_params(layers="code")
    grid = {"learning_rate": [1e-3, 1e30]}
    with pytest.warns(FitFailedWarning, match="diverged"):
        search = StackedGridSearchCV(model, grid, cv=2, refit=False).fit(labelled[0])
    good, lost = search.cv_results_["mean_test_score"]
    assert np.isfinite(good)
    assert np.isnan(lost)


def test_candidates_that_cannot_be_built_do_not_stop_the_others(labelled):
    grid = {"loss": ["squared_error", "binary_cross_entropy"], "latent_dim": [2, 3]}
    search = StackedGridSearchCV(Autoencoder(**SMALL), grid, cv=2, error_score=-9.0)
    with pytest.warns(FitFailedWarning, match="needs outputs in"):
        search.fit(labelled[0])
    scores = search.cv_results_["mean_test_score"]
    assert (scores == -9).sum() == 2
    assert (scores > -1).sum() == 2


@pytest.mark.parametrize("criterion", [pca_advantage, mass_volume, seed_stability])
def test_criteria_without_labels_serve_in_searches(criterion, labelled):
    X = labelled[0][:, 20:28] + 0.01 * np.random.default_rng(0).standard_normal((200, 8))
    pipeline = make_pipeline(StandardScaler(), Autoencoder(**SMALL))
    for model, name in ((pipeline, "autoencoder__latent_dim"), (pipeline[-1], "latent_dim")):
        grid = {name: [1, 3]}
        stacked = StackedGridSearchCV(model, grid, scoring=criterion, cv=2).fit(X)
        assert_same_search(stacked, GridSearchCV(model, grid, scoring=criterion, cv=2).fit(X))
