"""The ensemble: members are the models alone, and their errors are combined as said."""

import numpy as np
import pytest
from estimators import OBJECTIVES, name_of
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from aedetect import (
    Autoencoder,
    AutoencoderEnsemble,
    Conv1d,
    Conv2d,
    DenoisingAutoencoder,
    GaussianNoise,
)

pytestmark = [  # too few epochs
    pytest.mark.filterwarnings("ignore:The network did not learn"),
    pytest.mark.filterwarnings("ignore:The posterior has collapsed"),
]
NETWORK = (16, 8)


def assert_same_weights(model, other, atol=1e-5):
    assert model.weights_.keys() == other.weights_.keys()
    for name, weight in model.weights_.items():
        np.testing.assert_allclose(weight, other.weights_[name], rtol=0, atol=atol)


@pytest.mark.machines
@pytest.mark.parametrize("objective", OBJECTIVES, ids=name_of)
def test_members_equal_models_alone(objective, digits):
    template = clone(objective).set_params(latent_dim=4, epochs=20, batch_size=64)
    if "hidden" not in repr(objective):  # that one brings a network of its own
        template.set_params(network=NETWORK)
    if getattr(objective, "penalty", "") == "kl":
        template.set_params(
            network=Conv2d(
                shape=(1, 8, 8), channels=(4,), activation="sigmoid", code_activation="sigmoid"
            )
        )
    ensemble = AutoencoderEnsemble(estimator=template, n_estimators=3, random_state=0)
    ensemble.fit(digits[:300])
    for member in ensemble.estimators_:
        alone = clone(member).fit(digits[:300])
        assert_same_weights(member, alone)
        np.testing.assert_allclose(member.score_samples(digits), alone.score_samples(digits), 1e-3)
        np.testing.assert_allclose(member.loss_curve_, alone.loss_curve_, rtol=1e-3)
    seeds = {member.random_state for member in ensemble.estimators_}
    assert len(seeds) == 3


@pytest.mark.parametrize("network", [(9,), (16, 8)])
@pytest.mark.parametrize("latent_dim", [1, 2, 5, 8])
def test_scores_of_members_agree_with_models_alone(network, latent_dim, digits):
    """To a relative 1e-5 after 50 steps, whatever BLAS; later, training amplifies rounding."""
    template = Autoencoder(network=network, latent_dim=latent_dim, epochs=5, batch_size=32)
    ensemble = AutoencoderEnsemble(estimator=template, n_estimators=4, random_state=0)
    for member in ensemble.fit(digits[:320]).estimators_:
        alone = clone(member).fit(digits[:320])
        np.testing.assert_allclose(
            member.score_samples(digits), alone.score_samples(digits), rtol=1e-5
        )


def test_an_ensemble_of_one_is_the_model(digits):
    ensemble = AutoencoderEnsemble(estimator=Autoencoder(epochs=5), n_estimators=1, random_state=0)
    ensemble.fit(digits[:300])
    model = clone(ensemble.estimators_[0]).fit(digits[:300])
    for method in ("score_samples", "transform", "reconstruct", "score_features"):
        given = digits[300:400]
        np.testing.assert_array_equal(
            getattr(ensemble, method)(given), getattr(model, method)(given)
        )
    assert ensemble.offset_ == pytest.approx(model.offset_, rel=0.2)  # of other folds


def test_members_stop_early_each_on_its_own(digits):
    template = Autoencoder(
        network=NETWORK, early_stopping=True, n_iter_no_change=2, epochs=200, learning_rate=0.02
    )
    ensemble = AutoencoderEnsemble(estimator=template, n_estimators=4, random_state=1)
    ensemble.fit(digits[:300])
    stops = [member.n_iter_ for member in ensemble.estimators_]
    assert len(set(stops)) > 1
    for member in ensemble.estimators_:
        alone = clone(member).fit(digits[:300])
        assert member.n_iter_ == alone.n_iter_ == len(member.validation_loss_curve_)
        assert_same_weights(member, alone, atol=1e-3)


def test_different_noise_levels_penalties_and_rates_share_a_stack(digits):
    templates = tuple(
        DenoisingAutoencoder(
            corruption=corruption, sparsity=sparsity, learning_rate=rate, network=NETWORK, epochs=20
        )
        for corruption, sparsity, rate in [
            (None, 0.0, 1e-3), (GaussianNoise(scale=0.1), 0.1, 3e-3), (None, 0.2, 1e-3)
        ]
    )  # fmt: skip
    ensemble = AutoencoderEnsemble(estimator=templates, n_estimators=3, random_state=0)
    ensemble.fit(digits[:300])
    for member, template in zip(ensemble.estimators_, templates, strict=True):
        assert repr(member.corruption) == repr(template.corruption)
        assert_same_weights(member, clone(member).fit(digits[:300]))


def interp(errors, known):
    """Share of known errors below some, linear between them."""
    return np.interp(errors, known, np.arange(len(known)) / len(known))


@pytest.mark.parametrize("aggregation", ["mean", "median", "rank", "log_mean"])
def test_aggregations(aggregation, digits):
    train, test = digits[:300], digits[300:400]
    ensemble = AutoencoderEnsemble(
        estimator=Autoencoder(epochs=5), n_estimators=3, aggregation=aggregation, random_state=0
    ).fit(train)
    errors = -np.stack([member.score_samples(test) for member in ensemble.estimators_])
    known = -np.stack([member.score_samples(train) for member in ensemble.estimators_])
    expected = {
        "mean": errors.mean(0),
        "median": np.median(errors, 0),
        "log_mean": np.log(errors).mean(0),
        "rank": np.mean([interp(e, np.sort(k)) for e, k in zip(errors, known, strict=True)], 0),
    }[aggregation]
    np.testing.assert_allclose(ensemble.score_samples(test), -expected, rtol=1e-9)


