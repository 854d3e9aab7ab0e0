"""Settings every test shares."""

import os
import sys

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # else scikit-learn leaves a check out
os.environ.setdefault("MPLBACKEND", "agg")  # no windows

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import StandardScaler

from aedetect.rows.blocks import one_thread


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A skipped test proves nothing: it fails."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def global_random_state_untouched(request):
    """No test, and so nothing it calls, may move numpy's or torch's global generator."""
    if "conformance" in request.node.nodeid:  # scikit-learn's own checks draw from it
        yield
        return
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    yield
    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.get_rng_state(), before[1])


@pytest.fixture(autouse=True)
def no_open_figures():
    """Close those that examples in docstrings have left: pyplot warns of more than 20."""
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")


@pytest.fixture
def one_thread_a_kernel():
    """For tests that call kernels themselves, so small that threads wait for each other."""
    with one_thread():
        yield


@pytest.fixture(scope="session")
def digits():
    """1,797 images of 8 x 8 pixels in [0, 1], as rows."""
    return load_digits().data / 16


@pytest.fixture(scope="session")
def tumours():
    """Standardised benign rows to learn from, and other rows with the truth (+1 benign)."""
    X, y = load_breast_cancer(return_X_y=True)
    scaler = StandardScaler().fit(X[y == 1][:200])
    test = np.r_[X[y == 1][200:], X[y == 0]]
    truth = np.r_[np.ones((y == 1).sum() - 200), -np.ones((y == 0).sum())]
    return scaler.transform(X[y == 1][:200]), scaler.transform(test), truth.astype(int)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def dask_client():
    from distributed import Client

    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as it:
        yield it
