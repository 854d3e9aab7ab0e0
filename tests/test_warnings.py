"""Warnings point at the line of whoever fits, not at a line of the package."""

import importlib.util
import inspect
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderEnsemble,
    PCADetector,
    VariationalAutoencoder,
)
from aedetect.model_selection import StackedGridSearchCV

COPYING = Autoencoder(latent_dim=4, epochs=1, random_state=0)
GRID = {"latent_dim": [4], "learning_rate": [1e-3, 2e-3, 4e-3]}
SUBCLASS = """
from aedetect import Autoencoder

class Halved(Autoencoder):
    def _loss(self, net, x, generators):
        return super()._loss(net, x, generators) / 2

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
