"""What is strange in a row, and what would make it normal, in the table's units."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    AnomalyDetector,
    Autoencoder,
    ConformalDetector,
    KernelAutoencoder,
    PCADetector,
    Quantile,
    Threshold,
    explain,
    make_detector,
    nearest_normal,
)
from aedetect.detectors.explain import explain_rows

DETECTORS = {
    "default": AnomalyDetector(random_state=0),
    "pca": make_pipeline(StandardScaler(), PCADetector()),
    "network": make_pipeline(StandardScaler(), Autoencoder(epochs=50, random_state=0)),
    "kernel": make_pipeline(StandardScaler(), KernelAutoencoder()),
}


@pytest.mark.filterwarnings("ignore:Rows .* stay flagged")  # some of the other rows
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS)
def test_the_change_suffices_and_none_of_it_is_needless(detector, named, rng):
    codes = rng.standard_normal((600, 2))
    X = codes @ rng.standard_normal((2, 6)) + 0.1 * rng.standard_normal((600, 6))
    new = X[500:].copy()
    new[:10, 1] += 8 * X[:, 1].std()
    new[10:20, [2, 4]] -= 8 * X[:, [2, 4]].std(axis=0)
    if named:
        X, new = (pd.DataFrame(rows, columns=list("abcdef")) for rows in (X, new))
    detector.fit(X[:500])
    flagged = detector.predict(new) == -1
    assert flagged[:20].all()
    changes = nearest_normal(detector, new)
    assert set(range(20)) <= set(changes["row"]) <= set(np.flatnonzero(flagged))
    names = ["b", "c", "e"] if named else ["x1", "x2", "x4"]
    told = changes[changes["row"] < 10].groupby("row")["column"].agg(list)
    assert (told.map(lambda columns: columns == names[:1])).mean() > 0.8
    told = changes[changes["row"].between(10, 19)].groupby("row")["column"].agg(set)
    assert (told.map(lambda columns: columns <= set(names[1:]))).mean() > 0.8

    def predicted(changes):
        cells = np.array(new, dtype=float)
        names = list("abcdef") if named else [f"x{i}" for i in range(6)]
        columns = pd.Index(names).get_indexer(changes["column"])
        cells[changes["row"], columns] = changes["normal"].astype(float)
        return detector.predict(pd.DataFrame(cells, columns=new.columns) if named else cells)

    assert (predicted(changes)[changes["row"]] == 1).all()
    alone = changes.groupby("row").filter(lambda lines: len(lines) == 1)
    without = changes.drop(alone.index)
    assert (predicted(without)[alone["row"]] == -1).all()


def test_changes_are_in_the_units_of_the_table(rng):
    kind = rng.choice(["car", "bike"], 400)
    table = pd.DataFrame(
        {
            "kind": kind,
            "weight": np.where(kind == "car", 1200.0, 12.0) * rng.uniform(0.9, 1.1, 400),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.random(400) * 1e6, unit="s"),
            "load": [f"{share:.1f} %" for share in rng.normal(50, 5, 400)],
        }
    )
    detector = make_detector(AnomalyDetector(random_state=0)).fit(table)
    new = table.head(4).copy()
    new.loc[0, "load"] = "99 %"
    new.loc[1, "when"] = pd.Timestamp("2034-01-01")
    new.loc[2, "kind"] = "boat"
    changes = nearest_normal(detector, new).set_index("row")
    assert changes.loc[0, "column"] == "load"
    assert (changes.loc[0, "observed"], 40 < changes.loc[0, "normal"] < 60) == (99.0, True)
    assert changes.loc[1, "normal"].year == 2024
    assert changes.loc[2, "observed"] == "boat"
    assert changes.loc[2, "normal"] in {"car", "bike"}
    assert 3 not in changes.index


FORMS = [np.array, np.ma.array, csr_array, torch.tensor, np.ndarray.tolist]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("table", [False, True])
def test_rows_that_are_scored_are_explained(table, form, rng):
    X = rng.standard_normal((200, 1)) * [1, 1, -1, 1] + 0.1 * rng.standard_normal((200, 4))
    X[3, 1] += 10
    learned = pd.DataFrame(X[100:], columns=list("abcd")) if table else X[100:]
    detector = PCADetector(latent_dim=1)
    detector = (make_detector(detector) if table else detector).fit(learned)
    rows = form(X)
    if table and form is csr_array:
        with pytest.raises(TypeError, match="takes dense tables"):
            explain(detector, rows)
        return
    told = explain(detector, rows, top=1)
    assert told["column"][3] == ("b" if table else "x1")
    assert told["observed"][3] == X[3, 1]
    np.testing.assert_array_equal(explain_rows(detector, rows)["score"], detector.score_samples(X))
    changes = nearest_normal(detector, rows)
    assert changes["observed"][changes["row"] == 3].tolist() == [X[3, 1]]


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_changes_do_not_depend_on_what_steps_put_out(output, rng):
    table = pd.DataFrame(rng.normal(size=(200, 4)), columns=list("abcd"))
    detector = make_detector(PCADetector(latent_dim=2, contamination=0.2))
    expected = nearest_normal(detector.fit(table), table)
    assert len(expected) >= 40
    named = detector.set_output(transform=output).fit(table)
    pd.testing.assert_frame_equal(nearest_normal(named, table), expected)


def test_text_that_says_numbers_is_told_as_numbers(rng):
    X = rng.normal(size=(200, 1)) * [1, 2, -1] + 0.1 * rng.normal(size=(200, 3))
    detector = PCADetector(latent_dim=1).fit(pd.DataFrame(X, columns=list("abc")))
    table = pd.DataFrame([[1.0, 20.0, -1.0], [1.0, -20.0, -1.0]], columns=list("abc"))
    text = table.astype(str)
    pd.testing.assert_frame_equal(explain(detector, text), explain(detector, table))
    pd.testing.assert_frame_equal(nearest_normal(detector, text), nearest_normal(detector, table))


def test_a_masked_value_is_a_missing_one(rng):
    X = rng.standard_normal((200, 1)) * [1, 1, -1, 1] + 0.1 * rng.standard_normal((200, 4))
    told = explain(PCADetector(latent_dim=1).fit(X), np.ma.masked_equal(X, X[3, 1]), top=4)
    told = told[told["row"] == 3].set_index("column")
    assert (told["direction"]["x1"], told["share"]["x1"]) == ("missing", 0)
    assert np.isnan(told["observed"]["x1"])


def test_rows_that_stay_flagged_are_named(rng):
    X = rng.standard_normal((200, 2))
    detector = PCADetector(latent_dim=1, contamination=0.1).fit(X)
    detector.offset_ = 0.0  # no error is as small as that
    with pytest.warns(UserWarning, match="Rows '0', '1' stay flagged"):
        assert nearest_normal(detector, X[:2]).empty


def test_wrappers_are_looked_through(rng):
    X = rng.normal(size=(300, 1)) * [1, 2, -1] + 0.1 * rng.normal(size=(300, 3))
    inner = make_pipeline(StandardScaler(), PCADetector(latent_dim=1)).fit(X)
    around = Threshold(estimator=inner, prefit=True, rule=Quantile(share=0.2)).fit(X)
    pd.testing.assert_frame_equal(explain(around, X[:5]), explain(inner, X[:5]))
    flagged = np.flatnonzero(around.predict(X) == -1)
    assert set(nearest_normal(around, X)["row"]) == set(flagged)  # by the wrapper's threshold


def test_a_threshold_on_p_values_is_none_on_scores(rng):
    X = rng.normal(size=(30, 3))
    detector = ConformalDetector(estimator=PCADetector(), method="jackknife+", alpha=0.1).fit(X)
    assert len(explain(detector, X[:2], top=1)) == 2
    with pytest.raises(TypeError, match="threshold on p-values"):
        nearest_normal(detector, X)


def test_where_no_row_is_flagged_nothing_has_to_change(rng):
    X = rng.normal(size=(100, 3))
    detector = make_detector(PCADetector()).fit(pd.DataFrame(X, columns=list("abc")))
    normal = X[detector.predict(pd.DataFrame(X, columns=list("abc"))) == 1]
    change = nearest_normal(detector, pd.DataFrame(normal, columns=list("abc")))
    assert change.shape == (0, 4)
