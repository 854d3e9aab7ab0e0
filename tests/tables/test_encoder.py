"""Tables of all sorts as rows of numbers, and back."""

import warnings
from datetime import timedelta, timezone

import numpy as np
import pandas as pd
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

import aedetect
from aedetect import Autoencoder, TableEncoder, make_detector
from aedetect.tables.cells import as_numbers, as_times, time_format
from aedetect.tables.columns import Category, Number, Time

N = 200


@pytest.fixture
def table(rng):
    colour = rng.choice(["red", "blue", "grey", "pink"], N, p=[0.4, 0.3, 0.2, 0.1])
    return pd.DataFrame(
        {
            "weight": np.where(colour == "red", 9, 3) + rng.normal(size=N),
            "price": [f"${1000 * x:,.2f}" for x in rng.random(N) + 1],
            "share": [f"{x:.0f} %" for x in 100 * rng.random(N)],
            "colour": colour,
            "new": rng.random(N) < 0.5,
            "when": pd.Timestamp("2024-02-01") + pd.to_timedelta(rng.random(N) * 1e6, unit="s"),
        }
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.5", 1234.5), ("5 %", 5), ("$3", 3), ("€ 3", 3), ("3 €", 3), ("-1e-3", -1e-3),
        ("+7", 7), (" 8 ", 8), ("1,000,000", 1e6), ("9" * 400, np.inf),
        ("-$3", -3), ("$-3", -3), ("+£ 3", 3), ("-$1,234.5", -1234.5),
    ],
)  # fmt: skip
def test_numbers_in_text(text, number):
    found, wrong = as_numbers(pd.Series([text]))
    assert found[0] == number
    assert not wrong.any()


@pytest.mark.parametrize("text", ["", "?", "NA", "N/A", "nan", "null", "None", "-", " "])
def test_missing_in_text(text):
    found, wrong = as_numbers(pd.Series([text, "1"]))
    assert np.isnan(found[0])
    assert not wrong.any()


@pytest.mark.parametrize(
    "text", ["1,23", "abc", "1.2.3", "1 2", "0x10", "12:30", "-$-3", "--$3", "$"]
)
def test_text_that_is_no_number(text):
    assert as_numbers(pd.Series([text]))[1].all()


@given(st.floats(-1e9, 1e9).map(lambda x: round(x, 3)))
def test_decimal_commas(number):
    text = f"{number:,.3f}".replace(",", " ").replace(".", ",").replace(" ", ".")
    assert as_numbers(pd.Series([text]), decimal=",")[0][0] == number


def test_points_between_thousands_where_the_comma_is_decimal():
    texts = ["1.234,5", "1.234", "-12.345.678", "0.5", "0.125", "1.5", "1.234 €", "1.234e2"]
    found, wrong = as_numbers(pd.Series([*texts, 1.234, None], dtype=object), decimal=",")
    expected = [1234.5, 1234, -12345678, 0.5, 0.125, 1.5, 1234, 123400, 1.234, np.nan]
    np.testing.assert_array_equal(found, expected)
    assert not wrong.any()


def test_dates_that_may_have_the_month_first_are_warned_of():
    days = pd.Series(pd.date_range("2025-03-01", periods=12).strftime("%m/%d/%Y"))
    with pytest.warns(UserWarning, match=r"'at': dates such as '03/01/2025' are read with the day"):
        TableEncoder(keep=("at",)).fit(pd.DataFrame({"at": days}))
    days = pd.Series(pd.date_range("2025-03-01", periods=12).strftime("%d.%m.%Y"))
    TableEncoder(keep=("at",)).fit(pd.DataFrame({"at": days}))
    for sure in ("%m/%d/%Y", "%d/%m/%Y"):  # some days exceed 12
        days = pd.Series(pd.date_range("2025-03-01", periods=40).strftime(sure))
        TableEncoder(keep=("at",)).fit(pd.DataFrame({"at": days}))


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y", "%b %d, %Y"]
)
def test_times_in_text(form, rng):
    times = pd.Series(pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 700, 90), "D"))
    texts = times.dt.strftime(form)
    found = as_times(texts, time_format(texts))
    np.testing.assert_array_equal(found, (times - pd.Timestamp(0)) / pd.Timedelta(days=1))