def test_members_see_rows_and_columns_of_their_own(digits):
    ensemble = AutoencoderEnsemble(
        estimator=Autoencoder(epochs=5), bootstrap=True, max_features=0.5, n_estimators=3,
        random_state=0,
    ).fit(digits[:300])  # fmt: skip
    assert [len(columns) for columns in ensemble.features_] == [32] * 3
    assert len({tuple(columns) for columns in ensemble.features_}) == 3
    seen = np.unique(np.concatenate(ensemble.features_))
    unseen = np.setdiff1d(np.arange(64), seen)
    rebuilt = ensemble.reconstruct(digits[300:310])
    np.testing.assert_allclose(
        rebuilt[:, unseen], np.tile(digits[:300, unseen].mean(0), (10, 1)), atol=1e-12
    )
    few = AutoencoderEnsemble(estimator=Autoencoder(epochs=2), max_features=5, n_estimators=2)
    assert [len(columns) for columns in few.fit(digits[:50]).features_] == [5, 5]
    with pytest.raises(ValueError, match="max_features=65 is 65 of the 64 columns of X"):
        few.set_params(max_features=65).fit(digits[:50])


def test_a_small_budget_changes_nothing(digits):
    ensembles = [
        AutoencoderEnsemble(
            estimator=Autoencoder(epochs=5), n_estimators=3, max_stack_bytes=size, random_state=0
        ).fit(digits[:300])
        for size in (1, 10**9)
    ]
    scores = [ensemble.score_samples(digits) for ensemble in ensembles]
    np.testing.assert_allclose(*scores, rtol=1e-4)


def test_a_member_that_diverges_is_named(digits):
    ensemble = AutoencoderEnsemble(
        estimator=(Autoencoder(epochs=3), Autoencoder(epochs=3, learning_rate=1e38)),
        n_estimators=2,
    )
    with pytest.raises(ValueError, match=r"Member 1: Training diverged after .* learning_rate=1e"):
        ensemble.fit(digits[:100])
    assert not hasattr(ensemble, "estimators_")


def test_an_ensemble_finds_more_than_its_members(tumours):
    train, test, truth = tumours
    ensemble = AutoencoderEnsemble(
        estimator=Autoencoder(epochs=60), n_estimators=6, random_state=0
    ).fit(train)
    figures = [roc_auc_score(truth, m.score_samples(test)) for m in ensemble.estimators_]
    assert roc_auc_score(truth, ensemble.score_samples(test)) > np.mean(figures)


def test_members_that_see_nothing_of_a_row_say_nothing(digits, rng):
    X = digits[:300, 20:26] + 0.01 * rng.standard_normal((300, 6))
    gappy = np.where(rng.random(X.shape) < 0.4, np.nan, X)
    gappy[:, 0] = X[:, 0]
    for aggregation in ("mean", "median", "rank", "log_mean"):
        ensemble = AutoencoderEnsemble(
            estimator=Autoencoder(epochs=3), n_estimators=4, max_features=2,
            aggregation=aggregation, random_state=0,
        ).fit(gappy)  # fmt: skip
        one = np.full((1, 6), np.nan)
        one[0, ensemble.features_[0][0]] = 0.5
        assert np.isfinite(ensemble.score_samples(one)).all()


def test_logarithmic_scores_have_a_threshold_without_a_unit(tumours):
    train, test, _ = tumours
    flags = [
        AutoencoderEnsemble(
            estimator=Autoencoder(epochs=20), n_estimators=2, aggregation="log_mean", random_state=0
        ).fit(train * unit).predict(test * unit)
        for unit in (1, 100)
    ]  # fmt: skip
    assert (flags[0] == flags[1]).mean() > 0.99


def test_new_normal_rows_are_judged_by_all_templates(rng):
    X = rng.standard_normal((5000, 5)) @ rng.standard_normal((5, 20))
    templates = tuple(Autoencoder(latent_dim=n, epochs=20, learning_rate=5e-3) for n in (5, 1))
    ensemble = AutoencoderEnsemble(estimator=templates, n_estimators=4, random_state=0)
    assert 0.015 < (ensemble.fit(X[:2500]).predict(X[2500:]) == -1).mean() < 0.045


def test_windows_reach_the_members_as_their_network_takes_them(rng):
    windows = rng.standard_normal((100, 16, 3))
    template = Autoencoder(network=Conv1d(shape=(3, 16)), latent_dim=4, epochs=2)
    ensemble = AutoencoderEnsemble(estimator=template, n_estimators=1, random_state=0)
    ensemble.fit(windows)
    alone = clone(ensemble.estimators_[0]).fit(windows)
    np.testing.assert_array_equal(ensemble.score_samples(windows), alone.score_samples(windows))
    np.testing.assert_array_equal(ensemble.reconstruct(windows), alone.reconstruct(windows))
    mixed = AutoencoderEnsemble(estimator=(template, Autoencoder(network=(8,))), n_estimators=2)
    with pytest.raises(ValueError, match="different layouts; pass rows"):
        mixed.fit(windows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": ()}, r"estimator=\(\) is empty"),
        ({"max_features": 1}, "max_features=1 is 1 of the 64 columns of X; expected 2 to 64"),
    ],
)
def test_ensembles_refuse(options, message, digits):
    with pytest.raises(ValueError, match=message):
        AutoencoderEnsemble(**options).fit(digits[:50])
