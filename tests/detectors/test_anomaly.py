"""The detector to begin with: units do not matter, contributions add up, odd tables are scored."""

import pickle

import numpy as np
import pandas as pd
import pytest
from estimators import assert_same_scores
from sklearn.base import clone
from sklearn.covariance import MinCovDet
from sklearn.metrics import roc_auc_score

from aedetect import AnomalyDetector, RobustCore
from aedetect.detectors.core import mahalanobis
from aedetect.models.parts import Rows, Scale, Tails
from aedetect.models.surprise import Surprise


def all_normal(X):
    return Rows(X, np.arange(len(X)))


TRIMS = [0.0, 0.4, "auto"]


@pytest.fixture(scope="module", params=TRIMS, ids=str)
def fitted(request, tumours):
    return AnomalyDetector(trim=request.param, random_state=0).fit(tumours[0])


def test_finds_malignant_tumours(fitted, tumours):
    _, test, truth = tumours
    assert roc_auc_score(truth, fitted.score_samples(test)) > 0.95


def test_scores_do_not_depend_on_units(fitted, tumours, rng):
    train, test, _ = tumours
    unit, origin = 10.0 ** rng.integers(-3, 4, 30), rng.normal(size=30) * 100
    other = clone(fitted).fit(train * unit + origin)
    np.testing.assert_allclose(
        other.score_samples(test * unit + origin), fitted.score_samples(test), rtol=1e-6
    )


def test_contributions_add_up_to_the_score(fitted, tumours):
    _, test, _ = tumours
    shares = fitted.score_features(test)
    assert (shares >= 0).all()
    np.testing.assert_allclose(-shares.sum(axis=1), fitted.score_samples(test), rtol=1e-9)
    spoiled = np.zeros((1, 30))
    spoiled[0, 7] = 50
    assert fitted.score_features(spoiled).argmax() == 7


def test_a_row_is_repaired_towards_normal_ones(fitted, tumours):
    train, _, _ = tumours
    spoiled = train[:1].copy()
    spoiled[0, 7] = 50
    repaired = fitted.reconstruct(spoiled)
    assert abs(repaired[0, 7]) < 5
    np.testing.assert_allclose(
        fitted.inverse_transform(fitted.transform(spoiled)), repaired, rtol=1e-6
    )


@pytest.mark.machines
def test_same_row_same_score(fitted, tumours):
    _, test, _ = tumours
    scores = fitted.score_samples(test)
    for rows in (slice(3, 4), slice(0, 100), slice(50, None)):
        assert_same_scores(fitted.score_samples(test[rows]), scores[rows])
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.score_samples(test), scores)
    again = clone(fitted).fit(tumours[0])
    np.testing.assert_array_equal(again.score_samples(test), scores)


def test_gaps_are_accepted(fitted, tumours, rng):
    train, test, truth = tumours
    gappy = [np.where(rng.random(part.shape) < 0.2, np.nan, part) for part in (train, test)]
    model = clone(fitted).fit(gappy[0])
    scores = model.score_samples(gappy[1])
    assert roc_auc_score(truth, scores) > 0.9
    shares = model.score_features(gappy[1])
    np.testing.assert_array_equal(np.isnan(shares), np.isnan(gappy[1]))
    np.testing.assert_allclose(-np.nansum(shares, axis=1), scores, rtol=1e-9)


def test_trimming_helps_among_a_mixed_bag(rng):
    normal = rng.standard_normal((400, 6))
    strange = 1.5 * rng.standard_normal((60, 6)) + 3  # with neighbours of their kind
    X, y = np.r_[normal, strange], np.r_[np.zeros(400), np.ones(60)]
    figures = [
        roc_auc_score(y, -AnomalyDetector(trim=trim, random_state=0).fit(X).score_samples(X))
        for trim in TRIMS
    ]
    assert figures[1] > figures[2] > figures[0]
    assert figures[1] > 0.95


@pytest.mark.filterwarnings("ignore:All columns of X are constant", "ignore:X has 2 rows")
@pytest.mark.parametrize("trim", TRIMS)
@pytest.mark.parametrize(
    "X",
    [
        np.arange(50.0)[:, None],
        np.c_[np.arange(50.0), np.ones(50)],
        np.ones((20, 3)),
        np.repeat(np.eye(3), 10, axis=0),
        np.random.default_rng(0).standard_normal((15, 40)),
        np.random.default_rng(0).standard_normal((2, 3)),
    ],
    ids=["one column", "constant column", "constant", "copies", "d > n", "two rows"],
)
def test_odd_tables(X, trim):
    model = AnomalyDetector(trim=trim, contamination=0.1, random_state=0).fit(X)
    assert np.isfinite(model.score_samples(X)).all()
    far = model.score_samples(X[:1] + 1000)
    assert far < model.score_samples(X).max()
    assert np.isfinite(model.reconstruct(X)).all()


def test_large_tables_are_learned_from_in_part(rng):
    X = rng.standard_normal((3000, 4))
    model = AnomalyDetector(max_items=500, random_state=0).fit(X)
    assert len(model.core_) <= 500
    assert len(np.unique(model.core_)) == len(model.core_)
    share = (model.predict(X) == -1).mean()
    assert 0 < share < 0.1
    model.set_params(contamination=0.1).fit(X)
    assert (model.predict(X) == -1).mean() == pytest.approx(0.1, abs=0.03)


