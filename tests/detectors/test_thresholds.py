"""Thresholds by rules, with guarantees, and for tables that are learned from and scored."""

import numpy as np
import pandas as pd
import pytest
from estimators import name_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import false_discovery_control, norm
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import IsolationForest
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import aedetect
from aedetect import (
    MAD,
    AlertBudget,
    AnomalyDetector,
    Autoencoder,
    ConformalDetector,
    EmpiricalNull,
    FromLabels,
    KernelAutoencoder,
    PCADetector,
    Quantile,
    Tail,
    Threshold,
    Tukey,
)
from aedetect.detectors.rules import Rule
from aedetect.metrics import OutlierScorer
from aedetect.rows.null import null_p_values, null_p_values_of_cells

FOREST = IsolationForest(n_estimators=20, random_state=0)


class LikePyOD(BaseEstimator):
    """Distance from the mean; high means anomalous, as in PyOD."""

    def fit(self, X, y=None):
        self.mean_ = np.mean(X, axis=0)
        self.decision_scores_ = self.decision_function(X)
        return self

    def decision_function(self, X):
        return np.linalg.norm(X - self.mean_, axis=1)


@pytest.fixture
def rows(rng):
    return rng.standard_normal((1200, 5)) * [1, 2, 1, 1, 3]


# Conformal detectors --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["split", "cross"])
@pytest.mark.parametrize(
    "detector",
    [
        FOREST,
        LocalOutlierFactor(novelty=True),
        LikePyOD(),
        make_pipeline(StandardScaler(), LikePyOD()),
        PCADetector(),
        make_pipeline(StandardScaler(), Autoencoder(epochs=5, random_state=0)),
    ],
    ids=name_of,
)
def test_about_alpha_of_new_rows_is_flagged(detector, method, rows):
    conformal = ConformalDetector(estimator=detector, method=method, alpha=0.1, random_state=0)
    conformal.fit(rows[:600])
    new = rows[600:]
    found = conformal.p_values(new)
    flagged = conformal.predict(new) == -1
    np.testing.assert_array_equal(flagged, found <= 0.1)
    assert 0.04 < flagged.mean() < 0.18
    assert (conformal.predict(50 * np.ones((1, 5))) == -1).all()
    assert found.min() >= 1 / (1 + len(conformal.calibration_scores_))


def test_the_probability_to_be_flagged_is_at_most_alpha(rng):
    detector = ConformalDetector(estimator=LikePyOD(), alpha=0.1, random_state=0)
    found = []
    for _ in range(400):
        X = rng.standard_exponential((80, 2))
        found.append(detector.fit(X[:60]).p_values(X[60:]))
    for alpha in (1 / 16, 0.1, 0.5):  # a quarter of 60 rows: p-values are sixteenths
        expected = np.floor(alpha * 16) / 16
        assert (np.array(found) <= alpha).mean() == pytest.approx(expected, abs=0.02)


def test_jackknife_compares_with_models_that_each_miss_a_row(rows):
    X, new = rows[:30], rows[30:60]
    found = ConformalDetector(estimator=LikePyOD(), method="jackknife+", alpha=0.2).fit(X)
    as_far = np.zeros(len(new))
    for i in range(len(X)):
        mean = np.delete(X, i, axis=0).mean(axis=0)
        as_far += np.linalg.norm(X[i] - mean) >= np.linalg.norm(new - mean, axis=1)
    np.testing.assert_allclose(found.p_values(new), (1 + as_far) / 31)
    np.testing.assert_array_equal(found.predict(new) == -1, (1 + as_far) / 31 <= 0.2)
    with pytest.raises(ValueError, match="jackknife"):
        found.recalibrate(X)


