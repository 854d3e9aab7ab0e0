"""Mahalanobis' distance, beside scikit-learn's and the closed form."""

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from aedetect import GaussianDetector


def test_the_score_is_the_distance_of_the_noisy_covariance(tumours):
    train, test, _ = tumours
    detector = GaussianDetector(noise=0.5).fit(train)
    covariance = np.cov(train.T)
    noise = 0.5 * np.trace(covariance) / 30
    centred = test - train.mean(axis=0)
    distances = np.einsum(
        "ni,ij,nj->n", centred, np.linalg.inv(covariance + noise * np.eye(30)), centred
    )
    np.testing.assert_allclose(-30 * detector.score_samples(test), distances, rtol=0.02)


def test_with_hardly_any_noise_it_is_scikit_learns(rng):
    X = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4))
    detector = GaussianDetector(noise=1e-9).fit(X)
    expected = EmpiricalCovariance().fit(X).mahalanobis(X) * 499 / 500
    np.testing.assert_allclose(-4 * detector.score_samples(X), expected, rtol=1e-5)


def test_reconstruct_is_the_best_linear_denoiser(rng):
    clean = rng.standard_normal((20_000, 3)) * [3, 1, 0.2]
    noisy = clean + rng.standard_normal(clean.shape)
    share = 1 / (np.trace(np.cov(clean.T)) / 3)
    rebuilt = GaussianDetector(noise=share).fit(clean).reconstruct(noisy)
    best = np.linalg.lstsq(noisy, clean, rcond=None)[0]
    ours, theirs = (np.square(x - clean).mean() for x in (rebuilt, noisy @ best))
    assert theirs <= ours == pytest.approx(theirs, rel=0.01)


def test_the_column_that_breaks_the_rule_contributes_most(rng):
    X = rng.standard_normal((500, 1)) + 0.1 * rng.standard_normal((500, 5))
    detector = GaussianDetector(noise=0.01).fit(X)
    row = X[:1].copy()
    row[0, 3] += 1
    assert detector.score_features(row)[0].argmax() == 3