def test_core_leaves_out_what_lies_apart(rng):
    X = np.r_[rng.standard_normal((180, 3)), rng.standard_normal((20, 3)) + 8] * [1, 50, 0.1]
    core = RobustCore(trim=0.1).fit(X).core_
    np.testing.assert_array_equal(core, np.arange(200) < 180)
    robust = MinCovDet(support_fraction=0.9, random_state=0).fit(X)
    np.testing.assert_allclose(X[core].mean(0), robust.location_, atol=0.1 * X.std(0).max())
    assert RobustCore(trim=0.0).fit(X).core_.all()
    assert RobustCore(trim=0.9).fit(X[:3]).core_.sum() == 2


def test_a_core_that_cannot_be_found_leaves_the_one_before(rng):
    table = pd.DataFrame(rng.standard_normal((9, 2)), columns=["a", "b"])
    core = RobustCore().fit(table)
    with pytest.raises(ValueError, match="'c' of X is not numeric"):
        core.fit(table.assign(c="text"))
    assert core.feature_names_in_.tolist() == ["a", "b"]


@pytest.mark.parametrize("shape", [(40, 7), (7, 40)])
def test_mahalanobis_distance_by_the_smaller_matrix(shape, rng):
    C, X = rng.standard_normal(shape), rng.standard_normal((5, shape[1]))
    inverse = np.linalg.inv(C.T @ C + 0.01 * np.eye(shape[1]))
    expected = np.einsum("nd,de,ne->n", X, inverse, X)
    np.testing.assert_allclose(mahalanobis(X, C, 0.01), expected, rtol=1e-8)


def test_surprise_is_minus_the_logarithm_of_the_tail(rng):
    normal = rng.standard_normal(9999)
    surprise = Surprise.of(Tails(all_normal(normal[:, None])), normal)
    values = np.quantile(normal, [0.5, 0.9, 0.99])
    np.testing.assert_allclose(surprise.at(values), -np.log([0.5, 0.1, 0.01]), rtol=0.01)
    beyond = surprise.at(normal.max() + np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(np.diff(beyond)[1], 1 / normal.std(), rtol=1e-3)


def test_a_score_adds_surprises_and_takes_the_larger_of_two_memories(fitted, tumours):
    _, test, _ = tumours
    memories = [memory(test) for memory in fitted.model_.memories]
    tails, swaps = (other(test) for other in fitted.model_.others)
    larger = memories[0]
    if len(memories) == 2:
        larger = np.log(np.exp(memories[0]) + np.exp(0.4 * memories[1]))
    np.testing.assert_allclose(-fitted.score_samples(test), 2 * larger + tails + swaps, rtol=1e-9)


def test_the_spread_of_a_column_that_hardly_varies_is_its_standard_deviation(rng):
    X = rng.standard_normal((500, 2))
    X[rng.random(500) < 0.95, 1] = 0  # over half are equal
    spread = Scale.robust(X).spread
    lower, upper = np.percentile(X[:, 0], [25, 75])
    np.testing.assert_allclose(spread, [(upper - lower) / 1.349, X[:, 1].std()])


def test_tails_count_both_ends():
    part, X = Tails(all_normal(np.arange(99.0)[:, None])), np.array([[0.0], [49.0], [98.0], [1e9]])
    tails = part(X)
    assert tails[1] == 0
    assert tails[0] == tails[2] == pytest.approx(-np.log(3 / 100))
    assert tails[3] == pytest.approx(-np.log(1 / 100))
    np.testing.assert_array_equal(part.columns(X)[:, 0], tails)


def test_scales_are_undone_and_do_not_know_units(rng):
    X = np.c_[rng.standard_normal((100, 3)) * [1, 1e3, 1e-3], np.ones(100)]
    scale = Scale.robust(X)
    np.testing.assert_allclose(scale.back(scale(X)), X, rtol=1e-3, atol=1e-3)
    assert (scale(X)[:, 3] == 0).all()
    np.testing.assert_array_equal(scale(X), Scale.robust(X * 7 + 1)(X * 7 + 1))


def test_tiny_units_and_huge_values(rng):
    X = rng.standard_normal((200, 3))
    far = X[:5] + np.array([8, 0, 0])
    scores = [
        AnomalyDetector(trim=0.0, random_state=0).fit(X * unit).score_samples(far * unit)
        for unit in (np.ones(3), np.array([1e-13, 1, 1]))
    ]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)
    detector = AnomalyDetector(random_state=0).fit(X)
    for huge in (1e160, 1e200, 1e305):
        row = np.array([[0.0, huge, 0.0]])
        assert detector.score_samples(row) < detector.score_samples(10 * X[:1])
        shares = detector.score_features(row)
        assert np.isfinite(shares).all()
        assert shares.argmax() == 1
    X[0] = 1e200
    assert not RobustCore(trim=0.1).fit(X).core_[0]
    X[0] = 1e90
    assert np.isfinite(AnomalyDetector(random_state=0).fit(X).score_samples(X[1:])).all()


def test_float32_is_no_other_table(rng):
    X = rng.choice([0.1, 0.2, 0.3], (300, 4))
    for learned in (X, X.astype(np.float32)):
        detector = AnomalyDetector(random_state=0).fit(learned)
        scores = detector.score_samples(X)
        np.testing.assert_allclose(detector.score_samples(X.astype(np.float32)), scores, rtol=1e-4)


def test_gap_in_a_column_with_outliers_is_not_strange(rng):
    train, new = rng.normal(size=(600, 4)), rng.normal(size=(300, 4))
    train[::100, 3] = 1e6
    detector = AnomalyDetector(random_state=0).fit(train)
    new[:, 3] = np.nan
    assert (detector.predict(new) == -1).mean() < 0.1
