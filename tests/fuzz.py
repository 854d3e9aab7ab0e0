"""Random estimators on random tables: every method answers with numbers, or says why not.

    python tests/fuzz.py --minutes 30 --seed 7

A failure names its case, ``check(seed, n)``, which repeats it.
"""

import argparse
import random
import sys
import time
import types
import typing
import warnings

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import aedetect
from aedetect import Autoencoder, networks
from aedetect.detectors.base import Detector
from aedetect.objectives import corruption
from aedetect.params import Range

DETECTORS = [
    each
    for each in (getattr(aedetect, name) for name in aedetect.__all__)
    if isinstance(each, type) and issubclass(each, Detector)
]
TRAINED = [each for each in DETECTORS if issubclass(each, Autoencoder)]
SMALL = {  # of what is slow or not of interest
    "epochs": (1, 4),
    "n_estimators": (1, 3),
    "n_draws": (1, 3),
    "batch_size": (1, 64),
    "max_items": (10, 100),
    "n_probes": (1, 3),
    "channels": (1, 4),
}
SIZES = [1e-320, 1e-300, 1e-160, 1e-40, 1e-9, 1e9, 1e30, 1e39, 1e99, 1e120, 1e160, 1e308]


def run(seconds: float, seed: int) -> int:
    """Try cases for so long; return how many."""
    deadline, n = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        check(seed, n)
        n += 1
    return n


def check(seed: int, n: int) -> None:
    """Try the n-th case of a seed."""
    rng = random.Random(f"{seed} {n}")
    with np.errstate(all="ignore"):
        estimator, X, others = some_case(rng)
    before = global_state()
    try:
        Case(rng, estimator, X, others).check()
        changed = [name for name, state in global_state().items() if before[name] != state]
        assert not changed, f"changed {changed}"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise AssertionError(f"check({seed}, {n}): {said}; {estimator} on {X!r:.800}") from error


class Case:
    """One estimator, what it is fitted on, and what it is asked about then."""

    def __init__(self, rng: random.Random, estimator: Detector, X, others: list) -> None:
        self.rng, self.estimator, self.X, self.others = rng, estimator, X, others

    def check(self) -> None:
        fresh, parameters = set(vars(self.estimator)), repr(self.estimator.get_params())
        fitted = self.call("fit", self.X)
        if fitted is None:
            assert set(vars(self.estimator)) == fresh, "a failed fit left something"
            return
        for X in [self.X, *self.others]:
            self.check_methods(X)
        self.check_codes()
        assert repr(self.estimator.get_params()) == parameters, "parameters changed"

    def call(self, method: str, X, *args, **options):
        """What a method returns; None where it refuses."""
        given, refusal = content(X), None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = getattr(self.estimator, method)(X, *args, **options)
            except (ValueError, TypeError) as error:
                result, refusal = None, error
        if refusal is not None:
            assert type(refusal) in (ValueError, TypeError), f"{method}: {refusal!r}"
            assert len(str(refusal).split()) > 4, f"{method} does not say why: {refusal!r}"
        for warning in caught:
            assert warning.category in (UserWarning, ConvergenceWarning), f"{method}: {warning}"
        assert content(X) == given, f"{method} changed its input"
        return result

    def check_methods(self, X) -> None:
        scores = self.call("score_samples", X)
        names = ["transform", "reconstruct", "score_features", "decision_function", "predict"]
        names += [name for name in ("denoise", "posterior") if hasattr(self.estimator, name)]
        results = {name: self.call(name, X) for name in names} | {"score": self.call("score", X)}
        if scores is None:
            return
        missing = np.isnan(as_rows(X, self.estimator.n_features_in_))
        for name, result in {"score_samples": scores, **results}.items():
            assert result is not None, f"{name} refuses what score_samples takes"
            if name == "score_features":
                of_gaps = np.isnan(as_rows(result, self.estimator.n_features_in_))
                assert (of_gaps == missing).all(), "score_features: NaN elsewhere than in X"
            else:
                assert np.isfinite(np.asarray(result)).all(), f"{name} is not finite"
        empty = missing.all(axis=1)
        assert (scores[empty] <= scores.min()).all(), "an empty row is not the strangest"
        assert (results["predict"][empty] == -1).all(), "an empty row is normal"
        if hasattr(self.estimator, "complete") and not empty.any():
            completed = self.call("complete", X, n_steps=2)
            assert np.isfinite(np.asarray(completed)).all(), "complete is not finite"
        self.check_alone(X, scores)

    def check_alone(self, X, scores) -> None:
        if not isinstance(X, np.ndarray) or X.ndim != 2:
            return
        for i in {self.rng.randrange(len(X)) for _ in range(3)}:
            alone = self.call("score_samples", X[i : i + 1])[0]
            close = abs(alone - scores[i]) <= 1e-5 * abs(scores[i]) + self.rounding(X[i])
            assert close, f"row {i} scores {alone!r} alone and {scores[i]!r} beside others"

    def rounding(self, row) -> float:
        """How large an error is that may be nothing but rounding."""
        with np.errstate(over="ignore"):
            return 1e-10 * float(np.nanmax(np.square(np.asarray(row, float)), initial=1e-300))

    def check_codes(self) -> None:
        width = len(self.estimator.get_feature_names_out())
        n = self.rng.choice([1, 3])
        Z = np.array([[self.rng.gauss(0, 1) for _ in range(width)] for _ in range(n)])
        calls = [("inverse_transform", Z), ("inverse_transform", Z.clip(-1, 1) * SIZES[-1])]
        if isinstance(self.estimator, Autoencoder):
            ends = np.zeros((2, self.estimator.n_features_in_))
            calls += [("sample", 3, 0), ("interpolate", *ends)]
        for name, *arguments in calls:
            result = self.call(name, *arguments)
            assert np.isfinite(result).all(), f"{name} is not finite"


