"""Files without code: what goes in comes out to the last bit, and nothing else comes out."""

import contextlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from estimators import ESTIMATORS, OBJECTIVES, name_of, networks
from safetensors import numpy as safetensors
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier

from aedetect import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderEnsemble,
    DenoisingAutoencoder,
    Dense,
    PCADetector,
    RobustCore,
    Threshold,
    VariationalAutoencoder,
    load,
    save,
)
from aedetect.apps.saved import KINDS, _digest
from aedetect.models.state import Reader, Writer
from aedetect.networks import Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:The network did not learn"),
    pytest.mark.filterwarnings("ignore:All .* units of the code are silent"),
    pytest.mark.filterwarnings("ignore:The posterior has collapsed"),
]

X = np.random.default_rng(0).standard_normal((120, 64))
NEW = np.random.default_rng(1).standard_normal((40, 64))
NEW[::3, 5] = np.nan
QUICK = {"epochs": 2, "random_state": 0}


def round_trip(model, tmp_path):
    save(model, tmp_path / "model.safetensors")
    return load(tmp_path / "model.safetensors")


def quick(estimator):
    names = estimator.get_params()
    return clone(estimator).set_params(**{k: v for k, v in QUICK.items() if k in names})


PAIRS = [
    clone(objective).set_params(network=network)
    for objective in OBJECTIVES
    for network in networks(64)
    if not (isinstance(objective, VariationalAutoencoder) and type(network).__name__ == "Tied")
]


@pytest.mark.parametrize("estimator", [*ESTIMATORS, *PAIRS], ids=name_of)
def test_every_estimator_scores_as_before(estimator, tmp_path):
    model = quick(estimator).fit(X)
    loaded = round_trip(model, tmp_path)
    assert repr(loaded) == repr(model)
    for method in ("score_samples", "predict", "transform", "reconstruct", "score_features"):
        np.testing.assert_array_equal(getattr(loaded, method)(NEW), getattr(model, method)(NEW))
    again = clone(loaded).fit(X)
    np.testing.assert_array_equal(again.score_samples(NEW), model.score_samples(NEW))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_a_model_is_arrays_and_plain_values(estimator):
    model = quick(estimator).fit(X).model_
    writer = Writer(KINDS)
    tree = writer.tree(model, "model")
    assert json.loads(json.dumps(tree, allow_nan=False)) == tree
    assert all(isinstance(array, np.ndarray) for array in writer.arrays.values())
    again = Reader(KINDS, writer.arrays).thing(tree)
    np.testing.assert_array_equal(again.row_errors(NEW[1:2]), model.row_errors(NEW[1:2]))


def test_column_names_warm_starts_and_members_travel(tmp_path):
    table = pd.DataFrame(X, columns=[f"c{i}" for i in range(64)])
    model = Autoencoder(warm_start=True, early_stopping=True, **QUICK).fit(table)
    loaded = round_trip(model, tmp_path)
    assert list(loaded.feature_names_in_) == list(table.columns)
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(table[table.columns[::-1]])
    assert loaded.fit(table).n_iter_ == model.fit(table).n_iter_ == 4
    ensemble = AutoencoderEnsemble(estimator=Autoencoder(**QUICK), n_estimators=2, random_state=0)
    members = round_trip(ensemble.fit(X), tmp_path).estimators_
    assert [member.n_iter_ for member in members] == [2, 2]
    assert members[0].fit_report_ == ensemble.estimators_[0].fit_report_
    assert round_trip(RobustCore().fit(X), tmp_path).core_.sum() == 72


TABLE = pd.DataFrame(X[:, :6], columns=list("abcdef")).assign(kind=["x", "y", "z"] * 40)


