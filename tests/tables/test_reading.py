"""Files of tables, as they come."""

import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aedetect import TableEncoder
from aedetect.tables.reading import Reading, read_parts, read_table, standard_input


@pytest.fixture
def table(rng):
    n = 60
    return pd.DataFrame(
        {
            "height": rng.normal(1.7, 0.1, n).round(3),
            "count": rng.integers(0, 5, n),
            "name": rng.choice(["Änne", "Bo; or not", "x,y"], n),
        }
    )


def numbers(frame):
    return TableEncoder().fit_transform(frame)


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_how_a_file_is_written_is_noticed(sep, encoding, decimal, table, tmp_path):
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False, sep=sep, encoding=encoding, decimal=decimal)
    frame = read_table(path)
    assert list(frame.columns) == list(table.columns)
    if sep == decimal == ",":
        return  # a decimal comma between commas may be a thousands separator
    np.testing.assert_array_equal(numbers(frame), numbers(table))
    notes = " ".join(frame.attrs["notes"])
    assert ("decimal comma" in notes) == (decimal == ",")
    assert ("Windows-1252" in notes) == (encoding == "cp1252")


@settings(deadline=None, max_examples=50)
@given(
    cells=st.lists(
        st.tuples(st.floats(-1e6, 1e6), st.text(st.characters(codec="utf-8"), max_size=8)),
        min_size=2,
        max_size=9,
    ),
    sep=st.sampled_from(",;\t|"),
)
def test_cells_are_what_was_written(cells, sep, tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "table.csv"
    cells = [(x, text.replace("\0", "").replace("\r", "").strip()) for x, text in cells]
    frame = pd.DataFrame(cells, columns=["number", "text"])
    frame.to_csv(path, index=False, sep=sep, encoding="utf-8")
    read = read_table(path, delimiter=sep, header=True, encoding="utf-8")
    assert read["text"].fillna("").tolist() == frame["text"].tolist()
    np.testing.assert_array_equal(read["number"].astype(float), frame["number"])


def test_a_first_line_of_numbers_is_no_header(table, tmp_path):
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False, header=False)
    frame = read_table(path)
    assert len(frame) == len(table)
    assert list(frame.columns) == ["column_1", "column_2", "column_3"]
    assert "no header; columns are called column_1 to column_3" in frame.attrs["notes"][0]
    assert len(read_table(path, header=True)) == len(table) - 1
    years = pd.DataFrame(np.ones((3, 2)), columns=["2023", "2024"])
    years.to_csv(path, index=False)
    assert list(read_table(path, header=True).columns) == ["2023", "2024"]
    table.to_csv(path, index=False)
    assert len(read_table(path, header=False)) == len(table) + 1


