"""Does an encoder trained without labels help a classifier that gets only a few?

A denoising autoencoder sees 1,400 unlabelled digits; its encoder is then fine-tuned on a few
labelled ones. Beside it: the same network from its initial weights, and a linear classifier on the
frozen codes. Run: ``python examples/few_labels.py``.
"""

import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from aedetect import DenoisingAutoencoder, Dense, MaskingNoise

SEEDS = 5


def fine_tune(encoder: torch.nn.Module, X: torch.Tensor, y: torch.Tensor) -> torch.nn.Module:
    """Train the encoder and a new last layer on the labelled rows."""
    head = torch.nn.Linear(32, 10)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    net = torch.nn.Sequential(encoder, torch.nn.ReLU(), head)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(200):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
    return net


def main() -> None:
    digits = load_digits()
    X, y = digits.data / 16, digits.target
    train, test = X[:1400], X[1400:]
    model = DenoisingAutoencoder(
        latent_dim=32,
        network=Dense(hidden=(256,)),
        corruption=MaskingNoise(rate=0.5),
        epochs=150,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a network without training has not learned
        untrained = DenoisingAutoencoder(
            latent_dim=32,
            network=Dense(hidden=(256,)),
            epochs=1,
            learning_rate=1e-9,
            random_state=0,
        ).fit(train)
    model.fit(train)

    print(f"{'labels':>6} {'from scratch':>13} {'pre-trained':>12} {'frozen codes':>13}")
    for labels in (20, 50, 100, 500):
        accuracies = []
        for seed in range(SEEDS):
            few = np.random.default_rng(seed).choice(1400, labels, replace=False)
            rows = torch.from_numpy(train[few]).float(), torch.from_numpy(y[few])
            nets = [fine_tune(m.encoder_module(), *rows) for m in (untrained, model)]
            guesses = [net(torch.from_numpy(test).float()).argmax(1).numpy() for net in nets]
            linear = LogisticRegression(max_iter=3000).fit(model.transform(train[few]), y[few])
            guesses.append(linear.predict(model.transform(test)))
            accuracies.append([np.mean(guess == y[1400:]) for guess in guesses])
        scratch, tuned, frozen = np.mean(accuracies, axis=0)
        print(f"{labels:6} {scratch:13.3f} {tuned:12.3f} {frozen:13.3f}")


if __name__ == "__main__":
    main()
