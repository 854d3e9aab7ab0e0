"""A detector as one file that scores rows without Python.

Learns what benign tumours look like, writes preprocessing, network and threshold as an ONNX graph,
and runs the graph beside the detector. Run: ``python examples/without_python.py``; needs
``pip install 'aedetect[onnx]'``.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from sklearn.datasets import load_breast_cancer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import aedetect


def main() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    network = aedetect.Autoencoder(latent_dim=4, random_state=0)
    detectors = {
        "Autoencoder": make_pipeline(StandardScaler(), network),
        "AnomalyDetector": aedetect.AnomalyDetector(random_state=0),
    }
    rows = X[250:]
    rows[::5, 3] = np.nan  # gaps are part of the graph
    print(f"{'':16} {'bytes':>9} {'largest difference':>20} {'ms a row':>10} {'same labels':>12}")
    for name, detector in detectors.items():
        detector.fit(X[y == 1][:250])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "detector.onnx")
            aedetect.export_onnx(detector, path)
            size, session = path.stat().st_size, onnxruntime.InferenceSession(path)
        score, _, label = session.run(None, {"X": rows})
        difference = np.abs(score / detector.score_samples(rows) - 1).max()
        same = (label == detector.predict(rows)).mean()
        start = time.perf_counter()
        for row in rows:
            session.run(None, {"X": row[None]})
        ms = 1e3 * (time.perf_counter() - start) / len(rows)
        print(f"{name:16} {size:9,} {difference:20.1e} {ms:10.2f} {same:12.1%}")


if __name__ == "__main__":
    main()