NEWER = pd.__version__ >= "3"  # older versions read no such text


@pytest.mark.parametrize("kind", ["datetime64[s]", *(["text"] if NEWER else [])])
@pytest.mark.parametrize("far", ["9999-12-31", "0001-01-02"])
def test_times_may_be_of_any_year(far, kind, rng):
    near = np.datetime64("2024-01-01", "s") + rng.integers(0, 10**7, 60)
    times = pd.Series(np.append(near, np.array([far, "NaT"], "M8[s]")))
    cells = times if kind != "text" else times.dt.strftime("%Y-%m-%dT%H:%M:%S")
    table = pd.DataFrame({"when": cells, "x": rng.normal(size=62)})
    encoder = TableEncoder().fit(table)
    assert [type(column) for column in encoder.columns_] == [Time, Number]
    rows = encoder.transform(table)
    expected = (times.to_numpy() - np.datetime64(0, "s")) / np.timedelta64(86400, "s")
    np.testing.assert_array_equal(rows[:, 0], expected)
    for told in (encoder.inverse_transform(rows), encoder.values(table)):
        np.testing.assert_array_equal(told["when"].to_numpy("M8[s]"), times.to_numpy())
    beyond = encoder.inverse_transform(rows * 1e12)["when"]  # what a network may make of it
    assert beyond.notna().equals(times.notna())


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "UTC-03:30"])
@pytest.mark.parametrize("as_text", [False, True])
def test_times_are_told_in_the_zone_of_the_table(as_text, zone, rng, tmp_path):
    seconds = pd.to_timedelta(rng.integers(0, 10**6, 60), unit="s")
    times = pd.Series(pd.Timestamp("2024-01-02", tz=zone) + seconds)
    times[3] = pd.NaT
    cells = times.map(pd.Timestamp.isoformat, na_action="ignore") if as_text else times
    table = pd.DataFrame({"when": cells, "x": rng.normal(size=60)})
    encoder = TableEncoder().fit(table)
    aedetect.save(encoder, tmp_path / "encoder")
    for read in (encoder, aedetect.load(tmp_path / "encoder")):
        for told in (read.inverse_transform(read.transform(table)), read.values(table)):
            found = [cell if cell is pd.NaT else cell.isoformat() for cell in told["when"]]
            assert found == [cell if cell is pd.NaT else cell.isoformat() for cell in times]


def test_times_in_a_zone_that_is_not_known_by_its_name_are_told_in_utc(rng):
    zone = timezone(timedelta(hours=1), "ours")
    times = pd.Series(pd.date_range("2024-01-02", periods=20, tz=zone)[rng.permutation(20)])
    table = pd.DataFrame({"when": times, "x": rng.normal(size=20)})
    told = TableEncoder().fit(table).values(table)["when"]
    assert [str(time.tz) for time in told] == ["UTC"] * 20
    assert list(told) == list(times)


def test_each_column_is_read_as_what_it_holds(table):
    encoder = TableEncoder().fit(table)
    kinds = {column.name: type(column) for column in encoder.columns_}
    assert kinds == {
        "weight": Number, "price": Number, "share": Number, "colour": Category, "new": Category,
        "when": Time,
    }  # fmt: skip
    rows = encoder.transform(table)
    names = encoder.get_feature_names_out()
    assert rows.shape == (N, len(names))
    found = pd.DataFrame(rows, columns=names)
    assert found["price"].between(1000, 2000).all()
    np.testing.assert_array_equal(found["colour = red"], table["colour"] == "red")
    shares = table["colour"].map(table["colour"].value_counts())
    np.testing.assert_allclose(found["colour rarity"], -np.log((shares + 0.5) / (N + 0.5)))
    hours = table["when"].dt.hour + table["when"].dt.minute / 60
    assert np.abs(found["when hour sin"] - np.sin(2 * np.pi * hours / 24)).max() < 0.01


