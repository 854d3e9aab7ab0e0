"""Scoring with a model from a shell: some rows at a time, shown to people and to programs."""

import csv
import errno
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.base import clone

from aedetect import (
    AnomalyDetector,
    ConformalDetector,
    PCADetector,
    Quantile,
    TableEncoder,
    Threshold,
    make_detector,
    save,
)
from aedetect.apps.cli import main
from aedetect.apps.show import show


def run(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Numbers, texts and times; there is more than one of each."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "kind": rng.choice(["car", "bike"], 400),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.random(400) * 1e6, unit="s"),
            "speed": rng.normal(50, 5, 400).round(1),
            "weight": rng.normal(100, 5, 400).round(1),
        }
    )
    path = tmp_path_factory.mktemp("mixed") / "mixed.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def scorer(mixed, tmp_path_factory):
    model = tmp_path_factory.mktemp("scorer") / "model.aedetect"
    run("fit", mixed, "--model", model, "--detector", "pca")
    return model


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_scoring_in_parts_is_scoring_at_once(suffix, mixed, scorer, tmp_path, monkeypatch):
    frame = pd.read_csv(mixed)
    table, output = tmp_path / f"new{suffix}", tmp_path / "out.csv"
    frame.to_csv(table, index=False) if suffix == ".csv" else frame.to_parquet(table)
    summaries = []
    for n_cells in (None, 110 * frame.shape[1]):
        monkeypatch.setattr("aedetect.tables.reading.PART", n_cells)
        result = run("score", table, "--model", scorer, "--output", output)
        summaries.append((result.stdout, result.stderr, output.read_bytes()))
    assert summaries[0] == summaries[1]
    assert list(pd.read_csv(output)["row"]) == list(range(1, len(frame) + 1))


def test_a_part_names_the_row_of_the_table(mixed, scorer, tmp_path, monkeypatch):
    frame = pd.read_csv(mixed)
    number = frame.select_dtypes("number").columns[-1]
    cells = frame[number].astype(object)
    cells.iloc[-1] = "none of it"
    table = tmp_path / "new.csv"
    frame.assign(**{number: cells}).to_csv(table, index=False)
    monkeypatch.setattr("aedetect.tables.reading.PART", 1)
    result = run("score", table, "--model", scorer)
    assert f"such as 'none of it' in row {len(frame)}" in result.stderr
    last = run("explain", table, "--model", scorer, "--row", len(frame), "--top", 20)
    assert number in last.stdout
    beyond = ["explain", str(table), "--model", str(scorer), "--row", str(len(frame) + 1)]
    assert f"has {len(frame)} rows" in CliRunner().invoke(main, beyond).stderr


def test_a_part_may_lack_a_mark_but_not_all_parts(mixed, scorer, tmp_path, monkeypatch):
    frame = pd.read_csv(mixed)
    frame["truth"] = np.where(np.arange(len(frame)) == len(frame) - 1, "fraud", "fine")
    frame["sign"] = np.where(frame["truth"] == "fraud", -1, 1)
    table, output = tmp_path / "new.csv", tmp_path / "out.csv"
    frame.to_csv(table, index=False)
    arguments = ["score", table, "--model", scorer, "--output", output, "--label"]
    whole = run(*arguments, "sign").stderr
    assert "Against the label: AUROC" in whole
    monkeypatch.setattr("aedetect.tables.reading.PART", 1)
    marks = ["--outlier", "fraud"], ["--normal", "fine"]
    assert {run(*arguments, "truth", *mark).stderr for mark in marks} == {whole}
    assert run(*arguments, "sign").stderr == whole
    output.unlink()
    wrong = CliRunner().invoke(main, [*map(str, arguments), "truth", "--outlier", "theft"])
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "column 'truth' holds fine, fraud and not theft" in wrong.stderr
    assert not output.exists()


def test_a_table_that_ends_unreadably_is_what_is_named(mixed, scorer, tmp_path, monkeypatch):
    def parts(*_):
        yield pd.read_csv(mixed)
        raise OSError(errno.EIO, "Input/output error", "new.csv")

    monkeypatch.setattr("aedetect.tables.reading.read_parts", parts)
    arguments = ["score", "new.csv", "--model", str(scorer), "--output", str(tmp_path / "out.csv")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr) == (2, "Error: new.csv: Input/output error\n")
    assert not list(tmp_path.iterdir())