@pytest.mark.parametrize(
    "step",
    [
        MinMaxScaler(),
        RobustScaler(),
        QuantileTransformer(n_quantiles=10),
        PowerTransformer(),
        SimpleImputer(add_indicator=True),
        PCA(3),
        make_column_transformer(
            (StandardScaler(), list("abc")),
            (OneHotEncoder(sparse_output=False), ["kind"]),
            remainder="drop",
        ),
        make_column_transformer((OrdinalEncoder(), ["kind"]), ("passthrough", list("ab"))),
        make_column_transformer(
            (OneHotEncoder(sparse_output=False, dtype=np.int8), ["kind"]),
            (StandardScaler(), list("abc")),
        ),
        FunctionTransformer(),
        "passthrough",
    ],
    ids=repr,
)
def test_pipelines_with_steps_of_scikit_learn(step, tmp_path):
    table = TABLE if "Column" in type(step).__name__ else TABLE.drop(columns="kind")
    if isinstance(step, SimpleImputer):
        table = table.mask(np.random.default_rng(0).random(table.shape) < 0.1)
    model = Pipeline([("step", step), ("detector", PCADetector(latent_dim=2))]).fit(table)
    loaded = round_trip(model, tmp_path)
    np.testing.assert_array_equal(loaded.score_samples(table), model.score_samples(table))
    assert list(loaded[-1].get_params()) == list(model[-1].get_params())