def test_rows_come_back(table):
    encoder = TableEncoder().fit(table)
    back = encoder.inverse_transform(encoder.transform(table))
    for name in ("colour", "new"):
        assert (back[name] == table[name].astype(str)).all()
    np.testing.assert_array_equal(back["weight"], table["weight"])
    assert (back["when"] - table["when"]).abs().max() < pd.Timedelta(seconds=2)


def test_other_forms_of_a_table_are_the_same_table(table):
    expected = TableEncoder().fit(table).transform(table)
    forms = [
        table.convert_dtypes(),
        table.astype({"colour": "category"}),
        table.astype(object),
        table.iloc[:, ::-1].assign(another=1),
        table.astype({"weight": str, "when": str}),
    ]
    encoder = TableEncoder().fit(table)
    for form in forms[:4]:
        np.testing.assert_allclose(encoder.transform(form), expected)
    texts = TableEncoder().fit(forms[4]).transform(forms[4])
    np.testing.assert_allclose(texts, expected)


def test_columns_are_found_by_name_and_missed_by_name(table):
    encoder = TableEncoder().fit(table)
    with pytest.raises(ValueError, match="'price' is missing"):
        encoder.transform(table.drop(columns="price"))
    with pytest.raises(ValueError, match="'weight' held numbers.*'heavy' in row 1"):
        encoder.transform(table.assign(weight="heavy"))
    with pytest.raises(ValueError, match="expecting 6 features"):
        encoder.transform(table.to_numpy()[:, :4])


def test_a_wrong_cell_is_missing_and_told_of(table):
    table.loc[3, "price"] = "a lot"
    with pytest.warns(UserWarning, match="'price': 1 cells are no numbers.*'a lot' in row 4"):
        encoder = TableEncoder().fit(table)
    rows = encoder.transform(table.iloc[:3])
    assert np.isfinite(rows).all()


def test_what_says_nothing_of_other_rows_is_left_out_with_a_notice(table, rng):
    odd = table.assign(
        id=rng.permutation(10 * np.arange(N)),
        code=[f"x{i}" for i in rng.permutation(N)],
        row=np.arange(N),
        time=pd.date_range("2024", periods=N, freq="h"),
        nothing=None,
        constant="a",
    )
    with pytest.warns(UserWarning, match="'id' has another whole number.*keep=") as told:
        encoder = TableEncoder().fit(odd)
    assert len(told) == 1
    assert set(encoder.left_out_) == {"id", "code", "row", "time", "nothing", "constant"}
    np.testing.assert_array_equal(encoder.transform(odd), TableEncoder().fit_transform(table))
    with pytest.warns(UserWarning, match="left out"):
        kept = TableEncoder(keep=("id", "time")).fit(odd)
    assert {"id", "time"} <= {column.name for column in kept.columns_}
    with pytest.raises(ValueError, match="no column 'ids'"):
        TableEncoder(keep=("ids",)).fit(table)
    with pytest.raises(ValueError, match="No column is left.*'nothing' is empty"):
        TableEncoder().fit(odd[["nothing", "constant"]])


def test_a_warning_that_is_an_error_leaves_the_encoder_as_it_was(table):
    encoder = TableEncoder().fit(table)
    expected = encoder.transform(table)
    with pytest.raises(UserWarning, match="Columns are left out"):
        encoder.fit(table.iloc[:, :1].assign(nothing=None))
    np.testing.assert_array_equal(encoder.transform(table), expected)


def test_repeated_names_and_sparse_rows_are_refused(table):
    with pytest.raises(ValueError, match="several columns named 'weight'"):
        TableEncoder().fit(pd.concat([table, table], axis=1))


