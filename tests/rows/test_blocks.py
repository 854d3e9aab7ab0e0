"""Threads: the process's settings are as they were, whatever was done and however it ended."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone
from threadpoolctl import threadpool_info

from aedetect import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderEnsemble,
    KernelAutoencoder,
    PCADetector,
)
from aedetect.model_selection import StackedGridSearchCV
from aedetect.objectives.base import Objective
from aedetect.rows.blocks import (
    _a_core_is_free,
    _of_this_thread,
    chunks,
    in_chunks,
    in_threads,
    one_thread,
)

NET = Autoencoder(network=(8,), epochs=2, batch_size=64, random_state=0)
ESTIMATORS = [
    NET,
    clone(NET).set_params(early_stopping=True),
    AnomalyDetector(n_estimators=1, random_state=0),
    AutoencoderEnsemble(estimator=NET, n_estimators=2, random_state=0),
    KernelAutoencoder(),
    PCADetector(),
    StackedGridSearchCV(NET, {"latent_dim": [2, 3]}, cv=2),
]
pytestmark = pytest.mark.filterwarnings("ignore:The network did not learn")


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    """As many as a user's process would have on two cores that nothing else runs on."""
    monkeypatch.setattr("aedetect.rows.blocks._a_core_is_free", lambda: True)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(n_threads)


def of_this_thread():
    """What this thread is set to."""
    _, set_mkl = _of_this_thread()
    mkl = set_mkl(1)
    set_mkl(mkl)
    return torch.get_num_threads(), mkl, pools("openmp")


def settings():
    """What this thread is set to, and the process."""
    return of_this_thread(), pools("blas")


def pools(user_api):
    return {
        pool["filepath"]: pool["num_threads"]
        for pool in threadpool_info()
        if pool["user_api"] == user_api
    }


def use(estimator, X, settings=settings):
    before = settings()
    scores = clone(estimator).fit(X).score_samples(X)
    assert settings() == before
    return scores


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).standard_normal((600, 6)) @ np.ones((6, 6))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_fit_and_score_leave_the_settings_as_they_were(estimator, X):
    use(estimator, X)


class StopError(Exception):
    pass


class AfterEachEpoch:
    """A callback that calls a function."""

    def __init__(self, function):
        self.function = function

    def setup(self, estimator, context):
        """Nothing is set up."""

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        self.function()


class Fails(Objective):
    def loss(self, net, x):
        assert torch.get_num_threads() == 1
        raise StopError


class Failing(Autoencoder):
    objective = Fails


def test_so_do_failures_in_training_in_callbacks_and_in_a_block(X):
    def stop():
        assert settings() == before  # a callback computes with what the user has set
        raise StopError

    def fails(_block):
        raise StopError

    before = settings()
    with pytest.raises(StopError):
        Failing().fit(X)
    assert settings() == before
    with pytest.raises(StopError):
        clone(NET).set_callbacks(AfterEachEpoch(stop)).fit(X)
    assert settings() == before
    with pytest.raises(StopError):
        in_chunks(fails, X, 32)
    assert settings() == before


def test_a_callback_may_change_them(X):
    clone(NET).set_callbacks(AfterEachEpoch(lambda: torch.set_num_threads(3))).fit(X)
    assert torch.get_num_threads() == 3


def test_several_threads_at_once(X):
    alone = {e: use(e, X) for e in ESTIMATORS}
    before, together = settings(), Barrier(len(ESTIMATORS))

    def in_a_thread(estimator):
        together.wait()
        return use(estimator, X, of_this_thread)

    with ThreadPoolExecutor(len(ESTIMATORS)) as threads:
        for estimator, scores in zip(ESTIMATORS, threads.map(in_a_thread, ESTIMATORS), strict=True):
            np.testing.assert_allclose(scores, alone[estimator], rtol=1e-5)
    assert settings() == before


@pytest.mark.parametrize("backend", ["loky", "threading", "dask"])
def test_in_joblibs_workers(backend, X, request):
    if backend == "dask":
        request.getfixturevalue("dask_client")
    before = settings()
    with parallel_config(backend, n_jobs=2):
        Parallel()(delayed(use)(e, X, of_this_thread) for e in [ESTIMATORS[0], ESTIMATORS[2]])
    assert settings() == before


FORKING = """
import os, threading, numpy, torch, sklearn.neighbors
from threadpoolctl import threadpool_info, threadpool_limits
from aedetect.rows.blocks import one_thread

within, done = threading.Event(), threading.Event()

def other():
    with one_thread():
        within.set()
        done.wait()

with one_thread():
    pass
with threadpool_limits(1):
    if os.fork() == 0:  # nobody is within
        os._exit(any(pool["num_threads"] > 1 for pool in threadpool_info()))
    assert os.wait()[1] == 0
before = threadpool_info()
thread = threading.Thread(target=other)
thread.start()
within.wait()
if os.fork() == 0:
    with one_thread():
        pass
    os._exit(threadpool_info() != before)
assert os.wait()[1] == 0
done.set()
thread.join()
assert threadpool_info() == before
"""


def test_a_process_forked_meanwhile_is_not_held():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKING], check=True, timeout=120)


def test_inside_the_limits_are_in_force_and_nest():
    before = settings()
    for _ in range(2):
        with one_thread(), one_thread():
            assert torch.get_num_threads() == 1
            assert {*pools("openmp").values(), *pools("blas").values()} == {1}
    assert settings() == before


@pytest.mark.parametrize("width", [1, 20, 784, 3 * 224 * 224])
def test_blocks_are_bounded_however_many_and_wide_the_rows(width):
    """So is the memory of scoring, with convolutions too: it grows with the block alone."""
    rows = np.broadcast_to(np.float32(0), (10_000, width))
    found = chunks(rows)
    assert sum(map(len, found)) == len(rows)
    assert max(map(len, found)) <= max(32, min(4096, 2**17 // width))


def test_blocks_are_worked_on_in_order_by_threads_of_one_thread_each():
    together = Barrier(2, timeout=60)

    def work(i):
        together.wait()  # two of them are here at a time
        return i, torch.get_num_threads()

    assert list(in_threads(work, range(8))) == [(i, 1) for i in range(8)]
    with one_thread():  # as in a worker that has one core
        together = Barrier(1)
        assert [i for i, _ in in_threads(work, range(3))] == [0, 1, 2]


def test_no_block_is_begun_on_a_core_that_is_busy(monkeypatch):
    monkeypatch.setattr("aedetect.rows.blocks._a_core_is_free", lambda: False)
    assert list(in_threads(lambda _: get_ident(), range(8))) == [get_ident()] * 8


@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_block_that_fails_ends_all(place):
    done = []

    def work(i):
        if i == place:
            raise IndexError(i)
        done.append(i)

    with pytest.raises(IndexError, match=str(place)):
        list(in_threads(work, range(8)))
    assert place not in done


def test_whether_a_core_is_free_is_read_from_the_system(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("aedetect.rows.blocks.LOAD", tmp_path / "loadavg")
    assert _a_core_is_free()  # unless it is told otherwise
    (tmp_path / "loadavg").write_text("0.42 0.91")
    assert _a_core_is_free()
    for running in range(1, 5):
        (tmp_path / "loadavg").write_text(f"0.42 0.91 0.96 {running}/85 19674\n")
        assert _a_core_is_free() == (running <= 2)


def test_numpys_error_state_holds_in_blocks():
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        in_chunks(lambda block: 1 / block, np.zeros((100, 2)), 32)