def test_a_single_row_is_scored(mixed, scorer, tmp_path):
    table = tmp_path / "one.csv"
    pd.read_csv(mixed).head(1).to_csv(table, index=False)
    assert "of 1 rows flagged" in run("score", table, "--model", scorer).stderr


CALIBRATED = ConformalDetector(estimator=PCADetector(contamination=0.2), random_state=0)
UNCALIBRATED = PCADetector(contamination=0.2)
MODELS = {  # and how many of 300 normal rows are flagged, where that is known
    "bare": (PCADetector(), 9),
    "of a share": (UNCALIBRATED, None),
    "in a pipeline": (make_detector(UNCALIBRATED), None),
    "conformal": (CALIBRATED, 15),
    "conformal in a pipeline": (make_detector(CALIBRATED), 15),
    "conformal around one": (ConformalDetector(estimator=make_detector(PCADetector())), 15),
    "by a rule": (Threshold(estimator=PCADetector(), rule=Quantile(share=0.2)), 61),
}


@pytest.mark.parametrize("kind", MODELS)
def test_models_of_any_form_score_and_explain(kind, tmp_path, rng):
    detector, expected = MODELS[kind]
    table, model = tmp_path / "table.csv", tmp_path / "model"
    frame = pd.DataFrame(rng.normal(size=(300, 4)).round(3), columns=list("abcd"))
    frame.to_csv(table, index=False)
    save(clone(detector).fit(frame), model)
    result = run("score", table, "--model", model, "--top", 1, "--format", "json")
    told = json.loads(result.stdout)
    assert isinstance(told["observed_1"], float)
    assert ("p_value" in told) == (expected is not None)
    summary = "" if expected is None else f" Of 300 normal rows, about {expected} would be."
    assert result.stderr.endswith(f"rows flagged.{summary}\n")
    explained = run("explain", table, "--model", model, "--row", told["row"], "--top", 1).stdout
    assert explained.split()[-1] in ("high", "low")


def test_a_model_that_scores_no_rows_is_named(mixed, tmp_path):
    save(TableEncoder().fit(pd.read_csv(mixed)), tmp_path / "model")
    for command in (["score"], ["explain", "--row", "1"]):
        arguments = [*command, str(mixed), "--model", str(tmp_path / "model")]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert "detector=TableEncoder(); expected a fitted detector" in result.stderr


def test_neither_the_model_nor_the_table_is_replaced(mixed, scorer, tmp_path):
    before = mixed.read_bytes(), scorer.read_bytes()
    (tmp_path / "link").symlink_to(scorer)
    for output, name in ((mixed, "table"), (scorer, "model"), (tmp_path / "link", "model")):
        arguments = ["score", str(mixed), "--model", str(scorer), "--output", str(output)]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert f"would replace the {name} itself" in result.stderr
    assert (mixed.read_bytes(), scorer.read_bytes()) == before


def test_rows_are_shown_as_programs_read_them(mixed, scorer):
    shown = {
        form: run("score", mixed, "--model", scorer, "--top", 3, "--format", form).stdout
        for form in ("table", "csv", "json")
    }
    as_csv = pd.read_csv(io.StringIO(shown["csv"]))
    as_json = [json.loads(line) for line in shown["json"].splitlines()]
    assert list(as_csv["row"]) == [row["row"] for row in as_json]
    assert list(as_csv.columns) == list(as_json[0]) == shown["table"].split("\n")[0].split()
    assert as_csv["score"].is_monotonic_increasing


