import numpy as np
import pytest
import torch

from aedetect.objectives.errors import ERRORS

FORMULAS = {
    "squared_error": lambda p, x: (p - x) ** 2,
    "absolute_error": lambda p, x: abs(p - x),
    "huber": lambda p, x: np.where(abs(p - x) <= 1, (p - x) ** 2 / 2, abs(p - x) - 0.5),
    "binary_cross_entropy": lambda p, x: -x * np.log(p) - (1 - x) * np.log(1 - p),
}


def pair(name, rng):
    x, p = rng.uniform(0.01, 0.99, (2, 5, 7))
    return (p, x) if name == "binary_cross_entropy" else (8 * p - 4, x)


@pytest.mark.parametrize("name", ERRORS)
def test_error_is_its_formula(name, rng):
    p, x = pair(name, rng)
    error = ERRORS[name].of(torch.from_numpy(p), torch.from_numpy(x))
    np.testing.assert_allclose(error, FORMULAS[name](p, x), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name, loss in ERRORS.items() if loss.degree])
def test_degree_is_how_the_error_scales(name, rng):
    loss = ERRORS[name]
    p, x = (torch.from_numpy(a) * 0.01 for a in pair(name, rng))  # on Huber's parabola
    torch.testing.assert_close(loss.of(p / 10, x / 10), loss.of(p, x) / 10**loss.degree)
