"""Time of one epoch of training against other libraries, on equal networks.

``python benchmarks/fit_speed.py`` (needs ``pip install '.[benchmark]'``), with no variable
set: ours limits its threads by itself, and the others run within the same limit, because threads
that wait for each other at every small product would only slow them down. Same widths, batch size,
Adam and squared error for all; the data are standard normal. Every library takes a turn in each of
several rounds, and medians of CPU time are printed. "whole fit" includes everything `fit` does:
validation, scoring the training rows, the threshold, and here the comparison with PCA.

Two loops of plain torch are measured, each over layers of ``torch.nn``: as tutorials write it, over
a DataLoader and with Adam's defaults, and as an experienced torch user writes it for a table in
memory, over slices of shuffled rows and with ``fused=True``.

The last column is the floating-point throughput of the layers' matrix products, as a share of the
rate at which ``torch.mm`` multiplies large square matrices in the same run. This is not an
upper bound: the rates of oneDNN and of numpy's BLAS are printed beside it, and may be higher.

``--family`` compares our own variants instead, in whole fits on 5k x 20: every objective against
the plain one, an ensemble of 24 against one fit, and a custom network, whose layers are plain
``torch.nn`` modules, against the same module in the second of these loops.
"""

import argparse
import gc
import itertools
import os
import platform
import re
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor

from aedetect import (
    Autoencoder,
    AutoencoderEnsemble,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    Dense,
    MemoryAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
)
from aedetect.networks import Coder, Network
from aedetect.rows.blocks import one_thread

CASES = {  # rows, columns, batch size, hidden width
    "5k x 20, B32": (5_000, 20, 32, 64),
    "5k x 20, B256": (5_000, 20, 256, 64),
    "100k x 30, B256": (100_000, 30, 256, 64),
    "10k x 500, B256": (10_000, 500, 256, 128),
    "10k x 784, B128": (10_000, 784, 128, 128),
}
CODE = 32


def layers(d: int, hidden: int) -> torch.nn.Sequential:
    sizes, net = (d, hidden, CODE, hidden, d), []
    for n_in, n_out in itertools.pairwise(sizes):
        net += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    return torch.nn.Sequential(*net[:3], *net[4:-1])  # linear code and output


def aedetect(X: np.ndarray, batch: int, hidden: int, epochs: int) -> dict[str, float]:
    model = Autoencoder(
        latent_dim=CODE,
        network=Dense(hidden=(hidden,)),
        batch_size=batch,
        epochs=epochs,
        contamination=0.1,  # as PyOD: no models beside for the threshold
        device="cpu",
    )
    start = time.process_time()
    model.fit(X)
    return {"aedetect, whole fit": time.process_time() - start}


@one_thread()
def pyod(X: np.ndarray, batch: int, hidden: int, epochs: int) -> dict[str, float]:
    from pyod.models.auto_encoder import AutoEncoder

    spent = 0.0

    class Timed(AutoEncoder):
        def train(self, loader: object) -> None:
            nonlocal spent
            start = time.process_time()
            super().train(loader)
            spent = time.process_time() - start

    model = Timed(
        hidden_neuron_list=[hidden, CODE],
        batch_size=batch,
        epoch_num=epochs,
        batch_norm=False,
        dropout_rate=0,
        verbose=0,
        device=torch.device("cpu"),
    )
    start = time.process_time()
    model.fit(X)
    return {"PyOD, training alone": spent, "PyOD, whole fit": time.process_time() - start}


@one_thread()
def skorch(X: np.ndarray, batch: int, hidden: int, epochs: int) -> dict[str, float]:
    from skorch import NeuralNetRegressor

    model = NeuralNetRegressor(
        layers(X.shape[1], hidden),
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=batch,
        max_epochs=epochs,
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    )
    start = time.process_time()
    model.fit(X, X)
    return {"skorch": time.process_time() - start}


@one_thread()
def scikit_learn(X: np.ndarray, batch: int, hidden: int, epochs: int) -> dict[str, float]:
    model = MLPRegressor(
        hidden_layer_sizes=(hidden, CODE, hidden),
        batch_size=batch,
        max_iter=epochs,
        n_iter_no_change=epochs + 1,
    )
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        model.fit(X, X)
    return {"scikit-learn MLPRegressor": time.process_time() - start}


@one_thread()
def data_loader(X: np.ndarray, batch: int, hidden: int, epochs: int) -> dict[str, float]:
    net = layers(X.shape[1], hidden)
    optimizer = torch.optim.Adam(net.parameters())
    data = torch.utils.data.TensorDataset(torch.from_numpy(X))
    start = time.process_time()
    for _ in range(epochs):
        for (x,) in torch.utils.data.DataLoader(data, batch, shuffle=True):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(x), x).backward()
            optimizer.step()
    return {"DataLoader loop": time.process_time() - start}


@one_thread()
def sliced_tensors(X: np.ndarray, batch: int, hidden: int, epochs: int) -> dict[str, float]:
    net = layers(X.shape[1], hidden)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    rows = torch.from_numpy(X)
    start = time.process_time()
    for _ in range(epochs):
        for some in torch.randperm(len(rows)).split(batch):
            x = rows[some]
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(x), x).backward()
            optimizer.step()
    return {"sliced tensors, fused Adam": time.process_time() - start}


LIBRARIES: list[Callable[..., dict[str, float]]] = [
    aedetect,
    pyod,
    skorch,
    scikit_learn,
    data_loader,
    sliced_tensors,
]