class Own(Network):
    """A network of a user."""

    def build(self, n_features, latent_dim, generators, heads=1):
        return Dense().build(n_features, latent_dim, generators, heads)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Autoencoder(network=Own(), **QUICK), r"Autoencoder.network is a .*test_saved\.Own"),
        (DenoisingAutoencoder(corruption=lambda x, _: x, **QUICK), "corruption is a .*function"),
        (PCADetector, "ABCMeta is no estimator"),
        (Pipeline([("detector", PCADetector())], memory="folder"), "has a memory"),
        (make_pipeline(DecisionTreeClassifier()), "DecisionTreeClassifier"),
        (make_pipeline(FunctionTransformer(np.log1p)), r"func is a numpy\.ufunc"),
        (OneHotEncoder().fit(np.array([["2020-01-01"]], "M8[D]")), "is an array of datetime64"),
        (
            Autoencoder(epochs=1, random_state=np.random.RandomState(0)),
            "random_state is a .*Random",
        ),
    ],
)
def test_what_a_file_cannot_hold_is_named(model, message, tmp_path):
    if isinstance(model, Autoencoder):
        model.fit(X)
    with pytest.raises((TypeError, ValueError), match=message):
        save(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


# Files that were not written by `save` ----------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.safetensors"
    network = Dense(hidden=(8,))
    save(make_pipeline(StandardScaler(), Autoencoder(network=network, **QUICK)).fit(X), path)
    return path.read_bytes()


def taken_apart(data):
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    metadata = header["__metadata__"]
    return json.loads(metadata["estimator"]), safetensors.load(data), metadata


def forged(tree, arrays, **metadata):
    described = tree if isinstance(tree, str) else json.dumps(tree)
    metadata = {"format": "1", "estimator": described, "sha256": _digest(described, arrays)} | {
        key: value for key, value in metadata.items() if value is not None
    }
    return safetensors.save(arrays, metadata)


def part_of(tree, *path):
    for key in path:
        tree = tree[key]
    return tree


STEPS = ("parts", "steps")  # of the pipeline
SCALER = (*STEPS, 0, "tuple", 1, "parts")
NET = (*STEPS, 1, "tuple", 1, "parts")
MODEL = (*NET, "model_", "parts")


def with_part(value, *path):
    def change(tree, _):
        part_of(tree, *path[:-1])[path[-1]] = value

    return change


def with_value(value):
    def changed(weights):
        weights = weights.copy()
        weights[0, 0] = value
        return weights

    return with_array(changed)


def with_array(change):
    def changed(tree, arrays):
        pairs = dict(map(tuple, part_of(tree, *MODEL, "weights", "dict")))
        name = pairs["encoder.0.weight"]["array"]
        arrays[name] = change(arrays[name])

    return changed


def without_last(_, arrays):
    del arrays[max(arrays, key=int)]


def with_one_more(_, arrays):
    arrays["other"] = np.zeros(3)


FORGED = {
    "a planted class": with_part("os.system", *NET[:-1], "class"),
    "a class of Python": with_part("Popen", *MODEL[:-1], "class"),
    "another class of ours": with_part("Frame", *MODEL[:-1], "class"),
    "an estimator as a model": with_part("PCADetector", *MODEL[:-1], "class"),
    "no model": with_part(3, *NET, "model_"),
    "a huge network": with_part({"tuple": [10**9]}, *MODEL, "network", "parts", "hidden"),
    "many layers": with_part({"tuple": [8] * 100_000}, *MODEL, "network", "parts", "hidden"),
    "no threshold": with_part("x", *NET, "offset_"),
    "columns in words": with_part("64", *NET, "n_features_in_"),
    "a cache of pickles": with_part("folder", "parts", "memory"),
    "a huge code": with_part(10**12, *MODEL, "width"),
    "a negative code": with_part(-4, *MODEL, "width"),
    "a negative width": with_part({"tuple": [-8]}, *MODEL, "network", "parts", "hidden"),
    "text for a width": with_part("x", *MODEL, "width"),
    "an unknown loss": with_part("x", *MODEL, "objective", "parts", "criterion"),
    "an unknown activation": with_part("__import__", *MODEL, "network", "parts", "activation"),
    "not a number as a rate": with_part({"float": "nan"}, *NET, "learning_rate"),
    "a number that is none": with_part({"float": "1e400"}, *NET, "learning_rate"),
    "a parameter out of range": with_part(-1, *NET, "epochs"),
    "a missing field": lambda tree, _: part_of(tree, *MODEL).pop("frame"),
    "a field too many": with_part(1, *MODEL, "more"),
    "a path for an array": with_part({"array": "../../etc/passwd"}, *MODEL, "column_means"),
    "no name for an array": with_part({"array": [1]}, *MODEL, "column_means"),
    "a tag that is none": with_part({"eval": "1"}, *MODEL, "column_means"),
    "a method for a tag": with_part({"object": ["x", {}]}, *MODEL, "column_means"),
    "dicts of lists": with_part({"dict": [[[1], 2]]}, *MODEL, "weights"),
    "a type that is none": with_part({"type": "eval"}, *MODEL, "column_means"),
    "weights of integers": with_array(lambda w: w.astype(np.int64)),
    "weights of float64": with_array(lambda w: w.astype(np.float64)),
    "weights of another shape": with_array(lambda w: w[:, :-1]),
    "weights of another rank": with_array(lambda w: w.ravel()),
    "an empty weight": with_array(lambda w: w[:0]),
    "a missing array": without_last,
    "an array too many": with_one_more,
    "other columns": with_part(65, *NET, "n_features_in_"),
    "weights that are no numbers": with_value(np.nan),
    "infinite weights": with_value(np.inf),
    "a scale of nothing": with_part(0.0, *MODEL, "frame", "parts", "scale"),
    "a threshold that is no number": with_part({"float": "nan"}, *NET, "offset_"),
    "an activation of the output": with_part(0.1, *MODEL, "network", "parts", "output_activation"),
    "an activation that cannot be printed": with_part(
        {"class": "StandardScaler", "parts": {}}, *MODEL, "network", "parts", "activation"
    ),
    "a method": with_part(3, *NET, "score_samples"),
    "a method of scikit-learn": with_part(3, *SCALER, "transform"),
    "a property": with_part(3, *NET, "weights_"),
    "a class for an object": with_part("Pipeline", *NET, "__class__"),
    "a step without a parameter": lambda tree, _: part_of(tree, *SCALER).pop("with_std"),
    "texts that take room": with_part(
        {"objects": ["x" * 4000] + [""] * 50_000, "unicode": True}, *NET, "feature_names_in_"
    ),
}


def named(tree):
    """Arrays that a tree names."""
    if isinstance(tree, list):
        return set().union(*map(named, tree))
    if not isinstance(tree, dict):
        return set()
    own = {str(tree[key]) for key in ("array", "columns") if key in tree}
    return own.union(*map(named, tree.values()))


@pytest.mark.parametrize("kind", FORGED)
def test_forged_contents_are_refused(kind, saved, tmp_path):
    tree, arrays, _ = taken_apart(saved)
    FORGED[kind](tree, arrays)
    if kind != "an array too many":  # let nothing else be wrong
        arrays = {name: array for name, array in arrays.items() if name in named(tree)}
    (tmp_path / "forged").write_bytes(forged(tree, arrays))
    with pytest.raises(ValueError, match="cannot be loaded: "):
        load(tmp_path / "forged")


def unsorted(surprise, arrays):
    name = surprise["sorted"]["array"]
    arrays[name] = arrays[name][::-1].copy()


def without_networks(surprise, _):
    if surprise["part"]["class"] == "Swaps":
        surprise["part"]["parts"]["nets"] = []


@pytest.mark.parametrize(
    ("change", "message"),
    [(unsorted, "not in ascending order"), (without_networks, "no network to tell swaps")],
)
def test_surprises_that_cannot_be_told_are_refused(change, message, tmp_path):
    path = tmp_path / "model"
    save(AnomalyDetector(contamination=0.1, random_state=0).fit(X[:, :4]), path)
    tree, arrays, _ = taken_apart(path.read_bytes())
    for surprise in part_of(tree, "parts", "model_", "parts", "others"):
        change(surprise["parts"], arrays)
    arrays = {name: array for name, array in arrays.items() if name in named(tree)}
    path.write_bytes(forged(tree, arrays))
    with pytest.raises(ValueError, match=f"cannot be loaded: .*{message}"):
        load(path)


INNER = make_pipeline(StandardScaler())
COLUMNS = make_pipeline(make_column_transformer((INNER, [0, 1, 2])), PCADetector())
AROUND = Threshold(estimator=make_pipeline(StandardScaler(), PCADetector()))


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (COLUMNS, (*SCALER, "transformers", 0, "tuple", 1, "parts")),
        (COLUMNS, (*SCALER, "transformers_", 0, "tuple", 1, "parts")),
        (AROUND, ("parts", "estimator", "parts")),
        (AROUND, ("parts", "estimator_", "parts")),
    ],
    ids=["columns", "fitted columns", "estimator", "fitted estimator"],
)
def test_a_memory_of_pickles_is_refused_wherever_it_is(model, place, tmp_path):
    path = tmp_path / "model"
    save(clone(model).fit(X), path)
    tree, arrays, _ = taken_apart(path.read_bytes())
    within = part_of(tree, *place)
    assert within["memory"] is None
    within["memory"] = "folder"
    path.write_bytes(forged(tree, arrays))
    with pytest.raises(ValueError, match="cannot be loaded: its Pipeline has a memory"):
        load(path)


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    names = pd.DataFrame({"name": [f"customer-number-{i:08d}" for i in range(200_000)]})
    encoder = OrdinalEncoder().fit(names)
    with pytest.raises(ValueError, match="OrdinalEncoder takes .* bytes to describe"):
        save(encoder, tmp_path / "model")
    wide = OrdinalEncoder().fit(np.array([["x" * 4000]] + [[str(i)] for i in range(5000)]))
    with pytest.raises(ValueError, match=r"categories_\[0\] takes .* bytes"):
        save(wide, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def header_of(text, data=b""):
    return len(text).to_bytes(8, "little") + text + data


class Runs:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


TORN = {
    "nothing": lambda _: b"",
    "a few bytes": lambda data: data[:5],
    "a header only": lambda data: data[:200],
    "all but the end": lambda data: data[:-1],
    "more at the end": lambda data: data + b"0",
    "a pickle": lambda _: pickle.dumps(Runs()),
    "a header of text": lambda _: header_of(b"x" * 100),
    "a header of bytes": lambda _: header_of(b"\xff" * 100),
    "a huge header": lambda data: (2**62).to_bytes(8, "little") + data[8:],
    "no header": lambda data: (0).to_bytes(8, "little") + data[8:],
    "others' tensors": lambda _: safetensors.save({"a": np.zeros(3)}),
    "a list": lambda _: header_of(b"[]"),
    "names twice": lambda _: header_of(b'{"__metadata__": {"estimator": "", "estimator": ""}}'),
    "a deep header": lambda _: header_of(b"[" * 100_000),
    "a deep tree": lambda _: forged("[" * 100_000, {}),
    "a newer format": lambda _: forged("1", {}, format="2"),
    "no digest": lambda _: forged("1", {}, sha256=""),
    "a number": lambda _: forged("1", {}),
    "not a number": lambda _: forged("NaN", {}),
    "huge shapes": lambda _: header_of(
        b'{"__metadata__": {"format": "1", "estimator": "1", "sha256": ""}, "0": '
        b'{"dtype": "F64", "shape": [1000000000000], "data_offsets": [0, 8000000000000]}}'
    ),
    "negative shapes": lambda _: header_of(
        b'{"__metadata__": {"format": "1", "estimator": "1", "sha256": ""}, "0": '
        b'{"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}}',
        bytes(8),
    ),
}


@pytest.mark.parametrize("kind", TORN)
def test_other_files_are_refused(kind, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("torn").write_bytes(TORN[kind](saved))
    with pytest.raises(ValueError, match="torn cannot be loaded: "):
        load("torn")
    assert not Path("was-run").exists()


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere")


def test_a_flipped_bit_is_seen_or_changes_nothing(saved, tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "flipped"
    path.write_bytes(saved)
    expected = load(path).score_samples(NEW[1:2])
    for place in rng.integers(len(saved) * 8, size=300):
        flipped = bytearray(saved)
        flipped[place // 8] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        with contextlib.suppress(ValueError):
            found = load(path)
            np.testing.assert_array_equal(found.score_samples(NEW[1:2]), expected)


HOSTILE = """
import resource, sys
import aedetect
aedetect.load, aedetect.Autoencoder
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        aedetect.load(path)
    except ValueError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="resource is of POSIX")
def test_hostile_files_take_little_memory(saved, tmp_path):
    paths = []
    for kind, change in FORGED.items():
        tree, arrays, _ = taken_apart(saved)
        change(tree, arrays)
        paths.append(tmp_path / kind.replace(" ", "-"))
        paths[-1].write_bytes(forged(tree, arrays))
    for kind, torn in TORN.items():
        paths.append(tmp_path / f"torn-{kind.replace(' ', '-')}")
        paths[-1].write_bytes(torn(saved))
    many = forged(json.dumps([[]] * 900_000), {})
    paths.append(tmp_path / "many")
    paths[-1].write_bytes(many)
    paths.append(tmp_path / "zeros")
    paths[-1].touch()
    os.truncate(paths[-1], 2**30)
    child = [sys.executable, "-c", HOSTILE, *map(str, paths)]
    result = subprocess.run(child, capture_output=True, text=True, check=True)
    assert float(result.stdout) < 200  # MiB


def test_files_of_the_first_format_load():
    here = Path(__file__).parent
    recorded = json.loads((here / "format1.json").read_text())
    model = load(here / "format1.safetensors")
    scores = model.score_samples(np.array(recorded["rows"]))
    np.testing.assert_allclose(scores, recorded["scores"], rtol=1e-5)


def test_an_interrupted_save_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save(PCADetector().fit(X), path)
    before = path.read_bytes()

    def fail(self, _):
        self.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "write_bytes", fail)
    with pytest.raises(KeyboardInterrupt):
        save(PCADetector(latent_dim=3).fit(X), path)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert path.read_bytes() == before
