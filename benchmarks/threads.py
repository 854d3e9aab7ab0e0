"""What threads do to the time of fitting and scoring, idle and beside a busy process.

``python benchmarks/threads.py``. Three processes take turns in each round, on the same data:

default    no variable set, as users run it
one        OMP_NUM_THREADS=1
all        no variable set, and the package's own limits removed: kernels share each product
           among all cores, as torch and BLAS do by default

Medians of wall and CPU seconds are printed, and the default's wall time over the better of the
others'. The last rows compare a search that trains two stacks at a time with one at a time; the
first such search, which starts the worker processes, is printed separately.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np

VARIANTS = {"default": {}, "one": {"OMP_NUM_THREADS": "1"}, "all": {}}
VARIABLES = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cases() -> dict[str, Callable[[], object]]:
    """Fits, each followed by scoring of the same model."""
    from aedetect import AnomalyDetector, Autoencoder
    from aedetect.model_selection import StackedGridSearchCV

    rng = np.random.default_rng(0)
    narrow, wide, table = (rng.standard_normal(s) for s in ((5000, 20), (5000, 784), (2000, 20)))
    many = np.resize(narrow, (200_000, 20))
    net = {"contamination": 0.1, "random_state": 0, "device": "cpu"}
    b32 = Autoencoder(network=(64,), latent_dim=32, batch_size=32, epochs=10, **net)
    b256 = Autoencoder(network=(64,), latent_dim=32, batch_size=256, epochs=20, **net)
    b128 = Autoencoder(network=(128,), latent_dim=32, batch_size=128, epochs=4, **net)
    detector = AnomalyDetector(random_state=0)
    grid = {"latent_dim": [2, 4, 8], "learning_rate": [1e-3, 3e-3, 1e-2]}
    search = StackedGridSearchCV(
        Autoencoder(batch_size=32, epochs=5, **net), grid, cv=3, refit=False
    )
    return {
        "Autoencoder 5k x 20, B32, fit": lambda: b32.fit(narrow),
        "... score 200k": lambda: b32.score_samples(many),
        "Autoencoder 5k x 20, B256, fit": lambda: b256.fit(narrow),
        "... score 200k ": lambda: b256.score_samples(many),
        "Autoencoder 5k x 784, B128, fit": lambda: b128.fit(wide),
        "... score 5k": lambda: b128.score_samples(wide),
        "AnomalyDetector 2k x 20, fit": lambda: detector.fit(table),
        "... score 2k": lambda: detector.score_samples(table),
        "StackedGridSearchCV 2k x 20, B32": lambda: search.fit(table),
    }


def jobs() -> dict[str, Callable[[], object]]:
    """A search over six shapes of networks, with one job and with two."""
    from aedetect import Autoencoder
    from aedetect.model_selection import StackedGridSearchCV

    X = np.random.default_rng(0).standard_normal((5000, 20))
    model = Autoencoder(batch_size=32, epochs=20, random_state=0, device="cpu")
    grid = {"latent_dim": [2, 4, 8], "network": [(64, 32), (32, 16)], "learning_rate": [1e-3, 1e-2]}
    found: dict[int, np.ndarray] = {}

    def search(n_jobs: int) -> None:
        search = StackedGridSearchCV(model, grid, cv=3, refit=False, n_jobs=n_jobs).fit(X)
        scores = found.setdefault(n_jobs, search.cv_results_["mean_test_score"])
        np.testing.assert_array_equal(scores, found[min(found)])

    return {
        "two jobs, first": lambda: search(2),
        "one job": lambda: search(1),
        "two jobs": lambda: search(2),
    }


def work(variant: str) -> None:
    """Run the cases that are named on standard input, and say how long they took."""
    warnings.simplefilter("ignore")
    if variant == "all":
        from aedetect.detectors import learning
        from aedetect.rows import blocks, neighbours
        from aedetect.training import stack

        for module in (blocks, learning, neighbours, stack):
            module.one_thread = contextlib.nullcontext
        blocks.in_threads = map
    known = cases() | jobs()
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        known[line.rstrip("\n")]()
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)


@contextlib.contextmanager
def workers() -> Iterator[dict[str, Callable[[str], tuple[float, float]]]]:
    plain = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    with contextlib.ExitStack() as stack:

        def start(variant: str) -> Callable[[str], tuple[float, float]]:
            process = subprocess.Popen(
                [sys.executable, __file__, "--worker", variant],
                env=plain | VARIANTS[variant],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.stdin.close)

            def timed(case: str) -> tuple[float, float]:
                process.stdin.write(case + "\n")
                process.stdin.flush()
                wall, cpu = map(float, process.stdout.readline().split())
                return wall, cpu

            return timed

        yield {variant: start(variant) for variant in VARIANTS}


@contextlib.contextmanager
def busy(n: int) -> Iterator[None]:
    """Keep n other processes computing."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def rounds_of(case: str, timed: dict, n: int) -> Iterator[list[tuple[float, float]]]:
    """Seconds of the variants, which take turns in coming first, after one round to warm up.

    Threads of the one before may spin for a while.
    """
    names = list(VARIANTS)
    for i in range(n + 1):
        found = {v: timed[v](case) for v in names[i % 3 :] + names[: i % 3]}
        if i:
            yield [found[v] for v in VARIANTS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker)
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; wall (CPU) seconds, medians")
    for n_busy in (0, 1):
        with workers() as timed, busy(n_busy):
            heading = f"beside {n_busy} busy process(es)"
            print(f"\n{heading:<36}" + "".join(f"{v:>16}" for v in VARIANTS))
            for case in cases():
                median = np.median(list(rounds_of(case, timed, arguments.rounds)), axis=0)
                shown = "".join(f"{wall:>9.3f} ({cpu:.2f})" for wall, cpu in median)
                print(f"{case:<36}{shown}   {median[0, 0] / min(median[1:, 0]):.2f}")
    with workers() as timed:
        print()
        seconds = {name: [] for name in ("two jobs, first", "one job", "two jobs")}
        for name in [*seconds] + ["one job", "two jobs"] * (arguments.rounds - 1):
            seconds[name].append(timed["default"](name)[0])
        for name, walls in seconds.items():
            share = np.median(walls) / np.median(seconds["one job"])
            print(f"StackedGridSearchCV, {name:<16} {np.median(walls):6.2f} s  {share:.2f}")


if __name__ == "__main__":
    main()