def test_unseen_texts_are_surprising(table):
    detector = make_detector().fit(table)
    strange = table.assign(colour="octarine")
    usual = detector.score_samples(table)
    with pytest.warns(UserWarning, match="'colour' holds no text that was there"):
        scores = detector.score_samples(strange)
    assert (scores < np.quantile(usual, 0.05)).mean() > 0.8


@pytest.mark.parametrize("kind", [int, float, "Int8", "boolean", object, str])
@pytest.mark.parametrize("as_text", [False, True])
def test_booleans_may_be_written_as_0_and_1(as_text, kind, table):
    encoder = TableEncoder().fit(table)
    new = table["new"].astype(kind)
    other = table.assign(new=new.astype(str) if as_text else new)
    np.testing.assert_array_equal(encoder.transform(other), encoder.transform(table))
    back = encoder.inverse_transform(encoder.transform(other))
    assert (back["new"] == table["new"].astype(str)).all()


@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
def test_booleans_may_be_spelled_in_any_case(spelled, table):
    texts = table.assign(new=table["new"].astype(str).map(spelled))
    expected = TableEncoder().fit_transform(table)
    np.testing.assert_array_equal(TableEncoder().fit_transform(texts), expected)
    np.testing.assert_array_equal(TableEncoder().fit(table).transform(texts), expected)
    np.testing.assert_array_equal(TableEncoder().fit(texts).transform(table), expected)


def test_booleans_with_gaps_are_the_same_in_each_dtype(table):
    gappy = table["new"].astype(object).where(np.arange(N) % 5 > 0, None)
    encoder = TableEncoder().fit(table.assign(new=gappy))
    assert encoder.get_feature_names_out().tolist().count("new = (missing)") == 1
    rows = encoder.transform(table.assign(new=gappy))
    as_boolean = table.assign(new=gappy.astype("boolean"))
    np.testing.assert_array_equal(encoder.transform(as_boolean), rows)
    np.testing.assert_array_equal(TableEncoder().fit_transform(as_boolean), rows)


def test_a_column_of_unseen_texts_is_told_of(table):
    encoder = TableEncoder().fit(table)
    others = table.assign(colour="farbe")
    with pytest.warns(UserWarning, match="'colour' holds no text that was.*such as '"):
        encoder.transform(others)
    encoder.transform(pd.concat([others, table.head(1)]))
    encoder.transform(others.head(3))  # three strange rows


def test_times_that_were_none_as_text_have_the_year_first_as_text(table):
    days = pd.Timestamp("2024-01-01 12:30:00.5") + pd.to_timedelta(np.arange(N) % 200, unit="D")
    times = table.assign(day=pd.Series(days).sample(frac=1, random_state=0).to_numpy())
    encoder = TableEncoder().fit(times)
    expected = encoder.transform(times)
    times.loc[3, "day"] = pd.Timestamp("2024-03-04")  # and no fraction
    expected = encoder.transform(times)
    in_text = times.assign(day=times["day"].map(str))
    np.testing.assert_array_equal(encoder.transform(in_text), expected)
    for form in ("%d/%m/%Y", "%m/%d/%Y"):
        with pytest.raises(ValueError, match="'day' held times.* such as '"):
            encoder.transform(times.assign(day=times["day"].dt.strftime(form)))
    for form in ("%d %b %Y", "%d.%m.%Y", "%Y/%m/%d"):
        in_text = times.assign(day=times["day"].dt.strftime(form))
        days = times.assign(day=times["day"].dt.normalize())
        np.testing.assert_array_equal(encoder.transform(in_text), encoder.transform(days))


@pytest.mark.parametrize("dtype", ["date32[pyarrow]", "timestamp[us][pyarrow]", "datetime64[s]"])
def test_dates_of_arrow(dtype, table):
    pytest.importorskip("pyarrow")
    days = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N) % 99, unit="D"))
    of_arrow = days.dt.date.astype(dtype) if "date32" in dtype else days.astype(dtype)
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(table.assign(day=of_arrow)),
        TableEncoder().fit_transform(table.assign(day=days)),
    )


