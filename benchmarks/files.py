"""Size and time of files without code, beside joblib's.

``python benchmarks/files.py``. Medians of several rounds, for estimators fitted on 2,000 rows of 30
columns.
"""

import tempfile
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import aedetect

ROUNDS = 7


def milliseconds(function) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def main() -> None:
    warnings.simplefilter("ignore")
    X = np.random.default_rng(0).standard_normal((2000, 30))
    short = aedetect.Autoencoder(epochs=2, random_state=0)
    estimators = {
        "PCADetector": aedetect.PCADetector(),
        "StandardScaler, Autoencoder": make_pipeline(StandardScaler(), short),
        "AutoencoderEnsemble, 8": aedetect.AutoencoderEnsemble(estimator=short, random_state=0),
        "KernelAutoencoder": aedetect.KernelAutoencoder(),
        "AnomalyDetector": aedetect.AnomalyDetector(random_state=0),
    }
    print(f"{'':30}{'kB':>16}{'save, ms':>18}{'load, ms':>18}")
    print(f"{'':30}" + f"{'ours':>8}{'joblib':>8}" + 2 * f"{'ours':>10}{'joblib':>8}")
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs")
        for name, estimator in estimators.items():
            model = estimator.fit(X)
            saving = [
                milliseconds(lambda m=model: aedetect.save(m, ours)),
                milliseconds(lambda m=model: joblib.dump(m, theirs)),
            ]
            loading = [
                milliseconds(lambda: aedetect.load(ours)),
                milliseconds(lambda: joblib.load(theirs)),
            ]
            sizes = [path.stat().st_size / 1000 for path in (ours, theirs)]
            print(
                f"{name:30}{sizes[0]:8.0f}{sizes[1]:8.0f}{saving[0]:10.1f}{saving[1]:8.1f}{loading[0]:10.1f}{loading[1]:8.1f}"
            )


if __name__ == "__main__":
    main()
