"""Which heartbeats are abnormal, for someone who has seen normal ones only?

ECG5000: beats of 140 readings each, cut and aligned, so that each is a window already. A detector
learns the normal beats of the official training part, and judges 4,500 others. Run:
``python examples/ecg.py --data DIR [--figure ecg.png]``, where DIR holds ``ecg5000.npz`` with X,
y (1 = abnormal) and official_train.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from aedetect import GaussianDetector


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--figure", type=Path, help="file to draw")
    args = parser.parse_args()
    with np.load(args.data / "ecg5000.npz") as file:
        X, y, official = (file[name] for name in ("X", "y", "official_train"))
    beats, abnormal = X[~official].astype(float), y[~official] == 1

    detector = GaussianDetector().fit(X[official & (y == 0)].astype(float))
    scores, flagged = detector.score_samples(beats), detector.predict(beats) == -1
    print(f"{len(beats)} beats, {abnormal.sum()} of them abnormal")
    print(f"AUROC {roc_auc_score(abnormal, -scores):.3f}")
    print(f"flagged: {flagged[abnormal].mean():.1%} of the abnormal beats, ", end="")
    print(f"{flagged[~abnormal].mean():.1%} of the normal ones")

    if args.figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3), layout="constrained")
        strangest = np.argsort(scores)[:3]
        for ax, i in zip(figure.subplots(1, 3, sharey=True), strangest, strict=True):
            ax.plot(beats[i], label="observed")
            ax.plot(detector.reconstruct(beats[[i]])[0], label="expected")
            ax.fill_between(np.arange(140), detector.score_features(beats[[i]])[0], alpha=0.3)
            ax.set_title("abnormal" if abnormal[i] else "normal")
        ax.legend()
        figure.savefig(args.figure)


if __name__ == "__main__":
    main()
