import numpy as np
import pytest

from aedetect.rows.ranks import Ranks


def test_share_below_each_number_is_exact(rng):
    numbers = np.sort(rng.normal(size=50))
    np.testing.assert_allclose(Ranks.of(numbers)(numbers), np.arange(50) / 50)


def test_between_numbers_it_is_linear():
    ranks = Ranks.of(np.array([0.0, 1.0, 3.0, 4.0]))
    np.testing.assert_allclose(ranks(np.array([-5, 0.5, 2, 9])), [0, 0.125, 0.375, 0.75])


def test_equal_numbers_are_one_whatever_their_last_digits(rng):
    numbers = np.sort(rng.integers(1, 4, 200) * (1 + 1e-15 * rng.normal(size=200)))
    below = [(numbers < value - 0.5).mean() for value in (1, 2, 3)]
    for noise in (-1e-14, 0, 1e-14):
        found = Ranks.of(numbers)(np.array([1.0, 2, 3]) * (1 + noise))
        np.testing.assert_allclose(found, below, atol=1e-6)


@pytest.mark.parametrize("numbers", [[2.0], [0.0, 0.0, 0.0]])
def test_one_number_says_nothing(numbers):
    assert Ranks.of(np.array(numbers))(np.array([-1.0, 2, 5])).tolist() == [0, 0, 0]