def test_a_fitted_detector_is_calibrated_and_not_fitted(rows):
    fitted = LikePyOD().fit(rows[:300])
    mean = fitted.mean_.copy()
    detector = ConformalDetector(estimator=fitted, prefit=True).fit(rows[300:900] + 1)
    assert (detector.predict(rows[900:]) == -1).mean() < 0.05
    detector.recalibrate(rows[300:900])
    assert 0.01 < (detector.predict(rows[900:]) == -1).mean() < 0.1
    np.testing.assert_array_equal(fitted.mean_, mean)
    with pytest.raises(ValueError, match="estimator is None"):
        ConformalDetector(prefit=True).fit(rows)


def test_few_calibration_rows_are_told_of(rows):
    with pytest.warns(UserWarning, match="alpha=0.01 flags nothing with 15 calibration rows"):
        detector = ConformalDetector(estimator=LikePyOD(), alpha=0.01).fit(rows[:60])
    assert (detector.predict(100 * rows) == 1).all()


@pytest.mark.parametrize(("alpha", "n"), [(0.29, 99), (0.57, 99), (1 / 49, 48), (1.0, 20)])
def test_what_is_flagged_is_what_p_values_say(alpha, n, rows):
    fitted = LikePyOD().fit(rows)
    detector = ConformalDetector(estimator=fitted, prefit=True, alpha=alpha).fit(rows[:n])
    flagged = detector.predict(rows) == -1
    np.testing.assert_array_equal(flagged, detector.p_values(rows) <= alpha)
    assert flagged.any()


@pytest.mark.parametrize("method", ["split", "cross", "jackknife+"])
def test_a_failed_fit_leaves_a_conformal_detector_as_it_was(method, rows):
    detector = ConformalDetector(estimator=LikePyOD(), method=method, random_state=0)
    expected = detector.fit(rows[:80]).score_samples(rows)
    with pytest.raises(UserWarning, match="alpha=0.01 flags nothing"):
        detector.set_params(alpha=0.01).fit(rows[80:160, :4])
    np.testing.assert_array_equal(detector.score_samples(rows), expected)
    with pytest.raises(ValueError, match="5 features"):
        detector.set_params(prefit=True, estimator=PCADetector().fit(rows)).fit(rows[:, :4])
    np.testing.assert_array_equal(detector.score_samples(rows), expected)


@pytest.mark.parametrize("method", ["split", "cross"])
def test_seeds_that_cannot_be_are_named(method, rows):
    with pytest.raises(ValueError, match="ConformalDetector: random_state=-1; expected an integer"):
        ConformalDetector(method=method, random_state=-1).fit(rows)


def test_false_discoveries_are_few(rng):
    shares, found = [], []
    for seed in range(30):
        X = rng.standard_normal((1000, 3))
        odd = rng.standard_normal((30, 3)) + 6
        detector = ConformalDetector(estimator=LikePyOD(), random_state=seed).fit(X[:600])
        flagged = detector.predict_fdr(np.r_[X[600:], odd], q=0.2) == -1
        shares.append(flagged[:400].sum() / max(1, flagged.sum()))
        found.append(flagged[400:].mean())
    assert np.mean(shares) < 0.2
    assert np.mean(found) > 0.9
    with pytest.raises(ValueError, match="q=0"):
        detector.predict_fdr(X, q=0)


# Rules ----------------------------------------------------------------------------------------

many = arrays(float, st.integers(20, 200), elements=st.floats(-1e6, 0), unique=True)


@given(scores=many, k=st.floats(0.1, 10))
def test_rules_of_the_spread_are_those_of_the_books(scores, k):
    error = -scores
    median = np.median(error)
    expected = median + k * 1.4826 * np.median(np.abs(error - median))
    assert MAD(k=k)(scores) == pytest.approx(-expected)
    first, third = np.percentile(error, [25, 75])
    assert Tukey(k=k)(scores) == pytest.approx(-(third + k * (third - first)))


