"""The estimators that every general test runs on. A new variant adds a line here."""

import numpy as np

from aedetect import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderEnsemble,
    ContractiveAutoencoder,
    Conv1d,
    Conv2d,
    DenoisingAutoencoder,
    Dense,
    GaussianDetector,
    KernelAutoencoder,
    MaskingNoise,
    MemoryAutoencoder,
    PCADetector,
    SparseAutoencoder,
    SwapNoise,
    Tied,
    VariationalAutoencoder,
)
from aedetect.objectives.base import draw_all

BOUNDED = Dense(hidden=(8,), activation="tanh", code_activation="sigmoid")

QUICK = {"epochs": 20, "learning_rate": 3e-3}

ESTIMATORS = [
    AnomalyDetector(n_estimators=2),
    PCADetector(),
    PCADetector(latent_dim=0.9, whiten=True),
    GaussianDetector(),
    KernelAutoencoder(),
    Autoencoder(),
    Autoencoder(network=Tied(hidden=(8,), activation="elu"), epochs=50),
    Autoencoder(network=BOUNDED, loss="huber", optimizer="rmsprop", epochs=50),
    Autoencoder(network=Dense(hidden=()), loss="absolute_error", epochs=50),
    Autoencoder(early_stopping=True, n_iter_no_change=100, batch_size=8, learning_rate=3e-3),
    SparseAutoencoder(**QUICK),
    SparseAutoencoder(penalty="kl", network=BOUNDED, **QUICK),
    DenoisingAutoencoder(**QUICK),
    ContractiveAutoencoder(**QUICK),
    VariationalAutoencoder(**QUICK),
    VariationalAutoencoder(variance="learned", score_method="elbo", **QUICK),
    MemoryAutoencoder(**QUICK),
    AutoencoderEnsemble(estimator=Autoencoder(**QUICK), n_estimators=3),
    AutoencoderEnsemble(
        estimator=(Autoencoder(**QUICK), SparseAutoencoder(**QUICK)),
        n_estimators=3,
        bootstrap=True,
        aggregation="median",
    ),
]

# Each objective in the variants that train differently.
OBJECTIVES = [
    Autoencoder(),
    SparseAutoencoder(),
    SparseAutoencoder(penalty="kl", layers="hidden"),
    DenoisingAutoencoder(),
    DenoisingAutoencoder(corruption=MaskingNoise(rate=0.5), sparsity=0.1),
    DenoisingAutoencoder(corruption=SwapNoise()),
    ContractiveAutoencoder(),
    ContractiveAutoencoder(jacobian="hutchinson"),
    VariationalAutoencoder(),
    VariationalAutoencoder(variance="learned"),
    MemoryAutoencoder(n_items=20),
]


def networks(n_features):
    """One network of each kind; sigmoid units serve every objective."""
    units = {"activation": "sigmoid", "code_activation": "sigmoid"}
    return [
        Dense(hidden=(16,), **units),
        Tied(hidden=(16,), **units),
        Conv1d(shape=(1, n_features), channels=(4, 8), **units),
        Conv2d(shape=(1, n_features // 8, 8), channels=(4, 8), **units),
    ]


def assert_same_scores(actual, desired):
    """Assert what is promised of equal rows beside others, on any machine."""
    np.testing.assert_allclose(actual, desired, rtol=1e-5)


def rows_of(model, X):
    """Rows (1, n, d) in the frame of a fitted model."""
    return model.model_.frame.enter(X)[None]


def losses_of(objective, net, x, latent_dim, generators):
    """Loss (K, n) of a batch (K, n, d), with new draws."""
    drawn = draw_all([objective] * len(x), x, latent_dim, generators)
    return objective.loss(net, *drawn)


def name_of(estimator):
    return repr(estimator).replace("\n", "").replace(" ", "")