# Cases ----------------------------------------------------------------------------------------


def some_case(rng: random.Random) -> tuple:
    n, d = rng.choice([1, 2, 3, 6, 20, 20, 60, 60, 300]), rng.choice([1, 2, 3, 4, 6, 9, 16, 16, 40])
    estimator = some_estimator(rng, rng.choice(DETECTORS), d)
    table = some_table(rng, n, d)
    wrap = rng.choice(CONTAINERS)
    wide = rng.random() < 0.05
    others = [some_table(rng, rng.choice([1, 4]), d + wide), mutated(rng, table)]
    return estimator, wrap(rng, table), [rng.choice([wrap, plain])(rng, X) for X in others]


def some_estimator(rng: random.Random, kind: type, d: int):
    hints = typing.get_type_hints(kind, include_extras=True)
    options = {}
    for name in kind().get_params(deep=False):
        if name in SMALL or name == "random_state" or rng.random() < 0.3:
            options[name] = some_value(rng, name, hints[name], d)
    return kind(**options)


def some_value(rng: random.Random, name: str, hint, d: int):
    """A value that the annotation of a parameter allows."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if name == "random_state":  # None would make a case that cannot be repeated
            args = int, np.random.RandomState
        return some_value(rng, name, rng.choice(args), d)
    if origin is typing.Literal:
        return rng.choice(args)
    if origin is tuple:
        n = rng.choice([1, 1, 2])
        return tuple(some_value(rng, name, args[0], d) for _ in range(n))
    if origin is typing.Annotated:
        return some_number(rng, name, *args)
    if hint is int:
        return rng.randrange(2**31)
    if hint is bool:
        return rng.random() < 0.5
    if hint is str:
        return "cpu"
    if hint is networks.Network:
        return some_network(rng, d)
    if hint is Autoencoder:
        return some_estimator(rng, rng.choice(TRAINED), d)
    if hint is corruption.Corruption:
        return rng.choice([aedetect.GaussianNoise(), aedetect.SwapNoise(), aedetect.MaskingNoise()])
    if hint is np.random.RandomState:
        return np.random.RandomState(rng.randrange(2**31))
    return None


def some_number(rng: random.Random, name: str, kind: type, bounds: Range):
    low, high = SMALL.get(name, (bounds.low, min(bounds.high, 10)))
    if kind is int:
        return rng.randint(int(low), int(high))
    value = rng.choice([low, high, rng.uniform(low, high), 10 ** rng.uniform(-6, 1)])
    return value if value in bounds else 0.5 * (low + high)


def some_network(rng: random.Random, d: int):
    kinds = {
        aedetect.Dense: {},
        aedetect.Tied: {},
        aedetect.Conv1d: {"shape": rng.choice([(1, d), (2, d // 2 or 1)])},
        aedetect.Conv2d: {
            "shape": rng.choice([(1, d // 2 or 1, 2), (1, 1, d), (2, 2, d // 4 or 1)])
        },
    }
    kind = rng.choice(list(kinds))
    hints = typing.get_type_hints(kind, include_extras=True)
    options = {
        name: some_value(rng, name, hints[name], d)
        for name in hints
        if name
        in ("hidden", "channels", "activation", "code_activation", "output_activation", "bias")
        and rng.random() < 0.5
    }
    return kind(**options, **kinds[kind])


def some_table(rng: random.Random, n: int, d: int) -> np.ndarray:
    """Numbers of some distribution, and some of what may be wrong with them."""
    chance = np.random.default_rng(rng.randrange(2**32))
    normal = chance.standard_normal((n, d))
    X = rng.choice(
        [
            normal,
            normal[:, :1] * chance.standard_normal(d) + 0.01 * normal,
            chance.uniform(size=(n, d)),
            chance.integers(0, 3, (n, d)).astype(float),
            np.exp(3 * normal),
            np.resize(normal[: rng.choice([1, 2])], (n, d)),
            np.full((n, d), rng.choice([0.0, 0.1, 1e6 / 3, -7.0])),
        ]
    )
    if rng.random() < 0.2:
        X = X * rng.choice(SIZES)
    if rng.random() < 0.2:
        X = X * 10.0 ** chance.integers(-rng.choice([3, 300]), rng.choice([4, 100]), d)
    return mutated(rng, X) if rng.random() < 0.4 else X


def mutated(rng: random.Random, X: np.ndarray) -> np.ndarray:
    """The table with gaps, constants, copies, or a value that is out of place."""
    X = X.copy()
    for _ in range(rng.choice([1, 1, 2])):
        i, j = rng.randrange(len(X)), rng.randrange(X.shape[1])
        odd = rng.choice([np.nan, np.nan, 0.0, 1e6, -1e200, np.inf, rng.choice(SIZES)])
        match rng.randrange(6):
            case 0:
                X[i, j] = odd
            case 1:
                X[i] = odd
            case 2:
                X[:, j] = odd
            case 3:
                X[:, j] = X[:, rng.randrange(X.shape[1])]
            case 4:
                X[np.random.default_rng(i).random(X.shape) < rng.choice([0.1, 0.5])] = np.nan
            case 5:
                X[i] = X[rng.randrange(len(X))] * (1 + rng.choice([0, 1e-15, 1e-9]))
    return X


def plain(_: random.Random, X: np.ndarray):
    return X


def in_another_dtype(rng: random.Random, X: np.ndarray):
    types = ["f4", "f4", "f4", "f2", ">f8", "g", "i8", "u1", "?", "O", "U20", "S20", "c16"]
    return X.astype(rng.choice(types))


def in_another_layout(rng: random.Random, X: np.ndarray):
    frozen = X.copy()
    frozen.flags.writeable = False
    masked = np.ma.masked_invalid(X)
    return rng.choice([np.asfortranarray(X), np.repeat(X, 2, 1)[:, ::2], frozen, masked, X[:, 0]])


def as_images(rng: random.Random, X: np.ndarray):
    n, d = X.shape
    shapes = [(n, d // 2, 2), (n, 1, d), (n, d, 1), (n, 1, d // 2, 2), (n, d // 4, 2, 2)]
    return X.reshape(
        rng.choice([shape for shape in shapes if np.prod(shape) == X.size] or [(n, d)])
    )


def as_frame(rng: random.Random, X: np.ndarray):
    frame = pd.DataFrame(X)
    match rng.randrange(6):
        case 0:
            return frame
        case 1:
            return frame.add_prefix("c").astype("Float64")
        case 2:
            return frame.add_prefix("c").astype({"c0": "category"})
        case 3:
            return frame.add_prefix("c").assign(c0="x")
    return frame.add_prefix("c")


def as_something_else(rng: random.Random, X: np.ndarray):
    kinds = [
        np.ndarray.tolist,
        sparse.csr_array,
        sparse.coo_matrix,
        torch.from_numpy,
        lambda X: {"a": X},
        lambda X: pd.Series(X[:, 0]),
    ]
    others = ["table.csv", None, 3.0, [], np.zeros((0, 3)), [[1, 2], [3]]]
    return rng.choice(kinds)(X) if rng.random() < 0.5 else rng.choice(others)


CONTAINERS = [
    *[plain] * 5,
    in_another_dtype,
    in_another_layout,
    as_images,
    as_frame,
    as_something_else,
]


def as_rows(X, d: int) -> np.ndarray:
    if sparse.issparse(X):
        X = X.toarray()
    if isinstance(X, pd.DataFrame):
        X = X.astype(float)
    X = X.filled(np.nan) if np.ma.isMaskedArray(X) else X
    return np.asarray(X, dtype=np.float64).reshape(-1, d)


def content(X) -> str:
    """What would differ if a method had changed its input."""
    if isinstance(X, pd.DataFrame):
        return X.to_csv()
    if sparse.issparse(X):
        return repr(X.toarray().tobytes())
    if isinstance(X, torch.Tensor):
        X = X.detach().numpy()
    return repr(X.tobytes() if isinstance(X, np.ndarray) and X.dtype != object else X)


def global_state() -> dict:
    return {
        "numpy's generator": np.random.get_state()[1].tobytes(),
        "torch's generator": torch.get_rng_state().numpy().tobytes(),
        "Python's generator": random.getstate(),
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "errors": np.geterr(),
        "warnings": tuple(warnings.filters),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.stdout.write(f"{run(60 * given.minutes, given.seed)} cases\n")
