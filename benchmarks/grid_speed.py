"""Time of a grid search that trains its candidates together, against searches one by one.

24 candidates (width of the code x hidden widths x learning rate), 5 folds, 20 epochs.
``python benchmarks/grid_speed.py`` (needs ``pip install '.[benchmark]'``), with no variable
set: ours limits its threads by itself, and the others run within the same limit. Both searches over
our estimator are run in full, in turn; PyOD's AutoEncoder (equal widths, no batch normalisation, no
dropout) and an estimator with a plain loop of torch.nn, autograd and torch.optim.Adam(fused=True)
are run on a few of the fits, and their time is scaled up. Medians of CPU and of wall time are
printed.

Mean scores and the best candidate of the two full searches are compared. For reference, the effect
of rounding on such a search is printed too: the largest difference between the mean scores of the
stacked search and of another on values perturbed by a relative 1e-7, about float32's precision.
"""

import argparse
import itertools
import os
import platform
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.model_selection import GridSearchCV

from aedetect import Autoencoder
from aedetect.model_selection import InlierKFold, StackedGridSearchCV
from aedetect.rows.blocks import one_thread

GRID = {
    "latent_dim": [2, 4, 8],
    "network": [(16,), (32,), (32, 16), (64, 32)],
    "learning_rate": [1e-3, 3e-3],
}
FEW = {"latent_dim": [4], "network": GRID["network"], "learning_rate": [1e-3]}  # for the slow ones
EPOCHS = 20
CASES = {
    "2k x 21, B32": (2_000, 21, 32),
    "2k x 21, B256": (2_000, 21, 256),
    "5k x 20, B32": (5_000, 20, 32),
    "5k x 20, B256": (5_000, 20, 256),
}


def table(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows around a curved surface, and one in twenty that is not."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((n, 4))
    X = np.tanh(z @ rng.standard_normal((4, d))) + 0.1 * rng.standard_normal((n, d))
    y = np.ones(n, int)
    y[::20] = -1
    X[::20] = rng.permuted(X[::20], axis=0)
    return (X - X.mean(0)) / X.std(0), y


class Peer(OutlierMixin, BaseEstimator):
    """What the slow estimators share: scikit-learn's view of them."""

    def __init__(
        self,
        latent_dim: int = 2,
        network: tuple[int, ...] = (16,),
        learning_rate: float = 1e-3,
        batch_size: int = 32,
    ) -> None:
        self.latent_dim, self.network = latent_dim, network
        self.learning_rate, self.batch_size = learning_rate, batch_size


class PyOD(Peer):
    @one_thread()
    def fit(self, X: np.ndarray, y: Any = None) -> "PyOD":
        from pyod.models.auto_encoder import AutoEncoder

        self.model_ = AutoEncoder(
            hidden_neuron_list=[*self.network, self.latent_dim],
            batch_size=self.batch_size,
            epoch_num=EPOCHS,
            lr=self.learning_rate,
            batch_norm=False,
            dropout_rate=0,
            verbose=0,
            device=torch.device("cpu"),
        ).fit(X)
        return self

    @one_thread()
    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return -self.model_.decision_function(X)


class PlainTorch(Peer):
    @one_thread()
    def fit(self, X: np.ndarray, y: Any = None) -> "PlainTorch":
        sizes = (X.shape[1], *self.network, self.latent_dim, *self.network[::-1], X.shape[1])
        layers: list[torch.nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
        code = 2 * len(self.network) + 1
        del layers[-1], layers[code]  # linear code and output
        self.net_ = torch.nn.Sequential(*layers)
        optimizer = torch.optim.Adam(self.net_.parameters(), lr=self.learning_rate, fused=True)
        rows = torch.from_numpy(X).float()
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(rows)).split(self.batch_size):
                optimizer.zero_grad()
                torch.nn.functional.mse_loss(self.net_(rows[batch]), rows[batch]).backward()
                optimizer.step()
        return self

    @one_thread()
    def decision_function(self, X: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(X).float()
        with torch.no_grad():
            return -(self.net_(rows) - rows).square().mean(1).double().numpy()


def timed(run: Callable[[], Any]) -> np.ndarray:
    """CPU and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return np.array([time.process_time() - cpu, time.perf_counter() - wall])


def compare(name: str, n: int, d: int, batch: int, rounds: int) -> None:
    X, y = table(n, d)
    options = {"scoring": "roc_auc", "cv": InlierKFold(random_state=0), "refit": False}
    net = {"epochs": EPOCHS, "batch_size": batch, "device": "cpu"}
    ours = Autoencoder(contamination=0.1, random_state=0, **net)
    one_fold = {**options, "cv": list(InlierKFold(random_state=0).split(X, y))[:1]}
    searches = {
        "stacked": StackedGridSearchCV(ours, GRID, **options),
        "one by one": GridSearchCV(ours, GRID, **options),
        "plain torch": GridSearchCV(PlainTorch(batch_size=batch), FEW, **one_fold),
        "PyOD": GridSearchCV(PyOD(batch_size=batch), FEW, **one_fold),
    }
    times: dict[str, list[np.ndarray]] = {key: [] for key in searches}
    for _ in range(rounds):
        for key, search in searches.items():
            spent = timed(lambda search=search: search.fit(X, y))
            n_fits = len(search.cv_results_["params"]) * search.n_splits_
            times[key].append(spent * 120 / n_fits)
    medians = {key: np.median(spent, axis=0) for key, spent in times.items()}
    cells = "".join(
        f"{cpu:8.2f} {wall:6.2f} {cpu / medians['stacked'][0]:5.1f}x"
        for cpu, wall in medians.values()
    )
    full = searches["stacked"], searches["one by one"]
    scores = [search.cv_results_["mean_test_score"] for search in full]
    moved = X * (1 + 1e-7 * np.random.default_rng(1).standard_normal(X.shape))
    scores.append(clone(full[0]).fit(moved, y).cv_results_["mean_test_score"])
    searched, rounding = (np.abs(scores[0] - other).max() for other in scores[1:])
    best = full[0].best_index_ == full[1].best_index_
    print(f"{name:15}{cells}  {searched:10.1e}{rounding:10.1e}  {best}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")  # candidates that learned little
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch "
        f"{torch.__version__}; medians of {rounds} rounds"
    )
    heads = ("stacked", "one by one", "plain torch", "PyOD")
    print(
        " " * 15
        + "".join(f"{head:>22}" for head in heads)
        + "   scores differ: searches, rounding; same best"
    )
    print(" " * 15 + "   CPU s wall s ratio" * 4)
    for name, (n, d, batch) in CASES.items():
        compare(name, n, d, batch, rounds)


if __name__ == "__main__":
    main()
