"""Graphs against the detectors they were made of."""

import json
import logging
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler
from torch import nn

import aedetect
from aedetect import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderEnsemble,
    ConformalDetector,
    ContractiveAutoencoder,
    Conv1d,
    DenoisingAutoencoder,
    Dense,
    GaussianDetector,
    KernelAutoencoder,
    MemoryAutoencoder,
    PCADetector,
    Quantile,
    SparseAutoencoder,
    Threshold,
    Tied,
    VariationalAutoencoder,
)
from aedetect.models import graph as graphs
from aedetect.networks.base import Network
from aedetect.networks.layers import Coder

onnx = pytest.importorskip("onnx", reason="an extra, which the oldest versions do not have")
onnxruntime = pytest.importorskip("onnxruntime")

QUICK = {"epochs": 5, "contamination": 0.1, "random_state": 0}
D = 6


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.standard_normal((300, D)) @ rng.standard_normal((D, D)) * 3 + 10


@pytest.fixture
def path(tmp_path):
    return tmp_path / "detector.onnx"


def run(path, X):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"X": np.asarray(X)})


def assert_same(path, detector, X, offset):
    score, decision, label = run(path, X)
    wanted = detector.score_samples(X)
    scale = np.maximum(np.abs(wanted), np.abs(offset))
    assert np.max(np.abs(score - wanted) / scale) < 1e-5
    np.testing.assert_allclose(decision, score - offset, rtol=1e-12, atol=1e-12 * abs(offset))
    clear = np.abs(decision) > 1e-5 * scale
    np.testing.assert_array_equal(label[clear], detector.predict(X)[clear])
    assert len(np.unique(label)) == 2 or len(X) < 100


class Gated(Network):
    """A network of someone else's."""

    def build(self, n_features, latent_dim, generators, heads=1):
        return GatedCoder(n_features, latent_dim, generators)


class GatedCoder(Coder):
    def __init__(self, n_features, latent_dim, generators):
        super().__init__()
        shape = len(generators), n_features, latent_dim
        drawn = [torch.randn(shape[1:], generator=generator) / 4 for generator in generators]
        self.down = nn.Parameter(torch.stack(drawn))
        self.up = nn.Parameter(torch.stack(drawn).mT.contiguous())

    def encode(self, x):
        z = self.fill(x) @ self.down
        return z * z.sigmoid()

    def decode(self, z):
        return z @ self.up