@pytest.mark.parametrize(
    ("draw", "quantile"),
    [
        (lambda rng: rng.exponential(size=50_000), lambda p: -np.log(p)),
        (lambda rng: rng.pareto(3, 50_000), lambda p: p ** (-1 / 3) - 1),
        (lambda rng: rng.random(50_000), lambda p: 1 - p),
    ],
    ids=["exponential", "heavy", "bounded"],
)
def test_tails_are_extrapolated(draw, quantile, rng):
    error = draw(rng)
    for alpha in (0.2, 1e-2, 1e-3, 1e-5):
        assert -Tail(alpha=alpha)(-error) == pytest.approx(quantile(alpha), rel=0.2)
    with pytest.raises(ValueError, match="Tail needs at least 10"):
        Tail(alpha=1e-3)(-error[:20])


@pytest.mark.parametrize("n_below", [1, 9, 30])
def test_a_share_that_reaches_beyond_the_tail_ends_at_ties(n_below, rng):
    scores = np.zeros(1000)
    scores[:n_below] = -rng.exponential(size=n_below) - 1
    for rule in (Tail(alpha=0.05), Tail(alpha=n_below / 1000)):
        np.testing.assert_array_equal(scores < rule(scores), scores < 0)


def test_a_rule_takes_p_values_where_these_are_the_scores(rows):
    inner = ConformalDetector(estimator=LikePyOD(), method="jackknife+")
    detector = Threshold(estimator=inner, rule=Quantile(share=0.1)).fit(rows[:100])
    assert (detector.predict(rows[:100]) == -1).sum() == 10


class NoNumber(Rule):
    def __call__(self, scores, y=None):
        return float("nan")


def test_a_rule_that_finds_no_number_is_named(rows):
    with pytest.raises(ValueError, match=r"rule=NoNumber\(\) found NaN from 1200 scores"):
        Threshold(estimator=LikePyOD(), rule=NoNumber()).fit(rows)


def test_an_alert_budget_is_kept(rng):
    learned, new = -rng.exponential(size=2000), -rng.exponential(size=100_000)
    for alerts in (1, 10, 1000):
        offset = AlertBudget(alerts=alerts, rows=10_000)(learned)
        assert 0.2 * alerts < (new < offset).sum() / 10 < 3 * alerts
    with pytest.raises(ValueError, match="more than rows"):
        AlertBudget(alerts=11, rows=10)(learned)
    with pytest.raises(ValueError, match="alerts=1 of rows=1000 is a smaller share than 301 score"):
        AlertBudget(alerts=1, rows=1000)(np.r_[np.zeros(300), -1])


@pytest.mark.parametrize(
    "rule",
    [Quantile(share=1), Quantile(share=0.96), AlertBudget(alerts=10, rows=10), Tail(alpha=1)],
    ids=repr,
)
@pytest.mark.parametrize("best", [9.0, 0.0, -1e-300, 1e300])
def test_a_share_may_be_all_rows(rule, best, rng):
    scores = np.append(rng.uniform(-9, -1, 9), best)
    offset = rule(scores)
    assert (scores < offset).all()
    assert offset == np.nextafter(scores.max(), np.inf)


@settings(deadline=None)
@given(scores=many, seed=st.integers(0, 99))
@pytest.mark.parametrize("metric", ["f1", "balanced_accuracy"])
def test_the_best_threshold_for_labels_is_found(metric, scores, seed):
    y = np.where(np.random.RandomState(seed).rand(len(scores)) < 0.3, -1, 1)
    y[:2] = 1, -1
    judge = {"f1": f1_score, "balanced_accuracy": balanced_accuracy_score}[metric]
    worths = [judge(y == -1, scores <= cut) for cut in scores]
    offset = FromLabels(metric=metric)(scores, y)
    assert judge(y == -1, scores < offset) == pytest.approx(max(worths))
    np.testing.assert_equal(FromLabels(metric=metric, labels="01")(scores, y == -1), offset)


def test_labels_that_are_none_are_refused(rows):
    with pytest.raises(ValueError, match="needs y"):
        Threshold(estimator=LikePyOD(), rule=FromLabels()).fit(rows)
    with pytest.raises(ValueError, match="y holds"):
        Threshold(estimator=LikePyOD(), rule=FromLabels()).fit(rows, np.zeros(len(rows)))


