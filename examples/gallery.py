"""What does each display look like? Draws them all, on data that come with scikit-learn.

Run: ``python examples/gallery.py FOLDER``, which writes a PNG of each, 600 pixels wide.
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_moons
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    Autoencoder,
    CalibrationDisplay,
    Conv2d,
    DenoisingAutoencoder,
    Dense,
    FeatureErrorDisplay,
    GaussianNoise,
    KernelDisplay,
    LatentDisplay,
    LossCurveDisplay,
    PCADetector,
    ReconstructionDisplay,
    ScoreDisplay,
    Tied,
    TravelDisplay,
)


def tumours():
    """Benign rows are normal; half of them are learned from."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    benign, malignant = X[y == 1], X[y == 0]
    train, held_out, odd = benign[::2], benign[1::2], malignant[:180]
    detector = make_pipeline(
        StandardScaler(), Autoencoder(latent_dim=4, early_stopping=True, random_state=0)
    ).fit(train)
    test, truth = np.r_[held_out, odd], np.r_[[1] * len(held_out), [-1] * len(odd)]
    test = type(X)(test, columns=X.columns)
    yield "score", ScoreDisplay.from_estimator(detector, test, truth)
    yield "latent", LatentDisplay.from_estimator(detector, test, truth)
    yield "loss", LossCurveDisplay.from_estimator(detector)
    yield "features", FeatureErrorDisplay.from_estimator(detector, odd[:40])
    yield "features_of_a_row", FeatureErrorDisplay.from_estimator(detector, odd[:40], row=2)
    yield "calibration", CalibrationDisplay.from_estimator(detector, held_out)


def images():
    """Images of threes are normal; the kernels are those of all digits."""
    X, digit = load_digits(return_X_y=True)
    train, test = X[digit == 3][:120], np.r_[X[digit == 3][120:125], X[digit != 3][:5]]
    detector = PCADetector(latent_dim=12).fit(train)
    yield (
        "reconstruction",
        ReconstructionDisplay.from_estimator(detector, test, shape=(8, 8), X_train=train),
    )
    tied = Autoencoder(network=Tied(), latent_dim=24, random_state=0).fit(X)
    yield "kernels_dense", KernelDisplay.from_estimator(tied, shape=(8, 8))
    convolution = Autoencoder(network=Conv2d(shape=(1, 8, 8)), epochs=20, random_state=0).fit(X)
    yield "kernels_convolution", KernelDisplay.from_estimator(convolution)


def series():
    """Sine waves of any phase are normal, a wave with a spike is not."""
    rng = np.random.default_rng(0)
    waves = np.sin(np.linspace(0, 12, 80) + rng.uniform(0, 6, (200, 1)))
    waves += rng.normal(0, 0.1, waves.shape)
    train, test = waves[:-3], waves[-3:].copy()
    test[2, 40:44] += 1.5
    detector = PCADetector(latent_dim=2).fit(train)
    yield (
        "reconstruction_series",
        ReconstructionDisplay.from_estimator(detector, test, X_train=train),
    )


def moons():
    """A denoising autoencoder learns which way the data lie."""
    X, _ = make_moons(400, noise=0.05, random_state=0)
    detector = DenoisingAutoencoder(
        latent_dim=8,
        network=Dense(hidden=(64, 64), activation="tanh"),
        corruption=GaussianNoise(scale=0.2),
        epochs=300,
        random_state=0,
    ).fit(X)
    yield "travel", TravelDisplay.from_estimator(detector, X)


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python examples/gallery.py FOLDER")
    matplotlib.use("agg")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for part in (tumours, images, series, moons):
        for name, display in part():
            display.figure_.savefig(folder / f"{name}.png", dpi=100)
            print(folder / f"{name}.png")


if __name__ == "__main__":
    main()
