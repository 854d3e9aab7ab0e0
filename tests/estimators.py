"""The estimators that every general test runs on. A new variant adds a line here."""

from aedetect import Autoencoder, Dense, PCADetector, Tied

BOUNDED = Dense(hidden=(8,), activation="tanh", code_activation="sigmoid")

ESTIMATORS = [
    PCADetector(),
    PCADetector(latent_dim=0.9, whiten=True),
    Autoencoder(),
    Autoencoder(network=Tied(hidden=(8,), activation="elu"), epochs=50),
    Autoencoder(network=BOUNDED, loss="huber", optimizer="rmsprop", epochs=50),
    Autoencoder(network=Dense(hidden=()), loss="absolute_error", epochs=50),
    Autoencoder(
        early_stopping=True, n_iter_no_change=50, batch_size=8, optimizer="adamw", weight_decay=0.01
    ),
]


def name_of(estimator):
    return repr(estimator).replace("\n", "").replace(" ", "")
