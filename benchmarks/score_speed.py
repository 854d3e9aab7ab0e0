"""Time and memory of scoring rows, against other detectors and the bare network in onnxruntime.

``python benchmarks/score_speed.py`` (needs ``pip install '.[benchmark]'``), with no variable
set: ours limits its threads by itself, and the others run in one thread. Networks have equal
widths; PyOD has its default settings. PyOD and the isolation forest score a tenth of the million
rows, and their time is scaled up. All take a turn in each of several rounds, and medians are
printed: CPU seconds for tables, wall milliseconds for one row. onnxruntime runs layers and mean
error alone, in blocks of 2,048 rows. Memory is the growth of the process's peak while one more
million rows are scored.
"""

import argparse
import os
import platform
import resource
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import IsolationForest

from aedetect import Autoencoder
from aedetect.rows.blocks import one_thread

WIDTHS = {30: (64, 32), 784: (128, 32)}  # hidden, code


def onnx_session(model: Autoencoder) -> Any:
    """The layers of a fitted autoencoder and the mean squared error, without our code."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, tensors, x = [], [], "x"
    layers = [*model.model_.net.encoder, *model.model_.net.decoder]
    for i, layer in enumerate(layers):
        weight = layer.weight[0].detach().numpy()
        tensors += [
            numpy_helper.from_array(weight[:-1].copy(), f"W{i}"),
            numpy_helper.from_array(weight[-1].copy(), f"b{i}"),
        ]
        nodes.append(helper.make_node("Gemm", [x, f"W{i}", f"b{i}"], [f"a{i}"]))
        x = f"a{i}"
        if layer.activation == "relu":
            nodes.append(helper.make_node("Relu", [x], [f"h{i}"]))
            x = f"h{i}"
    nodes += [
        helper.make_node("Sub", [x, "x"], ["r"]),
        helper.make_node("Mul", ["r", "r"], ["s"]),
        helper.make_node("ReduceMean", ["s"], ["error"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "autoencoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, model.n_features_in_])],
        [helper.make_tensor_value_info("error", TensorProto.FLOAT, [None])],
        tensors,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(proto)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(proto.SerializeToString(), options)


def detectors(d: int) -> dict[str, Callable[[np.ndarray], object]]:
    from pyod.models.auto_encoder import AutoEncoder

    hidden, code = WIDTHS[d]
    X = np.random.default_rng(0).standard_normal((2_000, d), dtype=np.float32)
    ours = Autoencoder(latent_dim=code, network=(hidden,), epochs=2, device="cpu").fit(X)
    pyod = AutoEncoder(
        hidden_neuron_list=[hidden, code], epoch_num=2, verbose=0, device=torch.device("cpu")
    ).fit(X)
    forest = IsolationForest(random_state=0).fit(X)
    session = onnx_session(ours)

    def onnx(rows: np.ndarray) -> object:
        parts = range(0, len(rows), 2048)
        return [session.run(None, {"x": rows[i : i + 2048]}) for i in parts]

    return {
        "aedetect": ours.score_samples,
        "onnxruntime, net alone": onnx,
        "IsolationForest": one_thread()(forest.score_samples),
        "PyOD": one_thread()(pyod.decision_function),
    }


def seconds(score: Callable[[np.ndarray], object], X: np.ndarray) -> float:
    start = time.process_time()
    score(X)
    return time.process_time() - start


def table(n: int, d: int, rounds: int, slow_share: int) -> None:
    """Print median CPU seconds for n rows."""
    scorers = detectors(d)
    X = np.random.default_rng(1).standard_normal((n, d), dtype=np.float32)
    spent: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(rounds):
        for name, score in scorers.items():
            share = slow_share if name in ("PyOD", "IsolationForest") else 1
            spent[name].append(seconds(score, X[: n // share]) * share)
    medians = {name: float(np.median(times)) for name, times in spent.items()}
    print(f"{n} x {d}, widths {WIDTHS[d]}, CPU seconds")
    for name, value in medians.items():
        print(f"  {name:24}{value:9.3f}{value / medians['aedetect']:9.1f}x", flush=True)


def one_row(rounds: int) -> None:
    """Print the median wall time of one row."""
    row = np.random.default_rng(1).standard_normal((1, 30), dtype=np.float32)
    print("one row of 30, wall milliseconds, median")
    medians = {}
    for name, score in detectors(30).items():
        times = []
        for _ in range(100 * rounds):
            start = time.perf_counter()
            score(row)
            times.append(time.perf_counter() - start)
        medians[name] = np.median(times) * 1e3
        print(f"  {name:24}{medians[name]:9.3f}{medians[name] / medians['aedetect']:9.1f}x")


def memory() -> None:
    """Print how much the process grows while a million rows are scored."""
    X = np.random.default_rng(1).standard_normal((1_000_000, 30), dtype=np.float32)
    model = Autoencoder(latent_dim=32, network=(64,), epochs=1, device="cpu").fit(X[:2000])
    model.score_samples(X[:5000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.score_samples(X)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"memory beyond the data for 1,000,000 x 30: {grown / 1024:.0f} MiB, 8 of them the scores"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")  # that noise cannot be learned
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch "
        f"{torch.__version__}; medians of {rounds} rounds"
    )
    memory()
    table(1_000_000, 30, rounds, 10)
    table(10_000, 784, rounds, 1)
    one_row(rounds)


if __name__ == "__main__":
    main()