@pytest.mark.parametrize("dtype", ["timedelta64[s]", object, "duration[us][pyarrow]"])
def test_durations_are_seconds(dtype, table):
    pytest.importorskip("pyarrow")
    seconds = 3600.0 * (np.arange(N) % 7) + 5
    lasting = pd.Series(pd.to_timedelta(seconds, unit="s")).astype(dtype)
    lasting[2], seconds[2] = None, np.nan
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(table.assign(lasting=lasting)),
        TableEncoder().fit_transform(table.assign(lasting=seconds)),
    )


@pytest.mark.parametrize("cells", [[True, False], pd.to_timedelta([60, 120], unit="s")])
def test_categories_are_what_they_hold(cells, table):
    plain = table.assign(kept=pd.Series(cells).repeat(N // 2).to_numpy())
    categories = plain.assign(kept=plain["kept"].astype("category"))
    encoder = TableEncoder().fit(plain)
    np.testing.assert_array_equal(
        TableEncoder().fit_transform(categories), encoder.transform(plain)
    )
    np.testing.assert_array_equal(encoder.transform(categories), encoder.transform(plain))


@pytest.mark.parametrize("codes", [["EUR7", "GBP101"], ["1EUR", "2EUR"], ["1 EUR", "2 JPY"]])
def test_codes_and_amounts_in_several_currencies_are_texts(codes, table):
    encoder = TableEncoder().fit(table.assign(code=np.resize(codes, N)))
    assert f"code = {codes[1]}" in encoder.get_feature_names_out().tolist()


def test_an_amount_in_another_currency_is_told_of(table):
    encoder = TableEncoder().fit(table)
    table.loc[3, "price"] = "€3"
    with pytest.warns(UserWarning, match="'price': 1 cells are no numbers .*'€3' in row 4"):
        rows = encoder.transform(table)
    assert np.flatnonzero(np.isnan(rows).any(axis=1)).tolist() == [3]


def test_columns_without_names_are_found_by_place(table):
    rows = table[["weight"]].assign(twice=2 * table["weight"])
    encoder = TableEncoder().fit(rows.to_numpy())
    np.testing.assert_array_equal(encoder.transform(rows), rows)


@pytest.mark.parametrize("size", [1e120, 1e300])
def test_numbers_beyond_all_are_no_keys(size, table, rng):
    with pytest.warns(UserWarning, match="are no numbers up to 1e[+]100 and count as missing"):
        encoder = TableEncoder().fit(table.assign(huge=size * rng.standard_normal(N)))
    assert "huge" not in encoder.left_out_


def test_gaps_are_no_surprise(table, rng):
    gappy = table.mask(rng.random(table.shape) < 0.1)
    detector = make_detector(Autoencoder(epochs=5, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        detector.fit(gappy)
    assert np.isfinite(detector.score_samples(gappy)).all()


@pytest.mark.parametrize(
    ("estimator", "least"), [(None, 0.97), (IsolationForest(random_state=0), 0.75)]
)
def test_odd_rows_of_a_mixed_table_are_found(table, estimator, least):
    odd = table.head(50).assign(colour="red", weight=0.0, price="$4,000")
    detector = make_detector(estimator).fit(table)
    scores = np.r_[detector.score_samples(table), detector.score_samples(odd)]
    assert roc_auc_score(np.repeat([0, 1], [N, 50]), -scores) > least


def test_tables_of_polars(table):
    encoder = TableEncoder().fit(table)
    np.testing.assert_allclose(
        encoder.transform(polars.from_pandas(table)), encoder.transform(table)
    )
    detector = make_detector().fit(polars.from_pandas(table))
    assert detector.predict(polars.from_pandas(table)).shape == (N,)


def test_files_hold_encoders(table, tmp_path):
    detector = make_detector().fit(table)
    aedetect.save(detector, tmp_path / "model")
    loaded = aedetect.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_samples(table), detector.score_samples(table))
    assert clone(loaded).fit(table).predict(table).shape == (N,)