def test_rules_take_scores_of_rows_that_were_not_learned_from(rows):
    detector = Threshold(estimator=PCADetector(), rule=Quantile(share=0.1)).fit(rows)
    unseen = detector.estimator_.calibration_scores_
    assert detector.offset_ == Quantile(share=0.1)(unseen)
    own = Threshold(estimator=PCADetector(contamination=0), rule=Quantile(share=0.1)).fit(rows)
    assert (own.predict(rows) == -1).sum() == 120
    again = Threshold(estimator=own.estimator_, rule=Quantile(share=0.2), prefit=True).fit(rows)
    assert again.estimator_ is own.estimator_
    assert (again.predict(rows) == -1).sum() == 240


def test_rules_can_be_searched(rows):
    y = np.where(np.arange(len(rows)) % 10, 1, -1)
    X = rows + 8 * (y == -1)[:, None]
    search = GridSearchCV(
        Threshold(estimator=LikePyOD(), rule=Quantile()),
        {"rule__share": [0.01, 0.1, 0.4]},
        scoring=OutlierScorer("f1"),
        cv=3,
    ).fit(X, y)
    assert search.best_params_ == {"rule__share": 0.1}


@pytest.mark.parametrize(
    "detector",
    [
        Threshold(estimator=PCADetector(), rule=Tail(alpha=0.01)),
        ConformalDetector(estimator=KernelAutoencoder(), random_state=0),
        ConformalDetector(estimator=PCADetector(), method="jackknife+"),
        make_pipeline(StandardScaler(), Threshold(estimator=PCADetector())),
    ],
    ids=name_of,
)
def test_files_hold_thresholds(detector, rows, tmp_path):
    detector = clone(detector).fit(rows[:100])
    aedetect.save(detector, tmp_path / "model")
    loaded = aedetect.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.decision_function(rows), detector.decision_function(rows))


def test_files_refuse_detectors_of_others_in_them(rows, tmp_path):
    with pytest.raises(TypeError, match="IsolationForest"):
        aedetect.save(Threshold(estimator=FOREST).fit(rows), tmp_path / "model")


# A table that is learned from and scored --------------------------------------------------------

NOISE = {
    "normal": lambda rng, n, d: rng.standard_normal((n, d)),
    "correlated": lambda rng, n, d: rng.standard_normal((n, d)) @ rng.standard_normal((d, d)),
    "uniform": lambda rng, n, d: rng.random((n, d)),
    "t with 3": lambda rng, n, d: rng.standard_t(3, (n, d)),
    "lognormal": lambda rng, n, d: rng.lognormal(size=(n, d)),
    "exponential": lambda rng, n, d: rng.exponential(size=(n, d)),
    "Laplace": lambda rng, n, d: rng.laplace(size=(n, d)),
    "Cauchy": lambda rng, n, d: rng.standard_cauchy((n, d)),
    "mixed": lambda rng, n, d: np.c_[rng.random((n, d - 3)) < 0.5, rng.standard_normal((n, 3))],
}


@pytest.mark.parametrize("detector", [PCADetector(), KernelAutoencoder(), FOREST], ids=name_of)
@pytest.mark.parametrize(("n", "d"), [(1000, 10), (3000, 20)])
@pytest.mark.parametrize("noise", NOISE)
def test_nothing_is_found_in_noise(noise, n, d, detector, rng):
    X = StandardScaler().fit_transform(NOISE[noise](rng, n, d))
    labels = Threshold(estimator=detector, rule=EmpiricalNull()).fit_predict(X)
    assert (labels == -1).mean() <= (0.02 if noise == "Cauchy" else 0.01)


