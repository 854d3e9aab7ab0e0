"""Nearest rows: whatever rounding does to a difference of squared lengths."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from aedetect import KernelAutoencoder
from aedetect.rows.neighbours import Neighbours

pytestmark = pytest.mark.machines


def tight_clusters(rng, d):
    """Rows 1e-3 around centres that are 1e5 apart."""
    return rng.normal(0, 1e5, (8, d)).repeat(25, axis=0) + rng.normal(0, 1e-3, (200, d))


TABLES = {
    "noise": lambda rng, d: rng.standard_normal((200, d)),
    "far from 0": lambda rng, d: 1e6 + rng.standard_normal((200, d)),
    "tight clusters": tight_clusters,
    "copies": lambda rng, d: rng.standard_normal((40, d)).repeat(5, axis=0),
    "one row many times": lambda rng, d: np.r_[
        rng.standard_normal((1, d)).repeat(150, axis=0), rng.standard_normal((50, d))
    ],
    "one row far away": lambda rng, d: np.r_[rng.standard_normal((199, d)), np.full((1, d), 1e10)],
    "tiny units": lambda rng, d: 1e-9 * rng.standard_normal((200, d)),
}


@pytest.mark.parametrize("d", [2, 12])
@pytest.mark.parametrize("table", TABLES)
def test_remembered_rows_find_the_nearest_others(table, d, rng):
    rows = TABLES[table](rng, d)
    distances, near = Neighbours(rows, 5)(rows)
    exact = cdist(rows, rows)
    np.fill_diagonal(exact, np.inf)
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :5], rtol=1e-6)
    there = np.take_along_axis(exact, near, 1)
    np.testing.assert_allclose(np.where(np.isinf(there), 0, there), distances, rtol=1e-6)
    assert all(len(set(some)) == 5 for some in near)


@pytest.mark.parametrize("d", [2, 12])
@pytest.mark.parametrize("table", TABLES)
def test_new_rows_find_the_nearest_of_all(table, d, rng):
    rows = TABLES[table](rng, d)
    new = rows[::3] + 0.1 * rows.std() * rng.standard_normal((67, d))
    distances, near = Neighbours(rows, 5)(new)
    exact = cdist(new, rows)
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :5], rtol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(exact, near, 1), distances, rtol=1e-6)


def test_there_may_be_fewer_rows_than_are_asked_for(rng):
    rows = rng.standard_normal((3, 8))
    distances, near = Neighbours(rows, 10)(rows)
    assert distances.shape == near.shape == (3, 3)
    assert np.isinf(distances[:, -1]).all()
    assert (near[:, :2] != np.arange(3)[:, None]).all()
    assert np.isfinite(Neighbours(rows, 10)(rows + 1)[0]).all()
    np.testing.assert_array_equal(Neighbours(rows[:1], 1)(rows[:1])[0], [[0.0]])


def test_one_row_far_away_makes_no_other_doubtful(rng, monkeypatch):
    rows = TABLES["one row far away"](rng, 12)
    search = Neighbours(rows, 5)
    monkeypatch.setattr("aedetect.rows.neighbours.cdist", None)  # is not needed
    search(rows[:-1])


@pytest.mark.parametrize("table", TABLES)
def test_a_kernel_autoencoder_rebuilds_rows_from_others_alone(table, rng):
    X = TABLES[table](rng, 12)
    model = KernelAutoencoder(n_neighbors=None).fit(X)
    exact = cdist(X, X)
    fifth = np.sort(exact, axis=1)[:, 5]
    assert model.bandwidth_ == pytest.approx(0.25 * np.median(fifth[fifth > 0]), rel=1e-6)
    np.fill_diagonal(exact, np.inf)
    logits = -0.5 * (exact / model.bandwidth_) ** 2
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    x_hat = weights @ X / weights.sum(axis=1, keepdims=True)
    errors = np.square(x_hat - X).mean(axis=1)
    unit = max(np.median(errors), np.square(1e-15 * np.abs(X)).max())  # X's own rounding
    np.testing.assert_allclose(-model.score_samples(X), errors, rtol=1e-3, atol=1e-3 * unit)


def test_a_row_that_was_computed_in_another_way_is_still_itself():
    rows = np.random.RandomState(0).randn(400, 36)
    turn = np.random.RandomState(1).randn(36, 36)
    nearest = Neighbours(rows @ turn, 3)
    alone = np.concatenate([row[None] @ turn for row in rows])
    apart = cdist(alone, rows @ turn) + np.diag(np.full(400, np.inf))
    np.testing.assert_allclose(nearest(alone)[0], np.sort(apart)[:, :3])
