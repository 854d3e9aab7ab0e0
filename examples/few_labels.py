"""Does an encoder trained without labels help a classifier that gets only a few?

A denoising autoencoder sees 1,400 unlabelled digits; its encoder is then fine-tuned on a few
labelled ones. It is compared with the same network trained from scratch, and with a linear
classifier on the frozen codes. Run: ``python examples/few_labels.py [--mnist DIR]``, where DIR
holds ``mnist_train.npz`` and ``mnist_test.npz`` with X (n, 28, 28) in 0..255 and y; the encoder
then learns from 8,000 unlabelled images.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from aedetect import DenoisingAutoencoder, Dense, MaskingNoise

SEEDS = 5


def fine_tune(encoder: torch.nn.Module, X: torch.Tensor, y: torch.Tensor) -> torch.nn.Module:
    """Train the encoder and a new last layer on the labelled rows."""
    head = torch.nn.LazyLinear(10)
    net = torch.nn.Sequential(encoder, torch.nn.ReLU(), head)
    net(X[:1])
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
    return net


def read(folder: Path | None) -> tuple[np.ndarray, ...]:
    """Rows in [0, 1] without labels, then labelled rows to draw from, then test rows."""
    if folder is None:
        digits = load_digits()
        X, y = digits.data / 16, digits.target
        return X[:1400], y[:1400], X[1400:], y[1400:]
    train, test = (np.load(folder / f"mnist_{part}.npz") for part in ("train", "test"))
    rows = [part["X"].reshape(-1, 784) / 255 for part in (train, test)]
    return rows[0][:8000], train["y"][:8000], rows[1], test["y"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, help="folder of the MNIST files")
    folder = parser.parse_args().mnist
    train, train_y, test, test_y = read(folder)
    model = DenoisingAutoencoder(
        latent_dim=250 if folder else 32,
        network=Dense(hidden=(500 if folder else 256,)),
        corruption=MaskingNoise(rate=0.5),
        epochs=30 if folder else 150,
        batch_size=128 if folder else "auto",
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a network without training has not learned
        untrained = clone(model).set_params(epochs=1, learning_rate=1e-9).fit(train[:1400])
    model.fit(train)

    print(f"{'labels':>6} {'from scratch':>13} {'pre-trained':>12} {'frozen codes':>13}")
    for labels in (20, 50, 100, 500):
        accuracies = []
        for seed in range(SEEDS):
            few = np.random.default_rng(seed).choice(len(train), labels, replace=False)
            rows = torch.from_numpy(train[few]).float(), torch.from_numpy(train_y[few]).long()
            nets = [fine_tune(m.encoder_module(), *rows) for m in (untrained, model)]
            guesses = [net(torch.from_numpy(test).float()).argmax(1).numpy() for net in nets]
            linear = LogisticRegression(max_iter=3000).fit(
                model.transform(train[few]), train_y[few]
            )
            guesses.append(linear.predict(model.transform(test)))
            accuracies.append([np.mean(guess == test_y) for guess in guesses])
        scratch, tuned, frozen = np.mean(accuracies, axis=0)
        print(f"{labels:6} {scratch:13.3f} {tuned:12.3f} {frozen:13.3f}")


if __name__ == "__main__":
    main()
