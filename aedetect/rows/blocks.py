"""Blocks of rows, processed in parallel by threads that do not wait for each other.

The kernels of torch and BLAS divide a product among threads that wait for each other at its end.
For small products this takes longer than the product itself, above all on a busy machine.
"""

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import cache, lru_cache
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

import numpy as np
from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 4096  # rows scored at a time
CHUNK_VALUES = 2**17  # values at most: a chunk of wide rows should fit into the cache
MULTIPLE = 32  # a chunk is padded to a multiple of this many rows, see `in_chunks`


def chunks(X: np.ndarray, size: int | None = None) -> list[np.ndarray]:
    """Cut rows into blocks of `size` rows; by default a few thousand, or fewer if they are wide."""
    size = size or max(MULTIPLE, min(CHUNK, CHUNK_VALUES // X.shape[1] // MULTIPLE * MULTIPLE))
    return [X[start : start + size] for start in range(0, len(X), size)]


def in_chunks(
    function: Callable[[np.ndarray], np.ndarray], X: np.ndarray, size: int | None = None
) -> np.ndarray:
    """Apply a row-by-row function to blocks of rows, so that memory stays bounded.

    Matrix products and vectorised exponentials round differently in the last rows of a block whose
    length is not a multiple of the vector width. Blocks are therefore padded: to a multiple of 32
    rows, which suffices for torch in float32, or to exactly `size` rows. On most processors, the
    result of a row then does not depend on the number of rows, not even in its last digit. Threads
    process several blocks at a time.
    """

    def of_block(block: np.ndarray) -> np.ndarray:
        padding = -len(block) % (size or MULTIPLE)
        if not padding:
            return function(block)
        padded = np.concatenate([block, np.repeat(block[-1:], padding, axis=0)])
        return function(padded)[: len(block)]

    results, done = np.empty(0), 0
    for result in in_threads(of_block, chunks(X, size)):
        if done == 0:
            results = np.empty((len(X), *result.shape[1:]), result.dtype)
        results[done : done + len(result)] = result
        done += len(result)
    return results


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of the items, computed in several threads.

    There are as many threads as OpenMP and joblib would use here. This thread takes items from the
    front, the others from the back, and only while a core is free: on a busy core, their results
    would arrive late and hold up the rest.
    """
    context = copy_context()  # numpy's errstate, for instance
    todo, over = deque(range(len(items))), Event()
    by_others: dict[int, Result] = {}

    def alone(i: int) -> Result:
        with one_thread():
            return context.copy().run(function, items[i])

    def help_out() -> None:
        while todo:
            if not _a_core_is_free():
                over.wait(PAUSE)
            elif (i := _next(todo.pop)) is not None:
                by_others[i] = alone(i)

    n_others = min(len(items), _n_threads()) - 1
    if n_others < 1:
        yield from map(alone, range(len(items)))
        return
    with ThreadPoolExecutor(n_others) as threads, one_thread():
        others = [threads.submit(help_out) for _ in range(n_others)]
        try:
            while (i := _next(todo.popleft)) is not None:
                yield alone(i)
        finally:
            todo.clear()
            over.set()
        for other in others:
            other.result()
    yield from (by_others[i] for i in sorted(by_others))


PAUSE = 5e-3  # seconds before a thread checks again whether a core is free


def _next(take: Callable[[], int]) -> int | None:
    try:
        return take()
    except IndexError:  # none is left
        return None


def _n_threads() -> int:
    openmp, _ = _of_this_thread()
    return min([effective_n_jobs(-1), *(library.get_num_threads() for library in openmp)])


def _a_core_is_free() -> bool:
    """Whether no more threads are running than there are cores, if the system tells."""
    try:
        running = int(LOAD.read_text().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):  # it does not tell
        return True
    return running <= (os.cpu_count() or 1)


LOAD = Path("/proc/loadavg")  # on Linux, holds the number of running threads


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the kernels that this thread calls in one thread, and restore the settings afterwards.

    OpenMP and MKL have a number of threads for each calling thread. numpy's BLAS has one for the
    whole process: it stays at one until the last thread has left this context.
    """
    openmp, set_mkl = _of_this_thread()
    before = [library.get_num_threads() for library in openmp]
    mkl_before = set_mkl(1)
    try:
        for library in openmp:
            library.set_num_threads(1)
        with _numpys_blas:
            yield
    finally:
        for library, n_threads in zip(openmp, before, strict=True):
            library.set_num_threads(n_threads)
        set_mkl(mkl_before)


def _of_this_thread() -> tuple[Iterable[Any], Callable[[int], int]]:
    """OpenMP's libraries and MKL's setter, which have a number for each calling thread."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return _libraries("openmp"), lambda n: n
    torch.get_num_threads()  # the first call in a thread sets them; it must not do so later
    return _libraries("openmp"), _mkl_of(torch.__file__)


def _libraries(user_api: str) -> list[Any]:
    return _loaded(user_api, len(sys.modules))


@lru_cache(2)
def _loaded(user_api: str, _n_modules: int) -> list[Any]:
    """The libraries loaded now; they are looked up again once modules have been imported."""
    return list(ThreadpoolController().select(user_api=user_api).lib_controllers)


@cache
def _mkl_of(torch: str) -> Callable[[int], int]:
    """The function of torch's MKL that sets a thread's number of threads and returns the old one.

    Once torch has been given a number, MKL no longer takes it from OpenMP.
    """
    for name in ("libtorch_cpu.so", "torch_cpu.dll"):
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(str(Path(torch).parent / "lib" / name))
            return library.MKL_Set_Num_Threads_Local
    return lambda n: n


class _Held:
    """Holds numpy's BLAS at one thread while any thread is in this context."""

    def __init__(self) -> None:
        self.lock, self.n_within = Lock(), 0
        self.before: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self.lock:
            if self.n_within == 0:
                libraries = _libraries("blas")
                self.before = [(library, library.get_num_threads()) for library in libraries]
                for library in libraries:
                    library.set_num_threads(1)
            self.n_within += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.n_within -= 1
            if self.n_within == 0:
                self._put_back()

    def _put_back(self) -> None:
        for library, n_threads in self.before:
            if library.get_num_threads() == 1:  # else it has been set meanwhile
                library.set_num_threads(n_threads)
        self.before = []

    def forked(self) -> None:
        """Restore the setting in a forked process, where the other threads do not exist."""
        self.lock, self.n_within = Lock(), 0
        self._put_back()


_numpys_blas = _Held()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_numpys_blas.forked)
