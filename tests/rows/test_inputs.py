"""What may come in as rows, and the sentence for whoever gives something else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from estimators import OBJECTIVES, assert_same_scores, name_of, networks
from scipy.sparse import coo_array, csr_array, csr_matrix
from sklearn.base import clone
from torch.utils.data import DataLoader, TensorDataset

from aedetect import (
    Autoencoder,
    AutoencoderEnsemble,
    Conv1d,
    Conv2d,
    DenoisingAutoencoder,
    Dense,
    KernelAutoencoder,
    PCADetector,
    RobustCore,
    Tied,
    VariationalAutoencoder,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:The network did not learn"),
    pytest.mark.filterwarnings("ignore:All .* units of the code are silent"),
    pytest.mark.filterwarnings("ignore:The posterior has collapsed"),
    pytest.mark.filterwarnings("ignore:X has feature names, but PCADetector"),
]

A = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
TABLE = pd.DataFrame(A, columns=list("abcd"))
DAYS = pd.date_range("2020-01-01", periods=50)


class LazyFrame:
    """As polars has one: columns, and rows only once they are collected."""

    columns = ("a", "b")

    def collect(self):
        return TABLE


REFUSED = {
    "two columns of one name": (TABLE.set_axis(list("abca"), axis=1), "columns named 'a'; rename"),
    "a column of dates": (TABLE.assign(t=DAYS), "Column 't' of X holds times .* Leave times out"),
    "dates alone": (pd.DataFrame({"t": DAYS, "u": DAYS}), "Column 't' of X holds times"),
    "periods": (TABLE.assign(t=DAYS.to_period()), "Column 't' of X holds times"),
    "durations": (TABLE.assign(t=DAYS - DAYS[0]), "Column 't' of X holds times"),
    "an array of dates": (np.array([DAYS, DAYS]).T, "X holds times"),
    "a column of text": (TABLE.assign(s="x"), "Column 's' of X is not numeric .* OneHotEncoder"),
    "an array of text": (np.array([["1", "2"], ["3", "b"]]), "Column 1 of X holds text, 'b'"),
    "a mixed array": (np.array([[1, "x"], [2, "y"]], object), "Column 1 of X holds text, 'x'"),
    "dates among objects": (TABLE.assign(t=DAYS.date), "Column 't' of X holds times .*Leave"),
    "an array with dates": (
        np.array([[1.0, DAYS[0]], [2.0, DAYS[1]]], object),
        "Column 1 of X holds times",
    ),
    "times of arrow": (pa.table({"a": A[:, 0], "t": DAYS}), "Column 't' of X holds times"),
    "text of arrow": (pa.table({"a": A[:, 0], "s": ["x"] * 50}), "Column 's' of X is not numeric"),
    "rows of complex numbers": (list(map(list, A + 1j)), "Complex data not supported.*np.hstack"),
    "complex numbers": (A + 1j, "Complex data not supported.*np.hstack"),
    "a complex tensor": (torch.tensor(A + 1j), "Complex data not supported"),
    "a generator": ((row for row in A), r"X is a generator.*np.array\(list\(X\)\)"),
    "a loader": (DataLoader(TensorDataset(torch.tensor(A))), "X is a DataLoader; expected all"),
    "a data set": (TensorDataset(torch.tensor(A)), "X is a TensorDataset; expected all rows"),
    "a path": ("table.csv", "X is a str; expected a table, such as pandas.read_csv"),
    "a single column": (TABLE["a"], "(Expected|Pass a DataFrame|container)"),
    "a set": ({1, 2}, "X is a set; expected rows of numbers"),
    "a function": (len, "X is a builtin_function_or_method; expected rows of numbers"),
    "records": (TABLE.to_records(), r"X is a recarray; expected a table, such as pandas.DataFrame"),
    "nothing": (None, "X is a NoneType; expected a table"),
    "a dictionary": ({"a": [1, 2]}, r"X is a dict; expected a table, such as pandas.DataFrame\(X"),
    "a query": (LazyFrame(), r"X is a LazyFrame; expected the rows that X.collect\(\) reads"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_holds_no_numbers_is_refused_in_a_sentence(kind):
    X, message = REFUSED[kind]
    for estimator in (PCADetector(), RobustCore()):
        with pytest.raises((TypeError, ValueError), match=message):
            estimator.fit(X)
    fitted = PCADetector().fit(A)
    with pytest.raises((TypeError, ValueError)):
        fitted.predict(X)


ACCEPTED = {
    "sparse array": csr_array(A),
    "sparse matrix": csr_matrix(A),
    "coordinates": coo_array(A),
    "tensor": torch.tensor(A),
    "sparse tensor": torch.tensor(A).to_sparse(),
    "tensor of a graph": torch.tensor(A, requires_grad=True),
    "lists": A.tolist(),
    "table of arrow": pa.table({name: TABLE[name] for name in TABLE}),
    "sparse table": TABLE.assign(a=TABLE["a"].astype(pd.SparseDtype(np.float32, 0))),
    "rows with a mask": list(np.ma.masked_array(A, np.zeros_like(A))),
    "table": TABLE,
}


@pytest.mark.parametrize("kind", ACCEPTED)
@pytest.mark.parametrize("model", [PCADetector(), Autoencoder(epochs=1), RobustCore()], ids=name_of)
def test_other_forms_of_the_same_numbers(kind, model):
    X, model = ACCEPTED[kind], clone(model)
    if isinstance(model, RobustCore):
        np.testing.assert_array_equal(model.fit(X).core_, clone(model).fit(A).core_)
        return
    model.set_params(**({"random_state": 0} if "random_state" in model.get_params() else {}))
    of_rows, of_others = clone(model).fit(A), model.fit(X)
    assert_same_scores(of_others.score_samples(X), of_rows.score_samples(A))
    for method in ("transform", "reconstruct", "score_features"):
        found, expected = (getattr(m, method)(x) for m, x in ((of_others, X), (of_rows, A)))
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_short_floats_are_read_as_they_are():
    X = torch.tensor(A).bfloat16()
    fitted = PCADetector().fit(X)
    assert_same_scores(fitted.score_samples(X), PCADetector().fit(X.float()).score_samples(X))


def test_masked_values_are_missing():
    X = np.ma.masked_greater(A.astype(float), 1)
    with_gaps = X.filled(np.nan)
    kept = ~np.isnan(with_gaps).all(axis=1)
    fitted = PCADetector().fit(X[kept])
    np.testing.assert_array_equal(
        fitted.score_samples(X[kept]), PCADetector().fit(with_gaps[kept]).score_samples(X[kept])
    )


def test_in_a_list_of_rows_too():
    rows = list(np.ma.masked_greater(A.astype(float), 2))
    with_gaps = np.ma.filled(np.ma.stack(rows), np.nan)
    assert np.isnan(with_gaps).any()
    fitted, expected = (PCADetector().fit(X).score_samples(X) for X in (rows, with_gaps))
    np.testing.assert_array_equal(fitted, expected)


def test_a_dense_copy_is_what_travels():
    model = DenoisingAutoencoder(epochs=2, random_state=0).fit(csr_array(A))
    np.testing.assert_allclose(model.travel(csr_array(A)), model.travel(A), atol=1e-6)


@pytest.mark.parametrize(
    ("network", "rows", "shape"),
    [
        (Conv2d(shape=(28, 28, 1)), (6, 28, 28, 1), "1, 28, 28"),
        (Conv2d(shape=(32, 24, 3)), (6, 32, 24, 3), "3, 32, 24"),
        (Conv1d(shape=(140, 1)), (6, 140, 1), "1, 140"),
    ],
)
def test_a_shape_with_the_channels_last_is_refused(network, rows, shape, rng):
    with pytest.raises(ValueError, match=rf"the channels come first. Set shape=\({shape}\)"):
        Autoencoder(network=network, epochs=1).fit(rng.random(rows))


class ScoringOthers:
    """A callback that scores rows that are not learned from."""

    def __init__(self, rows):
        self.rows, self.scores = rows, []

    def setup(self, estimator, context):
        """Nothing is set up."""

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if fitted_estimator is not None:
            self.scores.append(fitted_estimator.score_samples(self.rows))


@pytest.mark.parametrize("score_method", ["elbo", "reconstruction_probability"])
def test_callbacks_score_rows_with_gaps_as_the_fitted_model_does(score_method):
    gappy = A.copy()
    gappy[::3, 1] = np.nan
    callback = ScoringOthers(gappy)
    model = VariationalAutoencoder(score_method=score_method, epochs=3, random_state=0)
    model.set_callbacks(callback).fit(A)
    assert np.isfinite(callback.scores).all()
    assert_same_scores(callback.scores[-1], model.score_samples(gappy))


def test_planning_a_stack_leaves_a_model_as_it_is():
    from aedetect.detectors.many import _bytes_of

    model = Autoencoder(warm_start=True, epochs=2, random_state=0).fit(A)
    before = {name: repr(value) for name, value in vars(model).items()}
    assert _bytes_of(model, A) > 0
    assert {name: repr(value) for name, value in vars(model).items()} == before


def test_the_range_of_a_loss_concerns_only_what_is_scored():
    X = np.random.default_rng(0).random((40, 6))
    noisy = X + 0.01 * np.sign(X - 0.5) + 0.5 * np.sign(X - 0.5) * (np.abs(X - 0.5) > 0.45)
    network = Dense(hidden=(4,), output_activation="sigmoid")
    model = Autoencoder(network=network, loss="binary_cross_entropy", epochs=2, random_state=0)
    model.fit(X)
    assert np.isfinite(model.transform(noisy)).all()
    assert np.isfinite(model.reconstruct(noisy)).all()
    for method in (model.fit, model.score_samples, model.score_features, model.predict):
        with pytest.raises(ValueError, match="takes values from 0 to 1"):
            method(noisy)


@pytest.mark.parametrize("ensemble", [False, True])
def test_what_has_no_error_is_not_taken_for_normal(ensemble):
    X = pd.DataFrame(np.random.default_rng(0).random((40, 3)), columns=["a", "b", "c"])
    network = Dense(hidden=(4,), output_activation="sigmoid")
    model = Autoencoder(network=network, loss="binary_cross_entropy", epochs=2, random_state=0)
    if ensemble:
        model = AutoencoderEnsemble(estimator=(Autoencoder(epochs=2), model), n_estimators=2)
    model.fit(X)
    far = X.assign(b=50.0)
    assert np.isfinite(model.transform(far)).all()
    for method in (model.fit, model.predict, model.score_samples, model.score_features):
        with pytest.raises(ValueError, match="column 'b' of X runs from 50 to 50"):
            method(far)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean")  # of a shape
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch 2.6's
@pytest.mark.parametrize("network", networks(64), ids=name_of)
@pytest.mark.parametrize("objective", OBJECTIVES[::2], ids=name_of)
def test_an_encoder_is_one_graph_also_for_rows_with_gaps(objective, network, digits):
    if isinstance(objective, VariationalAutoencoder) and isinstance(network, Tied):
        return
    X = digits[:40].astype(np.float32)
    X[::3, 20:30] = np.nan
    model = clone(objective).set_params(network=network, latent_dim=3, epochs=1, random_state=0)
    encoder, codes = model.fit(X).encoder_module().eval(), model.transform(X)
    rows = torch.from_numpy(X)
    graphs = [
        torch.jit.trace(encoder, rows[1:2]),
        torch.export.export(
            encoder, (rows[:5],), dynamic_shapes=({0: torch.export.Dim("n")},)
        ).module(),
    ]
    for graph in graphs:
        np.testing.assert_allclose(graph(rows).detach().numpy(), codes, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Guards may run slower")  # on Python 3.13.0
def test_an_encoder_compiles_without_a_break(digits):
    model = Autoencoder(epochs=1, random_state=0).fit(digits[:40].astype(np.float32))
    compiled = torch.compile(model.encoder_module(), fullgraph=True, backend="eager")
    rows = torch.from_numpy(digits[:7].astype(np.float32))
    torch.testing.assert_close(compiled(rows), model.encoder_module()(rows))


PLAIN, SPREAD = Autoencoder(epochs=1), VariationalAutoencoder(epochs=1)
CUBE = A.reshape(50, 2, 2)
ARGUMENTS = {
    "no sample": (PLAIN, lambda m: m.sample(0), "n_samples=0; expected an integer at least 1"),
    "half a sample": (PLAIN, lambda m: m.sample(2.5), "n_samples=2.5; expected an integer"),
    "less than none": (SPREAD, lambda m: m.sample(-1), "n_samples=-1; expected an integer"),
    "no path": (PLAIN, lambda m: m.interpolate(A[0], A[1], n=0), "n=0; expected an integer"),
    "steps of text": (
        PLAIN,
        lambda m: m.complete(A, learning_rate="x"),
        "learning_rate='x'; expected a number at least 0",
    ),
    "steps back": (PLAIN, lambda m: m.complete(A, n_steps=-1), "n_steps=-1; .* at least 0"),
    "no draws": (SPREAD, lambda m: m.log_likelihood(A, n_draws=0), "n_draws=0; expected an"),
    "a file": (PLAIN, lambda m: m.inverse_transform("codes.csv"), "Z is a str; expected a table"),
    "a long seed": (
        PLAIN,
        lambda m: m.sample(1, random_state=2**70),
        "random_state=.* of 64 bits",
    ),
    "a member's network": (
        PLAIN,
        lambda m: AutoencoderEnsemble(estimator=m.set_params(network=3)).fit(A),
        "network=3; expected Network or a tuple",
    ),
    "no sides": (
        PLAIN,
        lambda m: m.set_params(network=Conv2d(shape=())).fit(CUBE),
        r"Conv2d\(shape=\(\)\); expected channels and 2 side",
    ),
}


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_arguments_are_refused_by_name(argument):
    model, call, message = ARGUMENTS[argument]
    fitted = clone(model).fit(A)
    with pytest.raises((TypeError, ValueError), match=message):
        call(fitted)


def test_a_core_needs_no_ridge_where_columns_are_copies():
    core = RobustCore(trim=0.2, ridge=1e-300).fit(np.c_[A, A]).core_
    assert core.sum() == 40


def test_a_network_that_overflows_says_so_in_finite_numbers():
    model = VariationalAutoencoder(score_method="elbo", epochs=1, random_state=0).fit(A)
    weights = {name: 1e14 * weight for name, weight in model.weights_.items()}
    model.model_ = replace(model.model_, weights=weights)
    assert not np.isfinite(model.model_.codes(A)).all()
    assert np.isfinite(model.log_likelihood(A, random_state=0)).all()
    assert np.isfinite(model.score_samples(A)).all()


def test_rows_of_a_kernel_may_be_sparse():
    np.testing.assert_allclose(
        KernelAutoencoder().fit(csr_array(A)).score_samples(csr_array(A[:5])),
        KernelAutoencoder().fit(A).score_samples(A[:5]),
    )