def test_planted_rows_are_found_among_many(rng):
    X = rng.standard_normal((50_000, 8)) @ rng.standard_normal((8, 8))
    X[:20] += 30 * rng.standard_normal((20, 8))
    labels = Threshold(estimator=PCADetector(latent_dim=4), rule=EmpiricalNull()).fit_predict(X)
    assert (labels[:20] == -1).sum() >= 18
    assert (labels[20:] == -1).sum() <= 10


def test_the_null_is_normal_in_the_cube_root_and_grows(rng):
    z = rng.standard_normal(100_000)
    for growth in (0, 0.2):
        x = 3 + 0.5 * (z + growth * np.where(z > 0, z, 0) ** 2)
        found = null_p_values(-(x**3))
        far = z > 1
        assert found[far] == pytest.approx((1 - norm.cdf(z[far])), rel=0.5, abs=1e-4)
        assert (found[z < -0.1] == 1).all()
    np.testing.assert_array_equal(null_p_values(-np.ones(10)), 1)


def noise_of_cells(name, rng, n, d):
    if name == "discrete":
        return np.c_[rng.random((n, d)) < 0.02, rng.poisson(3, (n, d)), rng.standard_normal((n, d))]
    return getattr(rng, name)(size=(n, d))


@pytest.mark.parametrize(
    "name",
    ["standard_normal", "uniform", "lognormal", "exponential", "standard_cauchy", "discrete"],
)
def test_no_cell_of_noise_stands_out(name):
    for seed in range(5):
        X = noise_of_cells(name, np.random.default_rng(seed), 1000, 10)
        assert (false_discovery_control(null_p_values_of_cells(X)) <= 0.1).sum() <= 1


def test_a_cell_far_out_in_its_column_stands_out(rng):
    X = rng.standard_normal((1000, 10)) * 10.0 ** np.arange(-6, 4) + 5
    expected = null_p_values_of_cells(X)
    X[3, 1], X[4, 9] = 5 + 40e-5, 5 - 4e4
    X[5:100, 2] = X[5, :] = np.nan
    X[:, 4] = 3  # constant: it counts for nothing
    p = null_p_values_of_cells(X)
    np.testing.assert_array_equal(np.flatnonzero(false_discovery_control(p) <= 0.1), [3, 4])
    assert p[5] == 1
    assert (p > 0).all()
    assert expected.min() > p[[3, 4]].max()


@pytest.mark.parametrize("odd", [40, 60])
@pytest.mark.parametrize("values", ["zeros", "cluster", "wide"])
def test_another_kind_of_normal_does_not_stand_out(values, odd, rng):
    X = rng.standard_normal((1000, 4))
    X[:odd, 0] = {
        "zeros": -100.0,
        "cluster": rng.normal(-100, 1, odd),
        "wide": rng.normal(0, 30, odd),
    }[values]
    assert (false_discovery_control(null_p_values_of_cells(X)) > 0.1).all()


@pytest.mark.parametrize("n_odd", [1, 5])
def test_a_wild_count_stands_out(n_odd, rng):
    X = rng.poisson(3, (1000, 4)).astype(float)
    X[:n_odd, 2] = 500
    p = null_p_values_of_cells(X)
    np.testing.assert_array_equal(
        np.flatnonzero(false_discovery_control(p) <= 0.1), np.arange(n_odd)
    )


def test_the_default_detector_is_wrapped_where_none_is_given(rows):
    detector = Threshold().fit(rows[:100])
    assert type(detector.estimator_) is AnomalyDetector
    assert detector.estimator is None


@pytest.mark.parametrize("method", ["split", "cross"])
@pytest.mark.filterwarnings("ignore:Columns are left out")
def test_rows_to_learn_from_stay_in_their_order(method, rng):
    when = pd.date_range("2026-01-01", periods=400, freq="h")
    table = pd.DataFrame({"when": when, "a": rng.normal(size=400), "b": rng.normal(size=400)})
    detector = ConformalDetector(
        estimator=aedetect.make_detector(PCADetector()), method=method, random_state=0
    ).fit(table)
    assert [*detector.estimator_[0].left_out_] == ["when"]