@pytest.mark.parametrize("first", ["1,2,", "1,2,NA", "?,2,3", "gone,2,3", "NA,,NA", "2,-,None"])
@pytest.mark.parametrize("last", ["6,7,8", "NA,gone,"])
def test_gaps_in_a_first_line_of_numbers_make_it_no_header(first, last, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(f"{first}\n3,4,5\n{last}\n")
    frame = read_table(path, na_values=("gone",))
    assert list(frame.columns) == ["column_1", "column_2", "column_3"]
    assert len(frame) == 3


@pytest.mark.parametrize("names", ["a,b,", "NA,EU,US", ",0,1", ",a,b", "x,?,y"])
def test_names_are_a_header_also_with_gaps(names, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(f"{names}\n3,4,5\n6,7,8\n")
    assert len(read_table(path)) == 2


@pytest.mark.parametrize("suffix", [".xlsx", ".feather", ".parquet", ".csv.gz", ".txt"])
def test_other_files(suffix, table, tmp_path):
    path = tmp_path / f"table{suffix}"
    if suffix == ".xlsx":
        table.to_excel(path, index=False)
    elif suffix == ".feather":
        table.to_feather(path)
    elif suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    np.testing.assert_array_equal(numbers(read_table(path)), numbers(table))


def test_excel_is_read_as_text_files_are(tmp_path):
    path = tmp_path / "table.xlsx"
    cells = pd.DataFrame([["a", "b", "a"], [1, -999, 3], [4, 5, "gone"], [7, 8.5, 9]])
    cells.to_excel(path, header=False, index=False)
    with pytest.raises(ValueError, match="several columns named 'a'; rename"):
        read_table(path)
    cells.iloc[1:].to_excel(path, header=False, index=False)
    for header in (None, False):
        frame = read_table(path, header=header, na_values=("-999", "gone"))
        assert "no header; columns are called column_1 to column_3" in frame.attrs["notes"][0]
        assert list(frame.columns) == ["column_1", "column_2", "column_3"]
        np.testing.assert_array_equal(frame, [[1, np.nan, 3], [4, 5, np.nan], [7, 8.5, 9]])
    assert list(read_table(path, header=True).columns) == ["1", "-999", "3"]
    cells.iloc[:, :2].to_excel(path, header=False, index=False)
    assert list(read_table(path).columns) == ["a", "b"]


def test_blank_rows_above_an_excel_table_are_none_of_it(table, tmp_path):
    path = tmp_path / "table.xlsx"
    table.to_excel(path, index=False, startrow=2)
    assert list(read_table(path).columns) == list(table.columns)
    np.testing.assert_array_equal(numbers(read_table(path)), numbers(table))


@pytest.mark.parametrize("sep", [";", "\t"])
@pytest.mark.parametrize("written", ["{} €", "€ {}", "{} EUR", "{}€", "{} %"])
def test_a_decimal_comma_may_have_a_unit(written, sep, tmp_path):
    path = tmp_path / "table.csv"
    prices = [f"{x:.2f}".replace(".", ",") for x in np.linspace(1, 99, 40)]
    pd.DataFrame({"n": np.arange(40) % 7, "price": map(written.format, prices)}).to_csv(
        path, index=False, sep=sep
    )
    np.testing.assert_allclose(numbers(read_table(path))[:, 1], np.linspace(1, 99, 40), atol=0.005)


@pytest.mark.parametrize(
    ("sep", "cells", "expected"),
    [
        ("\t", ["987", "1,234", "1,234,567", "2,500"], [987, 1234, 1234567, 2500]),
        (";", ["987", "1,234", "1,234,567", "2,500"], [987, 1234, 1234567, 2500]),
        ("\t", ["987", "1,234", "2,500"], [987, 1234, 2500]),
        ("\t", ["987", "1,234", "2,5"], [987, 1.234, 2.5]),
        ("\t", ["0,850", "1,234", "66,613"], [0.85, 1.234, 66.613]),
        (";", ["98,7", "2,5", "1,234,567", "1,234.5"], [98.7, 2.5, 1234567, 1234.5]),
        (";", ["987", "1,234", "2,500"], [987, 1.234, 2.5]),
    ],
)
def test_commas_are_before_decimals_or_between_thousands(sep, cells, expected, tmp_path):
    path = tmp_path / "table.csv"
    rows = "".join(f"{'ab'[i % 2]}{sep}{cell}\n" for i, cell in enumerate(cells))
    path.write_text(f"name{sep}price\n{rows}")
    encoded = TableEncoder().fit(read_table(path))
    price = encoded.get_feature_names_out().tolist().index("price")
    np.testing.assert_allclose(encoded.transform(read_table(path))[:, price], expected)


@pytest.mark.parametrize(("suffix", "module"), [(".xlsx", "openpyxl"), (".parquet", "pyarrow")])
def test_what_to_install_is_named(suffix, module, table, tmp_path, monkeypatch):
    path = tmp_path / f"table{suffix}"
    table.to_excel(path) if suffix == ".xlsx" else table.to_parquet(path)
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, f"{module}.parquet", None)
    with pytest.raises(ImportError, match=r"needs pip install 'aedetect\["):
        read_table(path)


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_standard_input(packed, table, monkeypatch):
    text = packed(table.to_csv(index=False).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    with standard_input() as copy:
        np.testing.assert_array_equal(numbers(read_table(copy)), numbers(table))
    assert not copy.parent.exists()


def test_texts_that_mean_a_gap(tmp_path):
    (tmp_path / "in.csv").write_text("a,b\n1,2\n-999,3\n?,4\n5,6\n")
    found = numbers(read_table(tmp_path / "in.csv", na_values=("-999",)))
    np.testing.assert_array_equal(found[:, 0], [1, np.nan, np.nan, 5])


ZEROS = pd.DataFrame(np.zeros((100_000, 2)), columns=["a", "b"])
LONG = [f"{i}" * 100_000 for i in range(2)] * 50
LARGE = {  # files of some kilobytes, and the least that is in them
    "zeros.feather": (ZEROS, 1_599_999),
    "zeros.xlsx": (ZEROS.head(3000), 100_000),
    "texts.parquet": (pd.DataFrame({"a": LONG, "b": 1.0}), 10_000_000),
    "lists.parquet": (pd.DataFrame({"a": [LONG[:10]] * 10, "b": 1.0}), 9_999_999),
    "categories.parquet": (pd.DataFrame({"a": pd.Categorical(LONG), "b": 1.0}), 200_000),
    "categories.feather": (pd.DataFrame({"a": pd.Categorical(LONG), "b": 1.0}), 200_000),
}


@pytest.mark.parametrize("name", LARGE)
def test_tables_that_unpack_to_much_are_refused(name, tmp_path):
    frame, size = LARGE[name]
    kind = Path(name).suffix
    write = {".feather": frame.to_feather, ".parquet": frame.to_parquet}.get(kind)
    write(tmp_path / name) if write else frame.to_excel(tmp_path / name, index=False)
    assert (tmp_path / name).stat().st_size < size / 2
    with pytest.raises(ValueError, match=f"{name} holds more than {size:,} bytes"):
        read_table(tmp_path / name, max_bytes=size)
    read = read_table(tmp_path / name, max_bytes=3 * size)
    pd.testing.assert_frame_equal(read, frame, check_dtype=False)


@pytest.mark.parametrize("index", [["when"], ["when", "name"], [None]])
def test_an_index_that_was_saved_is_a_column(index, table, tmp_path):
    table = table.assign(when=pd.date_range("2024", periods=len(table), tz="Europe/Berlin"))
    saved = table.set_index("when").rename_axis(None) if index == [None] else table.set_index(index)
    saved.to_parquet(tmp_path / "table.parquet")
    names = ["__index_level_0__"] if index == [None] else index
    frame = read_table(tmp_path / "table.parquet")
    assert set(frame.columns) == {*saved.columns, *names}
    assert list(frame[names[0]]) == list(table["when"])
    (part,) = read_parts(tmp_path / "table.parquet", Reading(), 10**6)
    pd.testing.assert_frame_equal(part, frame)


def test_broken_files(tmp_path):
    for name, content, message in (
        ("a.xlsx", b"no", "cannot be read as Excel"),
        ("a.feather", b"no", "cannot be read as Feather"),
        ("a.csv", b"a,b\n1,2\n3,4,5\n", "cannot be read as delimited text"),
        ("b.csv", b"a\n1\n2\n", "one column, 'a'"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_table(tmp_path / name)


@pytest.mark.parametrize("learned", [".", ","])
def test_a_table_may_have_another_decimal_point_than_the_one_learned_from(learned, tmp_path, rng):
    table = pd.DataFrame(rng.normal(size=(50, 2)).round(3) + 1000, columns=["a", "b"])
    files = {}
    for decimal, sep in ((".", ","), (",", ";")):
        files[decimal] = tmp_path / f"{ord(decimal)}.csv"
        table.to_csv(files[decimal], index=False, sep=sep, decimal=decimal)
    other = files["," if learned == "." else "."]
    encoder = TableEncoder().fit(read_table(files[learned]))
    with pytest.warns(UserWarning, match="before their decimals"):
        found = encoder.transform(read_table(other))
    np.testing.assert_allclose(found, table)