def test_json_has_every_digit_and_null_for_gaps(capsys):
    numbers = [1e-12, -1 / 3, np.nan, np.inf, np.int64(3), 5e-324]
    times = [pd.Timestamp("2024-01-01T02:03:04"), pd.NaT, *["x\n\x1b"] * 4]
    rows = pd.DataFrame({"score": -np.pi * np.arange(6), "observed_1": numbers, "mixed": times})
    rows["object"] = pd.Series(numbers, dtype=object)
    show(rows, "json")
    lines = capsys.readouterr().out.splitlines()
    told = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    expected = [1e-12, -1 / 3, None, None, 3, 5e-324]
    assert [row["object"] for row in told] == [row["observed_1"] for row in told] == expected
    assert [row["score"] for row in told] == rows["score"].tolist()
    assert [row["mixed"] for row in told] == ["2024-01-01T02:03:04", None, *["x\n\x1b"] * 4]


def test_a_terminal_gets_reasons_that_fit_it(mixed, scorer, monkeypatch, capsys):
    rows = pd.read_csv(
        io.StringIO(run("score", mixed, "--model", scorer, "--format", "csv").stdout)
    )
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    show(rows.assign(feature_1="\x1b[31m[bold]x"), "table")
    out = capsys.readouterr().out
    assert "\x1b[31m" not in out
    lines = re.sub("\x1b.*?m", "", out).splitlines()  # but for the header's bold face
    assert max(map(len, lines)) <= 70
    assert "what is strange in it" in lines[0]
    assert any("[31m[bold]x" in line for line in lines)  # shown, not obeyed


@pytest.mark.parametrize("n_planted", [0, 10])
def test_detect_flags_what_was_planted_and_nothing_in_noise(n_planted, tmp_path, rng):
    X = rng.standard_normal((2000, 8)) @ rng.standard_normal((8, 8))
    X[:n_planted, ::2] += 7 * X.std(axis=0)[::2]
    table = tmp_path / "table.csv"
    pd.DataFrame(X, columns=list("abcdefgh")).to_csv(table, index=False)
    result = run("detect", table, "--output", tmp_path / "out.csv", "--top", 12)
    rows = pd.read_csv(tmp_path / "out.csv")
    flagged = rows["row"][rows["label"] == -1]
    assert len(flagged[flagged <= n_planted]) >= 0.9 * n_planted
    assert len(flagged[flagged > n_planted]) <= 0.2 * n_planted
    shown = [line.split() for line in result.stdout.splitlines()[1:]]
    assert sum(line[2] == "-1" for line in shown) == len(flagged)  # these come first
    if not n_planted:
        assert "none of 2000 rows stands out from the others beyond chance" in result.stderr


def test_rows_that_were_learned_from_have_no_least_p_value(rng):
    X = rng.standard_normal((500, 5))
    X[:3] = [[10.0] * 5, [100.0] * 5, [1000.0] * 5]
    p = AnomalyDetector(random_state=0).fit(X).null_p_values(X)
    assert (p[1:3] < p[:2] / 10).all()  # scores are ranks, and hardly differ there
    assert p[0] < p[3:].min() / 10


def test_a_lone_wild_cell_stands_out_among_categories(tmp_path, rng):
    n = 400
    frame = pd.DataFrame(
        {"temperature": rng.normal(60, 5, n), "pressure": rng.lognormal(2, 0.5, n)}
    )
    frame["site"], frame["shift"] = rng.choice(list("ABCD"), n), rng.choice(["day", "night"], n)
    frame.loc[17, "temperature"] = 600
    frame.to_csv(tmp_path / "table.csv", index=False)
    result = run("detect", tmp_path / "table.csv", "--top", 1, "--format", "csv")
    (told,) = csv.DictReader(io.StringIO(result.stdout))
    assert (told["row"], told["label"], told["feature_1"]) == ("18", "-1", "temperature")
    assert "1 of 400 rows stand out" in result.stderr


def test_a_lone_series_is_said_to_be_taken_value_by_value(tmp_path, rng):
    times = pd.date_range("2024-01-01", periods=200, freq="h")
    frame = pd.DataFrame({"time": times, "value": rng.standard_normal(200)})
    frame.to_csv(tmp_path / "series.csv", index=False)
    assert "whatever came before" in run("detect", tmp_path / "series.csv").stderr
    frame.assign(before=frame["value"].shift()).to_csv(tmp_path / "series.csv", index=False)
    assert "whatever came before" not in run("detect", tmp_path / "series.csv").stderr
