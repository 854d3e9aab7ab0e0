"""What a detector of series costs: 1,000,000 points of 10 channels, in windows of 100 points.

``python benchmarks/large_series.py`` fits `make_series_detector` to the points, in a process of its
own, and scores them all. It prints wall-clock seconds, those that processors worked, as others may
keep them busy, and the peak of the process's memory, with the points and the libraries. --points N
takes fewer.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

from aedetect import make_series_detector

CHANNELS, LENGTH = 10, 100


def made(n: int) -> np.ndarray:
    """Waves of unlike period, in noise."""
    X = np.random.default_rng(0).standard_normal((n, CHANNELS))
    for channel in range(CHANNELS):
        X[:, channel] = 0.3 * X[:, channel] + np.sin(np.arange(n) * 2 * np.pi / (50 + 7 * channel))
    return X


def cost(n: int) -> None:
    X, start = made(n), time.perf_counter()
    detector = make_series_detector(length=LENGTH, random_state=0).fit(X)
    fitted = time.perf_counter()
    detector.score_samples(X)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{n:,} points x {CHANNELS}, windows of {LENGTH}: fit {fitted - start:.0f} s, score "
        f"{done - fitted:.0f} s, both {done - start:.0f} s ({time.process_time():.0f} s of "
        f"processors); peak {peak / 1e9:.2f} GB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        cost(arguments.points)
        return
    command = [sys.executable, __file__, "--here", "--points", str(arguments.points)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
