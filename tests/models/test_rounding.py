"""What rounding must not decide: the score of a row beside others, ties, what is constant."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from estimators import assert_same_scores
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aedetect import (
    AnomalyDetector,
    Autoencoder,
    Conv1d,
    MemoryAutoencoder,
    PCADetector,
    Tied,
    VariationalAutoencoder,
)
from aedetect.models.frame import Frame
from aedetect.networks import product
from aedetect.rows.threshold import (
    FALSE_ALARMS,
    calibrated_threshold,
    find_threshold,
    p_values,
)

pytestmark = [
    pytest.mark.machines,
    pytest.mark.filterwarnings("ignore:The network did not learn"),
]


def models(width):
    """Networks whose layers, codes and items are of one width, on twice as many columns."""
    options = {"latent_dim": width, "network": (width,), "epochs": 1, "random_state": 0}
    return [
        Autoencoder(**options),
        Autoencoder(**{**options, "network": Tied(hidden=(width,), activation="silu")}),
        MemoryAutoencoder(n_items=width, **options),
        VariationalAutoencoder(score_method="elbo", n_draws=2, **options),
        Autoencoder(**{**options, "network": Conv1d(shape=(2, width), channels=(3,))}),
    ]


def check_equal_rows(widths, assert_equal):
    """Score one row many times over, alone, and among others, by networks of all widths."""
    for width in widths:
        X = np.random.default_rng(width).standard_normal((300, 2 * width))
        X[::3] = X[0]
        for model in models(width):
            scores = model.fit(X[:50]).score_samples(X)
            assert_equal(scores[::3], np.repeat(scores[0], 100))
            assert_equal(model.score_samples(X[:1]), scores[:1])
            assert_equal(model.score_samples(X[40:141]), scores[40:141])
            assert_equal(model.score_samples(X[::-1]), scores[::-1])


def test_equal_rows_get_equal_scores():
    check_equal_rows([2, 5, 6, 7, 9, 10, 11, 17], assert_same_scores)


def test_to_the_last_bit_where_mkl_is_told_so():
    """MKL reads the variable once; other libraries than MKL do not read it."""
    told = "numpy.testing.assert_array_equal" if torch.backends.mkl.is_available() else None
    code = (
        "import warnings, numpy.testing, test_rounding as rounding;"
        "warnings.filterwarnings('ignore', message='The network did not learn');"
        f"rounding.check_equal_rows(range(2, 21), {told or 'rounding.assert_same_scores'})"
    )
    here = Path(__file__).parent
    paths = os.pathsep.join(
        [str(here), str(here.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    variables = {**os.environ, "MKL_CBWR": "COMPATIBLE", "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", code], env=variables, check=True)


@pytest.mark.parametrize("n_out", [1, 2, 5, 6, 7, 9, 10, 11, 15, 16, 17, 31, 32, 100])
def test_products_of_scoring_are_products(n_out, rng):
    x, weight = (
        torch.from_numpy(rng.standard_normal(shape)) for shape in ((1, 50, 33), (1, 33, n_out))
    )
    for result in (product(x, weight), product(x, weight.mT.contiguous().mT)):
        assert result.shape == (1, 50, n_out)
        torch.testing.assert_close(result, x @ weight)


# Ties -----------------------------------------------------------------------------------------

few_values = arrays(
    float, st.integers(2, 60), elements=st.sampled_from([-1e3, -1.0, -0.3, -0.2, -1e-9, 0.0])
)


@given(scores=few_values)
def test_p_values_of_calibrated_scores_tie_where_scores_do(scores):
    calibration = np.sort(scores)
    found = p_values(scores, calibration)
    assert ((found[:, None] <= found) == (scores[:, None] <= scores)).all()
    flagged = scores < calibrated_threshold(calibration)
    assert (found[flagged] <= FALSE_ALARMS).all()
    assert flagged.sum() <= FALSE_ALARMS * len(scores)


@given(scores=few_values, share=st.floats(0, 0.5))
def test_a_share_is_not_exceeded_by_rows_that_tie(scores, share):
    k = round(share * len(scores))
    flagged = scores < find_threshold(scores, share)
    assert flagged.sum() == (scores < np.sort(scores)[k]).sum() <= k


@pytest.mark.parametrize(
    "detector",
    [
        AnomalyDetector(n_estimators=1, random_state=0),
        Autoencoder(epochs=5, random_state=0),
        PCADetector(),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_few_rows_are_flagged_where_each_has_a_copy(detector, rng):
    for _ in range(5):
        X = np.tile(rng.uniform(size=(100, 4)), (2, 1))
        assert (detector.fit_predict(X) == -1).sum() <= 10


@pytest.mark.filterwarnings("ignore:All columns of X are constant")
def test_nothing_is_flagged_where_all_rows_are_equal():
    assert (PCADetector().fit_predict(np.full((50, 3), 0.1)) == 1).all()


# Constants ------------------------------------------------------------------------------------


def test_sums_that_differ_by_rounding_are_constant():
    X = np.full((50, 3), 0.3)
    X[::2] = 0.1 + 0.2
    with pytest.warns(UserWarning, match="All columns of X are constant"):
        PCADetector().fit(X)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3, 1e-200, 1e300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gaps", [False, True])
def test_what_is_constant_has_no_scale_of_its_own(value, dtype, gaps):
    with np.errstate(over="ignore"):
        X = np.full((1003, 3), value, dtype)
    X = X if np.isfinite(X).all() else np.full((1003, 3), 1e38, dtype)
    X[::7, 1] = np.nan if gaps else X[0, 0]
    frame = Frame.of(X, centre=True)
    assert frame.scale == 1
    np.testing.assert_array_equal(frame.mean, X[1].astype(float))
    X[::2] *= 1 + 4 * np.finfo(float).eps  # nothing but rounding, in float64
    assert Frame.of(X, centre=True).scale == 1


def test_small_units_beside_large_constants_keep_their_scale(rng):
    small = 1e-12 * rng.standard_normal((500, 1))
    alone = Frame.of(small, centre=True).scale
    assert alone == pytest.approx(small.std())
    beside = Frame.of(np.c_[small, np.full(500, 1e6 / 3)], centre=True).scale
    assert beside == pytest.approx(small.std() / np.sqrt(2))


def test_tiny_units_train_as_others_do(tumours):
    train, test, _ = tumours
    scores = [
        Autoencoder(epochs=5, random_state=0).fit(train * unit).score_samples(test * unit) / unit**2
        for unit in (1, 2.0**-40)
    ]
    assert_same_scores(*scores)


@pytest.mark.parametrize("frame", [True, False])
def test_values_whose_squares_overflow_are_refused_by_name(frame, rng):
    X = rng.standard_normal((50, 3))
    X[:, 1] = np.geomspace(1e100, 1e300, 50)
    X = pd.DataFrame(X, columns=["a", "mass in eV", "c"]) if frame else X
    name = "'mass in eV'" if frame else "1"
    with pytest.raises(ValueError, match=rf"Column {name} of X holds values up to 1e\+300 .*log"):
        Autoencoder().fit(X)
