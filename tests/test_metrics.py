"""Scorers take outliers as positive; criteria without labels do what they say."""

import numpy as np
import pandas as pd
import polars
import pytest
from scipy.stats import norm
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import Autoencoder, PCADetector
from aedetect.metrics import (
    OutlierScorer,
    excess_mass,
    mass_volume,
    pca_advantage,
    seed_stability,
    synthetic_auroc,
)
from aedetect.model_selection import InlierKFold


@pytest.mark.parametrize("labels", ["sklearn", "01"])
def test_outliers_are_the_positive_class(labels, tumours):
    train, test, truth = tumours
    detector = PCADetector(latent_dim=5).fit(train)
    outlier = truth == -1
    y = truth if labels == "sklearn" else outlier.astype(int)
    strange = -detector.score_samples(test)
    found = [OutlierScorer(name, labels)(detector, test, y) for name in
             ("roc_auc", "average_precision", "f1")]  # fmt: skip
    expected = [
        roc_auc_score(outlier, strange),
        average_precision_score(outlier, strange),
        f1_score(outlier, detector.predict(test) == -1),
    ]
    assert found == pytest.approx(expected)
    worst = np.sort(strange[~outlier])[::-1]
    level = worst[int(0.1 * len(worst))]
    recall = OutlierScorer("recall_at_fpr", labels, fpr=0.1)(detector, test, y)
    assert recall == pytest.approx((strange[outlier] > level).mean(), abs=0.02)


def test_scorers_serve_searches_and_other_detectors(tumours):
    _, test, truth = tumours
    scorer = OutlierScorer("average_precision", labels="01")
    y, cv = (truth == -1).astype(int), InlierKFold(n_splits=3, outlier_label=1, random_state=0)
    pipeline = make_pipeline(StandardScaler(), PCADetector())
    search = GridSearchCV(pipeline, {"pcadetector__latent_dim": [2, 20]}, scoring=scorer, cv=cv)
    assert search.fit(test, y).best_score_ > 0.8
    assert (
        cross_val_score(IsolationForest(random_state=0), test, y, scoring=scorer, cv=cv).min() > 0.8
    )


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({}, [0, 1], "y holds 0; labels='sklearn' means 1 for inliers and -1"),
        ({"labels": "01"}, [-1, 1], "labels='01' means 0 for inliers and 1 for outliers"),
        ({}, [1, 1], "y holds only 1; inliers and outliers are needed"),
    ],
)
def test_labels_are_never_guessed(options, y, message):
    with pytest.raises(ValueError, match=message):
        OutlierScorer("roc_auc", **options)(None, None, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "auc"}, "metric='auc'; expected one of roc_auc"),
        ({"metric": "f1", "labels": "yes"}, "labels='yes'; expected 'sklearn'"),
        ({"metric": "recall_at_fpr", "fpr": 5}, "fpr=5; expected a share"),
    ],
)
def test_scorers_refuse(options, message):
    with pytest.raises(ValueError, match=message):
        OutlierScorer(**options)


class Density:
    """Scores by a known density."""

    def __init__(self, scale):
        self.scale = scale

    def score_samples(self, X):
        return norm.pdf(X, scale=[1, self.scale]).prod(axis=1)


def test_mass_and_volume_prefer_the_true_density(rng):
    X = rng.standard_normal((2000, 2)) * [1, 3]
    for criterion in (excess_mass, mass_volume):
        true, wrong = (criterion(Density(scale), X) for scale in (3, 0.5))
        assert true > wrong


def test_mass_volume_of_a_known_shape():
    X = np.stack(np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101)), -1).reshape(-1, 2)

    class Left:
        def score_samples(self, X):
            return -X[:, 0]

    assert mass_volume(Left(), X) == pytest.approx(-0.9495, abs=0.01)  # mean of .9 to .999


def test_pca_advantage_is_zero_for_pca_and_positive_for_curves(rng):
    t = rng.uniform(-1, 1, (600, 1))
    X = np.hstack([t, t**2]) + 0.01 * rng.standard_normal((600, 2))
    assert pca_advantage(PCADetector(latent_dim=1).fit(X), X) == pytest.approx(0, abs=1e-9)
    model = Autoencoder(latent_dim=1, epochs=200, random_state=0).fit(X[:400])
    assert pca_advantage(model, X[400:]) > 0.5
    with pytest.warns(UserWarning, match="keeps all columns"):
        everything = PCADetector(latent_dim=2).fit(X)
    with pytest.raises(ValueError, match="latent_dim_=2 is not below the 2 columns"):
        pca_advantage(everything, X)
    scaled = make_pipeline(StandardScaler(), PCADetector(latent_dim=1)).fit(X[:400])
    assert pca_advantage(scaled, X[400:]) < 0.01


def test_pca_advantage_wants_rows_that_components_cannot_learn_by_heart(digits):
    rows = np.random.default_rng(0).permutation(digits)
    detector = PCADetector(latent_dim=8).fit(rows[:900])
    assert -0.6 < pca_advantage(detector, rows[900:940]) < pca_advantage(detector, rows[900:]) < 0
    with pytest.raises(ValueError, match="X has 39 rows, fewer than 40: 5 per unit"):
        pca_advantage(detector, rows[900:939])


def test_synthetic_outliers_are_harder_for_a_bad_detector(digits):
    good, bad = (PCADetector(latent_dim=n).fit(digits[:900]) for n in (16, 1))
    assert synthetic_auroc(good, digits[900:]) > synthetic_auroc(bad, digits[900:]) + 0.05
    assert synthetic_auroc(good, digits[900:], rate=0.0) == pytest.approx(0.5)


def test_criteria_take_tables_and_any_detector(rng):
    frame = pd.DataFrame(rng.standard_normal((300, 3)), columns=list("abc"))
    for table in (frame, polars.from_pandas(frame)):
        for model in (IsolationForest(random_state=0), PCADetector()):
            model.fit(table)
            for criterion in (excess_mass, mass_volume, synthetic_auroc):
                assert criterion(model, table) == criterion(model, frame)
        assert pca_advantage(model, table) == pca_advantage(model, frame)


def test_stability_of_seeds(digits):
    long, short = (Autoencoder(epochs=n, network=(32,)) for n in (60, 2))
    assert seed_stability(long, digits[:300], n_seeds=3) > seed_stability(
        short, digits[:300], n_seeds=3
    )
    pipeline = make_pipeline(StandardScaler(), Autoencoder(epochs=2))
    assert -1 <= seed_stability(pipeline, digits[:100], n_seeds=2) <= 1


def test_criteria_take_gaps_and_scorers_infinite_scores(digits, rng):
    gappy = pd.DataFrame(np.where(rng.random((300, 64)) < 0.1, np.nan, digits[:300])).add_prefix(
        "p"
    )
    model = PCADetector(latent_dim=8).fit(gappy)
    for criterion in (excess_mass, mass_volume, synthetic_auroc, pca_advantage):
        assert np.isfinite(criterion(model, gappy))
    rows = np.r_[digits[:20], np.full((1, 64), 1e300)]
    model = Autoencoder(epochs=2, random_state=0).fit(digits[:100])
    assert OutlierScorer("roc_auc", labels="01")(model, rows, np.r_[np.zeros(20), 1]) == 1
    with pytest.raises(ValueError, match="n_seeds=1 gives nothing to compare"):
        seed_stability(model, digits, n_seeds=1)