DETECTORS = {
    "PCA": PCADetector(contamination=0.1),
    "whitened PCA": PCADetector(whiten=True, latent_dim=2, contamination=0.1),
    "Gaussian": GaussianDetector(contamination=0.1),
    "kernel": KernelAutoencoder(contamination=0.1, random_state=0),
    "default": AnomalyDetector(n_estimators=2, random_state=0),
    "default, trimmed": AnomalyDetector(trim=0.2, n_estimators=1, random_state=0),
    "plain": Autoencoder(**QUICK),
    "absolute error": Autoencoder(loss="absolute_error", network=Tied(hidden=(8,)), **QUICK),
    "huber": Autoencoder(loss="huber", network=Conv1d(shape=(2, 3), channels=(4,)), **QUICK),
    "own network": Autoencoder(network=Gated(), latent_dim=3, **QUICK),
    "sparse": SparseAutoencoder(
        penalty="kl", network=Dense(hidden=(8,), code_activation="sigmoid"), **QUICK
    ),
    "denoising": DenoisingAutoencoder(**QUICK),
    "contractive": ContractiveAutoencoder(**QUICK),
    "memory": MemoryAutoencoder(**QUICK),
    "variational": VariationalAutoencoder(**QUICK),
    "bound": VariationalAutoencoder(score_method="elbo", n_draws=2, variance="learned", **QUICK),
} | {
    name: AutoencoderEnsemble(
        estimator=Autoencoder(**QUICK), n_estimators=3, max_features=0.7, aggregation=name,
        contamination=0.1, random_state=0,
    )
    for name in ("mean", "median", "rank", "log_mean")
}  # fmt: skip


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.filterwarnings("ignore:.*(did not learn|bottleneck|not converged|silent|posterior)")
def test_graph_scores_as_the_detector_does(name, rows, path, rng):
    detector = DETECTORS[name].fit(rows)
    aedetect.export_onnx(detector, path)
    for n in (1, 7, 1_000):
        new = rng.standard_normal((n, D)) * rows.std(0) + rows.mean(0)
        gaps = np.where(rng.random((n, D)) < 0.2, np.nan, new)
        for X in (new, gaps):
            assert_same(path, detector, X, detector.offset_)
    assert_same(path, detector, rows[:30], detector.offset_)  # no row is its own neighbour
    X = np.stack([np.full(D, np.nan), np.full(D, 1e90), rows[0]])
    np.testing.assert_allclose(run(path, X)[0], detector.score_samples(X), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:The network did not learn")
def test_cross_entropy(path, rng):
    X = rng.random((200, D))
    network = Dense(hidden=(8,), output_activation="sigmoid")
    detector = Autoencoder(network=network, loss="binary_cross_entropy", **QUICK).fit(X)
    aedetect.export_onnx(detector, path)
    assert_same(path, detector, np.where(rng.random(X.shape) < 0.1, np.nan, X), detector.offset_)


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        [RobustScaler(), "passthrough"],
        [StandardScaler(), PCA(n_components=4)],
        [QuantileTransformer(n_quantiles=50)],
    ],
    ids=str,
)
def test_steps_before_the_detector_are_in_the_graph(steps, rows, path):
    units = rows * [1, 10, 1e3, 1e6, 1e-3, 1] + [0, 0, 0, 1e9, 0, 0]
    detector = make_pipeline(*steps, Autoencoder(**QUICK)).fit(units)
    aedetect.export_onnx(detector, path)
    X = units if isinstance(steps[-1], PCA) else np.where(rows > 20, np.nan, units)
    assert_same(path, detector, X, detector[-1].offset_)


@pytest.mark.parametrize("unit", [1e-9, 1e-5, 1e6])
@pytest.mark.parametrize("name", ["PCA", "kernel", "plain"])
def test_unit_of_the_columns_does_not_matter(name, unit, rows, path):
    detector = clone(DETECTORS[name]).fit(rows * unit)
    aedetect.export_onnx(detector, path)
    X = rows * unit
    score, _, label = run(path, X)
    wanted = detector.score_samples(X)
    assert np.max(np.abs(score - wanted) / np.maximum(-wanted, -detector.offset_)) < 1e-5
    np.testing.assert_array_equal(label, detector.predict(X))


@pytest.mark.parametrize("around", [True, False], ids=["around", "within"])
def test_threshold_in_force_is_that_of_the_wrapper(around, rows, path):
    rule = {"rule": Quantile(share=0.2)}
    pca = PCADetector(latent_dim=2, contamination=0.0)
    if around:
        detector = Threshold(estimator=make_pipeline(StandardScaler(), pca), **rule).fit(rows)
        offset = detector.offset_
    else:
        detector = make_pipeline(StandardScaler(), Threshold(estimator=pca, **rule)).fit(rows)
        offset = detector[-1].offset_
    aedetect.export_onnx(detector, path)
    assert_same(path, detector, rows, offset)
    assert (run(path, rows)[2] == -1).mean() == pytest.approx(0.2, abs=0.01)


def test_conformal(rows, path):
    detector = ConformalDetector(estimator=PCADetector(), random_state=0).fit(rows)
    aedetect.export_onnx(detector, path)
    assert_same(path, detector, rows, detector.offset_)  # a row or two score just that


