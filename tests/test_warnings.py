"""Warnings point at the line of whoever fits, not at a line of the package."""

import importlib.util
import inspect
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderEnsemble,
    Conv1d,
    Dense,
    KernelAutoencoder,
    PCADetector,
    VariationalAutoencoder,
)
from aedetect.model_selection import StackedGridSearchCV

COPYING = Autoencoder(latent_dim=4, epochs=1, random_state=0)
GRID = {"latent_dim": [4], "learning_rate": [1e-3, 2e-3, 4e-3]}
SUBCLASS = """
from aedetect import Autoencoder
from aedetect.objectives.base import Objective

class Half(Objective):
    def loss(self, net, x):
        return super().loss(net, x) / 2

class Halved(Autoencoder):
    objective = Half

class Fitting(Autoencoder):
    def fit(self, X, y=None):
        return super().fit(X, y)
"""


@pytest.fixture
def table(rng):
    """Four columns of rank three, and one that is constant."""
    X = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 4))
    return pd.DataFrame(X, columns=list("abcd")).assign(e=1.0)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A module of a user with two subclasses."""
    path = tmp_path_factory.mktemp("user") / "elsewhere.py"
    path.write_text(SUBCLASS)
    spec = importlib.util.spec_from_file_location("elsewhere", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def caught(message, action="always"):
    """Warnings with that message, as they would be shown."""
    with warnings.catch_warnings(record=True) as every:
        warnings.simplefilter("ignore")
        warnings.filterwarnings(action, f".*{message}")
        yield every


def next_line():
    return inspect.currentframe().f_back.f_lineno + 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (COPYING, "the identity"),
        (Autoencoder(epochs=1, learning_rate=1e-9, random_state=0), "did not learn"),
        (Autoencoder(epochs=30), "Constant in training"),
        (AnomalyDetector(), "Constant in training"),
        (VariationalAutoencoder(beta=1e3, epochs=30, random_state=0), "posterior has collapsed"),
        (PCADetector(latent_dim=4), "keeps all columns"),
        (make_pipeline(StandardScaler(), COPYING), "the identity"),
        (AutoencoderEnsemble(estimator=COPYING, n_estimators=2, random_state=0), "the identity"),
        (GridSearchCV(COPYING, GRID, cv=2), "the identity"),
        (StackedGridSearchCV(COPYING, GRID, cv=2), "the identity"),
        (StackedGridSearchCV(make_pipeline(COPYING), {}, cv=2), "the identity"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_warning_points_at_the_line_that_fits(model, message, table):
    X = table if "Constant" in message else table[list("abcd")]
    with caught(message) as found:
        line = next_line()
        model.fit(X)
    assert {(warning.filename, warning.lineno) for warning in found} == {(__file__, line)}


def test_subclass_elsewhere_that_defines_a_loss(elsewhere, table):
    with caught("the identity") as found:
        line = next_line()
        elsewhere.Halved(latent_dim=5, epochs=1).fit(table)
    assert [(warning.filename, warning.lineno) for warning in found] == [(__file__, line)]


def test_subclass_that_fits_is_the_nearest_line_of_a_user(elsewhere, table):
    with caught("the identity") as found:
        elsewhere.Fitting(latent_dim=5, epochs=1).fit(table)
    line = SUBCLASS.splitlines().index("        return super().fit(X, y)") + 1
    assert [(w.filename, w.lineno) for w in found] == [(elsewhere.__file__, line)]


def test_a_users_module_may_be_named_as_one_of_pythons_own(table, tmp_path):
    path = tmp_path / "code.py"
    path.write_text(SUBCLASS)
    spec = importlib.util.spec_from_file_location("code", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with caught("the identity") as found:
        module.Fitting(latent_dim=5, epochs=1).fit(table)
    assert {warning.filename for warning in found} == {str(path)}


def test_where_no_line_is_a_users(table):
    with caught("the identity") as found, ThreadPoolExecutor(1) as pool:
        pool.submit(Autoencoder(latent_dim=5, epochs=1).fit, table).result()
    assert [warning.filename.strip("<>") for warning in found] == ["sys"]


@pytest.mark.parametrize(
    "many",
    [
        AutoencoderEnsemble(estimator=COPYING, random_state=0),
        StackedGridSearchCV(COPYING, GRID | {"random_state": [0, 1]}, cv=3, refit=False),
    ],
    ids=["ensemble of 8", "search of 18 fits"],
)
def test_those_trained_together_warn_once(many, table):
    with caught("the identity", "default") as found:
        many.fit(table[list("abcd")])
    assert len(found) == 1


def test_can_be_ignored_by_the_module_that_fits(table):
    with caught("the identity") as found:
        warnings.filterwarnings("ignore", module=__name__)
        COPYING.fit(table[list("abcd")])
    assert not found


# Rows that little can be learned from ---------------------------------------------------------

QUICK = Autoencoder(epochs=1, random_state=0)
DETECTORS = [
    QUICK,
    PCADetector(),
    KernelAutoencoder(),
    AnomalyDetector(n_estimators=1, random_state=0),
    AutoencoderEnsemble(estimator=QUICK, n_estimators=2, bootstrap=True, random_state=0),
]
by_name = {"ids": lambda detector: type(detector).__name__}
ABOUT_ROWS = "(All columns of X are constant|X has . rows|Columns have unlike scales)"


def said_of(detector, X):
    """What is said of the rows."""
    with caught(ABOUT_ROWS) as found:
        detector.fit(X)
    return [str(warning.message) for warning in found]


@pytest.mark.parametrize("detector", DETECTORS, **by_name)
@pytest.mark.parametrize("value", [0, 0.1, 1e6 / 3, [3, 0.1, -1e-9]])
def test_warns_once_where_nothing_varies(detector, value):
    X = np.tile(np.broadcast_to(value, 3), (1500, 1))
    (said,) = said_of(detector, X)
    assert said.startswith("All columns of X are constant")
    X[1200, 1] += 1
    assert not said_of(detector, X)


@pytest.mark.parametrize("detector", DETECTORS, **by_name)
@pytest.mark.parametrize("n", [2, 5, 6])
def test_warns_once_of_few_rows(detector, n, rng):
    said = said_of(detector, rng.standard_normal((n, 3)))
    assert len(said) == (n <= 5)
    assert all(f"X has {n} rows, too few" in message for message in said)


@pytest.mark.parametrize("detector", DETECTORS, **by_name)
@pytest.mark.parametrize("ratio", [500, 2000])
@pytest.mark.parametrize("gaps", [False, True])
def test_warns_once_of_columns_in_unlike_units(detector, ratio, gaps, rng):
    X = rng.uniform(size=(200, 4)) * [1, ratio, 1, 0] + [0, 0, 5e4, 1e6 / 3]
    X[0, :3], X[1, :3] = [0, 0, 5e4], [1, ratio, 5e4 + 1]
    X[5:9, 1] = np.nan if gaps else 1
    said = said_of(detector, pd.DataFrame(X, columns=["a", "euros", "c", "d"]))
    assert len(said) == (ratio > 1000 and not isinstance(detector, AnomalyDetector))
    assert all("column 'euros' is 2e+03" in message for message in said)
    assert not said_of(make_pipeline(StandardScaler(), detector), X)


@pytest.mark.parametrize("network", [Dense(output_activation="tanh"), Conv1d(shape=(1, 4))])
def test_says_nothing_of_units_where_columns_must_have_one(network, rng):
    X = rng.uniform(size=(50, 4)) * [1e-3, 1, 1, 1e3]
    assert not said_of(Autoencoder(network=network, epochs=1), X)


def test_pixels_that_are_rarely_lit_have_the_unit_of_the_others(rng):
    X = rng.integers(0, 256, (1000, 6)).astype(float)
    X[:, 2] = np.arange(1000) == 500  # a standard deviation of a 2,300th of the others'
    assert not said_of(PCADetector(), X)