@one_thread()
def rates() -> dict[str, float]:
    """Floating-point operations a second of a large matrix product, torch.mm's first."""
    a = torch.randn(1024, 1024)
    array, blas = a.numpy(), re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    products = {f"torch.mm ({blas[1] if blas else 'its own'})": lambda: a @ a}
    if torch.backends.mkldnn.is_available():
        blocked = a.to_mkldnn()
        products["oneDNN"] = lambda: torch.nn.functional.linear(blocked, blocked)
    numpys = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    products[f"numpy ({numpys})"] = lambda: array @ array
    return {name: 2 * 1024**3 / fastest(product) for name, product in products.items()}


def fastest(run: Callable[[], object]) -> float:
    """CPU seconds of the fastest of 20 runs."""
    times = []
    for _ in range(20):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def operations(n: int, d: int, hidden: int) -> float:
    """Operations of the matrix products of one epoch, forward and backward."""
    weights = 2 * (d * hidden + hidden * CODE)
    return 2 * n * (3 * weights - d * hidden)  # nothing is propagated to the inputs


def measure(case: str, epochs: int, rounds: int) -> dict[str, float]:
    """Median CPU seconds of an epoch, by library."""
    n, d, batch, hidden = CASES[case]
    X = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
    for library in LIBRARIES:
        library(X[: 2 * batch], batch, hidden, 1)  # first calls load and build things
    spent: dict[str, list[float]] = {}
    for _ in range(rounds):
        for library in LIBRARIES:
            gc.collect()
            for name, seconds in library(X, batch, hidden, epochs).items():
                spent.setdefault(name, []).append(seconds / epochs)
    return {name: float(np.median(seconds)) for name, seconds in spent.items()}


class Foreign(Network):
    """A network whose layers are torch's own, as a user may write it."""

    replayable = True

    def build(self, n_features, latent_dim, generators, heads=1):
        coder = Coder()
        down, up = layers(n_features, 64)[:3], layers(n_features, 64)[3:]
        coder.down, coder.up = down, up
        for parameter in coder.parameters():
            parameter.data = parameter.data[None]  # the axis of models

        def run(net, x):
            for layer in net:
                x = x @ layer.weight.mT + layer.bias if hasattr(layer, "weight") else layer(x)
            return x

        coder.encode, coder.decode = (lambda x: run(down, x)), (lambda z: run(up, z))
        return coder


def family(rounds: int, epochs: int) -> None:
    """Print whole fits of ours against each other."""
    X = np.random.default_rng(0).standard_normal((5_000, 20), dtype=np.float32)
    for batch in (32, 256):
        common = {"latent_dim": CODE, "batch_size": batch, "epochs": epochs, "device": "cpu"}
        common["contamination"] = 0.1
        net = {"network": Dense(hidden=(64,)), **common}
        rates = {"network": Dense(hidden=(64,), code_activation="sigmoid"), **common}
        hutchinson = ContractiveAutoencoder(jacobian="hutchinson", **net)
        fits = {
            "plain": Autoencoder(**net).fit,
            "sparse, L1": SparseAutoencoder(**net).fit,
            "sparse, KL": SparseAutoencoder(penalty="kl", **rates).fit,
            "denoising": DenoisingAutoencoder(**net).fit,
            "contractive, estimated": hutchinson.fit,
            "contractive, exact": ContractiveAutoencoder(**net).fit,
            "variational": VariationalAutoencoder(**net).fit,
            "memory": MemoryAutoencoder(**net).fit,
            "ensemble of 24": AutoencoderEnsemble(
                estimator=Autoencoder(**net), n_estimators=24, contamination=0.1
            ).fit,
            "a network of one's own": Autoencoder(**{**net, "network": Foreign()}).fit,
            "the same in a plain loop": lambda X, batch=batch: sliced_tensors(X, batch, 64, epochs),
        }
        for fit in fits.values():
            fit(X[: 2 * batch])  # first calls load and build things
        spent: dict[str, list[float]] = {name: [] for name in fits}
        for _ in range(rounds):
            for name, fit in fits.items():
                start = time.process_time()
                fit(X)
                spent[name].append(time.process_time() - start)
        plain = np.median(spent["plain"])
        print(f"5k x 20, B{batch}, 20-64-{CODE}-64-20, {epochs} epochs, whole fits")
        for name, seconds in spent.items():
            print(f"  {name:32}{np.median(seconds):8.3f} s{np.median(seconds) / plain:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, help="epochs of each fit")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each library")
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--family", action="store_true", help="compare ours with ours")
    arguments = parser.parse_args()
    warnings.filterwarnings(
        "ignore", message="latent_dim=32 is not below"
    )  # 20 columns, code of 32
    warnings.filterwarnings(
        "ignore", message="The network did not learn"
    )  # normal noise has nothing
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch "
        f"{torch.__version__}; {arguments.epochs} epochs, medians of {arguments.rounds} rounds"
    )
    if arguments.family:
        warnings.simplefilter("ignore")
        family(arguments.rounds, arguments.epochs)
        return
    by_library = rates()
    print("GFLOP/s, 1024 x 1024:", ", ".join(f"{n} {r / 1e9:.0f}" for n, r in by_library.items()))
    rate = next(iter(by_library.values()))
    for case in arguments.cases:
        n, d, _, hidden = CASES[case]
        seconds = measure(case, arguments.epochs, arguments.rounds)
        ours = seconds["aedetect, whole fit"]
        print(f"\n{case}, {d}-{hidden}-{CODE}-{hidden}-{d}")
        print(f"  {'':32}{'ms/epoch':>10}{'ratio':>8}{'share of torch.mm':>19}")
        for name, value in seconds.items():
            share = operations(n, d, hidden) / value / rate
            print(f"  {name:32}{value * 1e3:10.1f}{value / ours:8.1f}{share:19.3f}", flush=True)


if __name__ == "__main__":
    main()