def test_process_without_torch(rows, path, tmp_path):
    detector = make_pipeline(StandardScaler(), Autoencoder(**QUICK)).fit(rows)
    aedetect.export_onnx(detector, path)
    np.savez(tmp_path / "rows.npz", X=rows, score=detector.score_samples(rows))
    code = f"""
import sys
sys.modules.update(torch=None, sklearn=None, aedetect=None)  # importing them fails
import numpy as np, onnxruntime
with np.load({str(tmp_path / "rows.npz")!r}) as file:
    score, *_ = onnxruntime.InferenceSession({str(path)!r}).run(None, {{"X": file["X"]}})
    print(np.max(np.abs(score / file["score"] - 1)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1e-5


def test_says_what_it_is(rows, path):
    names = [f"column {j}" for j in range(D)]
    detector = make_pipeline(StandardScaler(), PCADetector(latent_dim=2))
    detector.fit(pd.DataFrame(rows, columns=names))
    aedetect.export_onnx(detector, path)
    graph = onnx.load(path)
    told = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(told["columns"]) == names
    assert "PCADetector(latent_dim=2)" in told["detector"]
    assert graph.producer_version == aedetect.__version__
    assert {opset.domain: opset.version for opset in graph.opset_import}[""] == 18
    assert [x.name for x in graph.graph.input] == ["X"]
    assert [x.name for x in graph.graph.output] == ["score", "decision", "label"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: aedetect.make_detector(PCADetector()).fit(X), "TableEncoder has no graph"),
        (lambda X: IsolationForest(random_state=0).fit(X), "IsolationForest has no graph"),
        (
            lambda X: make_pipeline(SimpleImputer(), PCADetector()).fit(X),
            "cannot run the graph in float64: .*Imputer",
        ),
        (
            lambda X: ConformalDetector(estimator=PCADetector(), method="jackknife+").fit(X[:25]),
            "jackknife.* a detector for each",
        ),
    ],
    ids=["table", "forest", "imputer", "jackknife"],
)
def test_refuses_by_name_what_has_no_graph(make, message, rows, path):
    with pytest.raises(TypeError, match=message):
        aedetect.export_onnx(make(rows[:60]), path)
    assert not path.exists()


def test_refuses_a_detector_that_is_not_fitted(path):
    with pytest.raises(NotFittedError):
        aedetect.export_onnx(PCADetector(), path)


def test_a_graph_that_decides_otherwise_is_not_written(rows, path, monkeypatch):
    detector = PCADetector(latent_dim=2).fit(rows)
    mean = graphs.mean_observed
    monkeypatch.setattr(graphs, "mean_observed", lambda *values: mean(*values) * 1.001)
    with pytest.raises(ValueError, match=r"differs .* by 1\.0e-03"):
        aedetect.export_onnx(detector, path)
    assert not path.exists()


@pytest.mark.filterwarnings("ignore:alpha=0.01 flags nothing")
def test_scores_are_compared_where_no_threshold_is(rows, path, monkeypatch):
    detector = ConformalDetector(estimator=PCADetector(latent_dim=2), alpha=0.01).fit(rows[:30])
    assert detector.offset_ == -np.inf
    mean = graphs.mean_observed
    monkeypatch.setattr(graphs, "mean_observed", lambda *values: 3 * mean(*values))
    with pytest.raises(ValueError, match="differs"):
        aedetect.export_onnx(detector, path)


def test_leaves_no_trace(rows, path, capfd):
    level = logging.getLogger("torch.onnx").level
    for detector in (Autoencoder(**QUICK), AnomalyDetector(n_estimators=1, random_state=0)):
        aedetect.export_onnx(detector.fit(rows), path)
        run(path, rows)
    assert logging.getLogger("torch.onnx").level == level
    assert capfd.readouterr() == ("", "")


def test_encoder_module_exports(rows):
    detector = Autoencoder(**QUICK).fit(rows)
    x = torch.from_numpy(rows).float()
    program = torch.export.export(detector.encoder_module().eval(), (x,))
    codes = program.module()(x).detach().numpy()
    np.testing.assert_allclose(codes, detector.transform(rows), rtol=1e-4, atol=1e-5)
