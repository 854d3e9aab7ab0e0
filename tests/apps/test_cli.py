"""The command line, from a shell: what it writes, and the one line it says when it cannot."""

import csv
import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from aedetect.apps.cli import main
from aedetect.tables.encoder import TableEncoder
from aedetect.tables.writing import write_csv

AEDETECT = Path(sys.executable).with_name("aedetect")


@pytest.fixture
def table(tmp_path):
    """Two columns that follow each other, a third of noise; row 41 breaks the rule."""
    rng = np.random.default_rng(0)
    a = rng.uniform(0, 10, 200)
    frame = pd.DataFrame({"a": a, "b": 2 * a + 1, "c": rng.uniform(40, 60, 200)}).round(3)
    frame.loc[40, ["a", "b"]] = [9.5, 2.0]
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], color=True)


def refusal(*arguments):
    """What a command says that refuses: one line of what can be shown, not too long a one."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    line = result.stderr.removesuffix("\n")
    assert line.startswith("Error: ")
    assert line.isprintable()
    assert len(line) <= 520
    return line


def test_detect_names_the_row_and_its_features(table, tmp_path):
    output = tmp_path / "scores.csv"
    result = run("detect", table, "--output", output, "--top", 1, "--detector", "autoencoder")
    assert result.exit_code == 0, result.output
    header, strangest = result.stdout.splitlines()
    assert header.split()[:3] == ["row", "score", "label"]
    assert strangest.split()[0] == "41"
    assert "1 of 200 rows stand out; about one in ten" in result.stderr
    rows = pd.read_csv(output)
    frame = pd.read_csv(table)
    assert rows["row"].tolist() == list(range(1, 201))
    worst = rows.loc[rows["score"].idxmin()]
    assert (worst["row"], worst["label"]) == (41, -1)
    assert worst["feature_1"] in "ab"
    assert worst["observed_1"] == frame.loc[40, worst["feature_1"]]
    observed_ab = {worst[f"feature_{i}"]: worst[f"observed_{i}"] for i in (1, 2, 3)}
    assert observed_ab == frame.loc[40].to_dict()
    shares = rows[["share_1", "share_2", "share_3"]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares.diff(axis=1).iloc[:, 1:] <= 0).all(axis=None)


def test_expected_values_are_in_the_columns_own_unit(table, tmp_path):
    run("detect", table, "--output", tmp_path / "out.csv")
    rows = pd.read_csv(tmp_path / "out.csv").drop(index=40)
    c = pd.concat([rows.loc[rows[f"feature_{i}"] == "c", f"expected_{i}"] for i in (1, 2, 3)])
    assert c.between(30, 70).all()


def test_a_model_that_knows_times_says_so(table, tmp_path, rng):
    frame = pd.read_csv(table)
    days = pd.to_timedelta(rng.integers(0, 60, len(frame)), unit="D")
    frame.assign(ordered=pd.Timestamp("2024-03-01") + days).to_csv(tmp_path / "t.csv", index=False)
    told = [
        run("fit", path, "--model", tmp_path / "model").stderr
        for path in (tmp_path / "t.csv", table)
    ]
    assert "rows with later ones" in told[0]
    assert "--exclude 'ordered'" in told[0]
    assert "later" not in told[1]


def test_missing_cells_are_no_obstacle_and_no_reason(table, tmp_path):
    frame = pd.read_csv(table)
    frame.loc[::7, "c"] = np.nan
    frame.to_csv(tmp_path / "gappy.csv", index=False)
    result = run("detect", tmp_path / "gappy.csv", "--output", tmp_path / "out.csv")
    assert result.exit_code == 0, result.output
    rows = pd.read_csv(tmp_path / "out.csv")
    assert rows["score"].idxmin() == 40
    gappy = rows[::7]
    assert (gappy["feature_3"] == "c").all()
    assert (gappy["share_3"] == 0).all()
    assert gappy["observed_3"].isna().all()


def test_same_seed_same_file(table, tmp_path):
    for name in ("x.csv", "y.csv"):
        assert run("detect", table, "--output", tmp_path / name, "--seed", 3).exit_code == 0
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "y.csv").read_bytes()


def test_contamination_flags_that_share(table, tmp_path):
    for share, flagged in [("0.1", 20), ("0", 0)]:
        run("detect", table, "--output", tmp_path / "out.csv", "--contamination", share)
        assert (pd.read_csv(tmp_path / "out.csv")["label"] == -1).sum() == flagged


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz"])
def test_other_formats(suffix, table, tmp_path):
    frame = pd.read_csv(table)
    other = tmp_path / f"other{suffix}"
    frame.to_parquet(other) if suffix == ".parquet" else frame.to_csv(other, index=False)
    assert run("detect", other).stdout == run("detect", table).stdout


def test_delimiter(table, tmp_path):
    other = tmp_path / "other.csv"
    pd.read_csv(table).to_csv(other, index=False, sep=";")
    assert run("detect", other, "--delimiter", ";").stdout == run("detect", table).stdout


def test_label_is_scored_against_and_not_learned_from(tmp_path):
    data = load_breast_cancer(as_frame=True)
    frame = data.frame.assign(target=np.where(data.target == 1, "benign", "malignant"))
    frame.to_csv(tmp_path / "cells.csv", index=False)
    arguments = ["detect", tmp_path / "cells.csv", "--output", tmp_path / "out.csv"]
    result = run(*arguments, "--label", "target", "--outlier", "malignant")
    scores = pd.read_csv(tmp_path / "out.csv")["score"]
    assert f"AUROC {roc_auc_score(data.target, scores):.3f}, average precision" in result.stderr
    assert (pd.read_csv(tmp_path / "out.csv").filter(like="feature") != "target").all(axis=None)
    frame["target"] = np.where(data.target == 1, 1, -1)
    frame.to_csv(tmp_path / "cells.csv", index=False)
    assert run(*arguments, "--label", "target").stderr == result.stderr
    frame["target"] = data.target
    frame.to_csv(tmp_path / "cells.csv", index=False)
    refused = run(*arguments, "--label", "target")
    assert refused.exit_code == 2
    assert "holds 0, 1; say which value marks outliers with --outlier VALUE" in refused.stderr


ROWS = "a,b\n1,2\n2,3\n3,5\n"
BROKEN = {
    "missing file": (None, "no such file"),
    "large file that is not there": (None, "no such file"),
    "empty file": ("", "is empty"),
    "header only": ("a,b\n", "has no rows"),
    "one row": ("a,b\n1,2\n", "has 1 row below"),
    "one column": ("a\n1\n2\n", "has one column, 'a'"),
    "empty row": ("a,b\n1,2\n,\n3,5\n", "row 2 has no value in a column that is used; 1 of 3"),
    "constant columns": ("a,b\n1,2\n1,2\n1,2\n", "'a' is constant, 'b' is constant"),
    "duplicate names below an empty line": ("\na,a\n1,2\n4,5\n", "several columns named 'a'"),
    "duplicate names": ("a,b,a\n1,2,3\n4,5,6\n", "several columns named 'a'"),
    "more fields than names": ("a,b\n1,2,3\n2,3,4\n", "cannot be read as delimited text"),
    "ragged row": ("a,b\n1,2\n2,3,4\n", "cannot be read as delimited text"),
    "not text": (b"\xff\xfe\x00\x01" * 99, "has one column"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_input_is_one_line_and_exit_code_2(kind, tmp_path):
    content, message = BROKEN[kind]
    path = tmp_path / "in.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(tmp_path.iterdir())
    assert message in refusal("detect", path, "--output", tmp_path / "out.csv")
    assert sorted(tmp_path.iterdir()) == before


def test_an_empty_row_is_counted_from_1_also_beside_columns_left_out(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "in.csv"
    frame = pd.DataFrame(rng.normal(size=(40, 2)), columns=["a", "b"])
    frame.insert(0, "id", rng.permutation(40))
    frame.loc[30, ["a", "b"]] = None
    frame.to_csv(path, index=False)
    told = "row 31 has no value in a column that is used; 1 of 40 rows"
    assert told in run("detect", path).stderr
    assert told in run("fit", path, "--model", tmp_path / "model").stderr


def test_a_shell_sees_what_the_tests_here_see(table, tmp_path):
    for arguments in (["detect", table, "--top", "2"], ["detect", tmp_path / "none.csv"]):
        here = run(*arguments)
        shell = subprocess.run([AEDETECT, *arguments], capture_output=True, text=True)
        assert (shell.returncode, shell.stderr) == (here.exit_code, here.stderr)
        assert shell.stdout == here.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--exclude", "z"], "no column named 'z'; there are 'a', 'b'"),
        (["--exclude", "a"], "1 column(s) left"),
        (["--label", "z"], "--label z: no such column"),
        (["--contamination", "0.7"], "expected auto or a share from 0 to 0.5"),
        (["--contamination", "few"], "expected auto or a share from 0 to 0.5"),
        (["--output", "nowhere/out.csv"], "its folder does not exist"),
        *(
            (["--device", name], "torch cannot compute there; expected auto, cpu or an accel")
            for name in (
                "tpu9",
                "meta",
                "hpu",
                "mkldnn",
                "privateuseone",
                "",
                "x" * 9999,
                "\x1b[31m",
            )
        ),
        (["--seed", "1" + 30 * "0"], "not in the range 0<=x<=4294967295"),
        (["--seed", "-1"], "not in the range 0<=x<=4294967295"),
        (["--top", "many"], "not a valid integer"),
        (["--tpo", "1"], "No such option"),
        (["--exclude", "x" * 9999], "no column named 'xxx"),
        (["--max-bytes", "9"], "in.csv holds more than 9 bytes"),
        *(
            (["--delimiter", mark], "expected one character")
            for mark in ("é", ".", "\n", "\0", '"')
        ),
        (["--output", "."], "something that is not a file"),
        (["--outlier", "x"], "name the column it stands in with --label"),
        (["--delimiter", ";;"], "expected one character"),
    ],
)
def test_unusable_options_are_one_line(options, message, tmp_path):
    (tmp_path / "in.csv").write_text(ROWS)
    assert message in refusal("detect", tmp_path / "in.csv", *options)


def test_folders_and_broken_parquet_are_refused(tmp_path):
    (tmp_path / "in.parquet").write_bytes(b"PAR1 no")
    assert "cannot be read as Parquet" in run("detect", tmp_path / "in.parquet").stderr
    result = run("detect", tmp_path)
    assert result.exit_code == 2
    assert "is a folder" in result.stderr


COLUMNS = {
    "bool": (pa.bool_(), [True, False, None]),
    "integers with gaps": (pa.int64(), [1, None, 3]),
    "decimal": (pa.decimal128(9, 2), [1, 2, 5]),
    "written numbers": (pa.string(), ["1", "2.5", None]),
    "date": (pa.date32(), [1, 2, 3]),
    "time": (pa.timestamp("us"), [1, 2, 3]),
    "nested": (pa.list_(pa.int64()), [[1], [2], [3]]),
    "bytes": (pa.binary(), [b"\xff", b"\0", b""]),
    "category": (pa.dictionary(pa.int8(), pa.string()), ["x", "y", "x"]),
    "nothing": (pa.null(), [None] * 3),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_parquet_columns_of_all_kinds_are_read(kind, tmp_path):
    arrow, values = COLUMNS[kind]
    columns = {"a": [1.0, 2, 4], "b": [1, 0, 5], "c": pa.array(values, arrow)}
    pa.parquet.write_table(pa.table(columns), tmp_path / "in.parquet")
    result = run("detect", tmp_path / "in.parquet", "--detector", "pca")
    assert result.exit_code == 0, result.output
    assert ("'c' is empty" in result.stderr) == (kind == "nothing")


def test_a_hundred_thousand_columns_are_not_too_many(tmp_path):
    names = [f"c{i}" for i in range(100_000)]
    rows = "\n".join([",".join([*names, "c7"]), ",".join(["1"] * 100_001)])
    (tmp_path / "in.csv").write_text(rows)
    assert "several columns named 'c7'; rename" in refusal("detect", tmp_path / "in.csv")
    frame = pd.DataFrame(np.arange(200_000.0).reshape(2, -1), columns=names)
    assert (TableEncoder().fit_transform(frame) == frame.to_numpy()).all()


def test_names_of_many_columns_do_not_make_a_long_message(tmp_path):
    frame = pd.DataFrame([["x"] * 2000] * 3, columns=[f"c{i}" for i in range(2000)])
    frame.to_csv(tmp_path / "in.csv", index=False)
    message = refusal("detect", tmp_path / "in.csv")
    assert "'c4' is constant" in message


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.parametrize(
    ("repeated", "message"),
    [(b"x", "begins with a line of more than"), (b"1,2\n", "holds more than 99,999,999 bytes")],
)
def test_what_unpacks_without_end_is_refused_in_little_memory(repeated, message, tmp_path):
    with gzip.open(tmp_path / "in.csv.gz", "wb", compresslevel=1) as file:
        for _ in range(500):
            file.write(repeated * (2**20 // len(repeated)))
    command = [AEDETECT, "detect", tmp_path / "in.csv.gz", "--max-bytes", "99999999"]
    child = [sys.executable, "-c", PEAK, *command]
    result = subprocess.run(child, capture_output=True, text=True)
    assert message in result.stderr
    kilobytes = int(result.stdout) / (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 350_000, "most of it Python's and pandas' own"


def test_parquet_of_many_cells_is_refused(tmp_path):
    pd.DataFrame(np.zeros((10_000, 3)), columns=list("abc")).to_parquet(tmp_path / "in.parquet")
    message = refusal("detect", tmp_path / "in.parquet", "--max-bytes", 239_999)
    assert "holds more than 239,999 bytes" in message
    assert "constant" in refusal("detect", tmp_path / "in.parquet", "--max-bytes", 240_000)


def test_parquet_without_pyarrow_names_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "in.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    message = refusal("detect", tmp_path / "in.parquet")
    assert message.endswith("reading Parquet needs pip install 'aedetect[parquet]'")


EVIL = ["\x1b[31ma", "b\nc", "\u202ed", "e\x07", "f" * 9999]


def test_nothing_that_a_terminal_would_obey_is_shown(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 5)), columns=EVIL)
    path = tmp_path / "in\x1b[31m.csv"
    frame.to_csv(path, index=False)
    result = run("detect", path, "--output", tmp_path / "out\n.csv")
    assert result.exit_code == 0, result.output
    assert all(line.isprintable() for line in result.output.split("\n"))
    assert len(result.stdout.split("\n")) == 12
    assert max(map(len, result.stdout.split("\n"))) < 400
    for name in (r"\x1b[31ma", r"b\nc", r"\u202ed", r"e\x07", "fff...fff"):
        assert name in result.stdout
    frame.astype(str).add("\x1b[31m").to_csv(path, index=False)
    assert r"'\x1b[31ma' has another text in each row" in refusal("detect", path)
    arguments = ["detect", path, *[x for name in EVIL[1:3] for x in ("--exclude", name)]]
    assert r"column '\x1b[31ma' holds" in refusal(*arguments, "--label", EVIL[0])


def test_a_spreadsheet_finds_no_formula(tmp_path):
    names = ["=1+1", "+b", "-c", "@d", "\te", "\rf", "g=1"]
    X = np.random.default_rng(0).normal(size=(40, 7))
    table = pd.DataFrame(X, columns=names)
    table.to_csv(tmp_path / "in.csv", index=False, lineterminator="\r\n")  # else \r is not quoted
    assert run("detect", tmp_path / "in.csv", "--output", tmp_path / "out.csv").exit_code == 0
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    written = {row[f"feature_{i}"] for row in rows for i in (1, 2, 3)}
    assert written == {"'=1+1", "'+b", "'-c", "'@d", "'\te", "'\nf", "g=1"}
    assert all(float(row["score"]) < 0 for row in rows)
    observed = [float(row["observed_1"]) for row in rows]
    distances = np.abs(np.subtract.outer(observed, X.ravel()))
    assert distances.min(axis=1).max() < 1e-14  # pandas 2 may miss the last digit


def test_columns_without_text_names_are_written(tmp_path):
    write_csv(pd.DataFrame([["=1", 1.5], ["b", -2]], columns=["=x", 7]), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == ["'=x,7", "'=1,1.5", "b,-2.0"]


@pytest.mark.parametrize("arguments", [["--nope"], ["nope"], ["demo", "nope"]])
def test_what_is_not_understood_is_one_line(arguments):
    refusal(*arguments)


def test_the_process_is_left_as_it_was(table):
    before = dict(os.environ), [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    assert run("detect", table).exit_code == 0
    after = dict(os.environ), [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    assert after == before


def test_the_table_itself_is_not_replaced(table):
    before = table.read_bytes()
    result = run("detect", table, "--output", table)
    assert result.exit_code == 2
    assert "would replace the table itself" in result.stderr
    assert table.read_bytes() == before


@pytest.mark.parametrize("cut", [30, -9])
def test_broken_gzip_is_refused(cut, table, tmp_path):
    path = tmp_path / "in.csv.gz"
    path.write_bytes(gzip.compress(table.read_bytes())[:cut])
    result = run("detect", path)
    assert result.exit_code == 2
    assert "cannot be read as delimited text" in result.stderr


def test_tab_is_a_delimiter(table, tmp_path):
    other = tmp_path / "other.csv"
    pd.read_csv(table).to_csv(other, index=False, sep="\t")
    assert run("detect", other, "--delimiter", "\\t").stdout == run("detect", table).stdout


def test_labels_may_not_be_missing(tmp_path):
    (tmp_path / "in.csv").write_text("a,b,y\n1,2,ok\n2,3,\n3,5,bad\n")
    result = run("detect", tmp_path / "in.csv", "--label", "y", "--outlier", "bad")
    assert result.exit_code == 2
    assert "column 'y', row 2 is missing" in result.stderr


def test_labels_of_one_kind_are_said_to_be(table, tmp_path):
    frame = pd.read_csv(table).assign(y=1)
    frame.to_csv(tmp_path / "in.csv", index=False)
    result = run("detect", tmp_path / "in.csv", "--label", "y")
    assert "calls 0 rows outliers; AUROC needs rows of both kinds" in result.stderr


def test_output_keeps_mode_and_links(table, tmp_path):
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.touch(mode=0o600)
    link.symlink_to(real)
    assert run("detect", table, "--output", link).exit_code == 0
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert len(pd.read_csv(real)) == 200


def test_excluded_text_column_is_no_obstacle(tmp_path):
    (tmp_path / "in.csv").write_text("a,b,name\n1,2,x\n2,3,y\n3,5,z\n")
    assert run("detect", tmp_path / "in.csv", "--exclude", "name").exit_code == 0


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "out.csv").write_text("old")

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match=r"out\.csv cannot be written: no space left"):
        write_csv(pd.DataFrame({"a": [1]}), tmp_path / "out.csv")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out.csv", "old")]


INTERRUPTED = """
import os, signal, sys
import pandas as pd
from aedetect.tables.writing import write_csv

class Cell:
    def __str__(self):
        for name in sys.argv[2:]:
            os.kill(os.getpid(), getattr(signal, name))
        return "written"

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
if "SIGHUP" in sys.argv[2:3]:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
write_csv(pd.DataFrame({"a": [Cell()]}), sys.argv[1])
"""


@pytest.mark.parametrize(
    ("signals", "ended_by", "content"),
    [
        (["SIGTERM"], -signal.SIGTERM, "old"),
        (["SIGTERM", "SIGHUP", "SIGINT"], -signal.SIGTERM, "old"),
        (["SIGINT"], -signal.SIGINT, "old"),
        (["SIGHUP"], 0, "a\nwritten\n"),
    ],
)
def test_signals_while_writing_leave_nothing(signals, ended_by, content, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    child = [sys.executable, "-c", INTERRUPTED, path, *signals]
    assert subprocess.run(child, capture_output=True).returncode == ended_by
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out.csv", content)]


INPUT_INTERRUPTED = r"""
import io, os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from aedetect.apps.cli import main
from aedetect.files import whole_file
from aedetect.tables import reading

def end(*args, **kwargs):
    assert list(Path(os.environ["TMPDIR"]).iterdir())
    os.kill(os.getpid(), signal.SIGTERM)

def end_writing(*args, **kwargs):
    with whole_file(Path(os.environ["TMPDIR"], "out.csv")):
        end()

lines = io.BytesIO(b"a,b\n" + b"1,2\n" * 9)
sys.stdin = SimpleNamespace(buffer=SimpleNamespace(read=end) if sys.argv[1] == "copied" else lines)
reading.read_table = end_writing if sys.argv[1] == "written" else end
main(["detect", "-"])
"""


@pytest.mark.parametrize("when", ["copied", "read", "written"])
def test_a_signal_while_standard_input_is_used_leaves_nothing(when, tmp_path):
    child = [sys.executable, "-c", INPUT_INTERRUPTED, when]
    result = subprocess.run(child, capture_output=True, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert (result.returncode, result.stderr) == (-signal.SIGTERM, b"")
    assert not list(tmp_path.iterdir())


def test_standard_input_is_a_table(table):
    said = CliRunner().invoke(main, ["detect", "-", "--format", "csv"], table.read_bytes())
    assert said.exit_code == 0, said.output
    assert said.stdout == run("detect", table, "--format", "csv").stdout
    broken = CliRunner().invoke(main, ["score", "-", "--model", "none"], b"a,b\n1,2,3\n")
    assert broken.stderr.startswith("Error: standard input cannot be read as delimited text")


def test_demo_reaches_its_figure(tmp_path):
    result = run("demo", "--output-dir", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    figures = [(line[0], float(line[2])) for line in lines if "AUROC" in line]
    compared = ["AnomalyDetector", "autoencoder", "IsolationForest", "PCA"]
    assert [name for name, _ in figures] == compared * 2
    assert figures[0][1] >= 0.95
    for name in ("breast_cancer", "digits"):
        assert (tmp_path / "demo" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        rows = pd.read_csv(tmp_path / "demo" / f"{name}.csv")
        assert {"row", "score", "label", "truth"} <= set(rows.columns)


def test_help_is_instant_because_nothing_heavy_is_loaded():
    code = (
        "import sys, aedetect.apps.cli as c\ntry: c.main(['--help'])\nfinally: print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "Find the strange rows" in result.stdout
    assert not {"torch", "sklearn", "pandas", "numpy"} & set(result.stdout.split())


@pytest.fixture
def mixed(tmp_path):
    """A table with texts, times, an id and a column of truth, without anything to be set."""
    rng = np.random.default_rng(0)
    n = 400
    kind = rng.choice(["car", "bike"], n)
    frame = pd.DataFrame(
        {
            "id": rng.permutation(n) + 1000,
            "kind": kind,
            "speed": [f"{x:.1f} km".replace(" km", "") for x in rng.normal(50, 5, n)],
            "weight": np.where(kind == "car", 1200.0, 12.0) * rng.uniform(0.9, 1.1, n),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.random(n) * 1e6, unit="s"),
            "state": "ok",
        }
    )
    frame["when"] = frame["when"].dt.strftime("%d.%m.%Y %H:%M")
    frame.loc[7, ["kind", "weight", "state"]] = ["bike", 1300.0, "bad"]
    path = tmp_path / "mixed.csv"
    frame.to_csv(path, index=False, sep=";", encoding="utf-16")
    return path


def test_a_mixed_table_needs_no_option(mixed, tmp_path):
    result = run(
        "detect", mixed, "--label", "state", "--normal", "ok", "--output", tmp_path / "out.csv"
    )
    assert result.exit_code == 0, result.output
    assert "AUROC 1.000" in result.stderr
    assert "'id' has another whole number in each row" in result.stderr
    worst = pd.read_csv(tmp_path / "out.csv").sort_values("score").iloc[0]
    assert worst["row"] == 8
    assert {"kind", "weight"} & {worst[f"feature_{i}"] for i in (1, 2, 3)}
    both = run("detect", mixed, "--label", "state", "--outlier", "bad", "--outlier", "ok")
    assert "calls 400 rows outliers" in both.stderr


def test_a_model_is_fitted_described_and_asked(mixed, tmp_path):
    model = tmp_path / "model.safetensors"
    fitted = run("fit", mixed, "--model", model, "--exclude", "state")
    assert fitted.exit_code == 0, fitted.output
    assert "learned from 400 rows" in fitted.stderr
    described = run("info", model).stdout
    assert "kind: category" in described
    assert "id: left out, it has another whole number in each row" in described
    frame = pd.read_csv(mixed, sep=";", encoding="utf-16").iloc[:, ::-1]
    frame.to_csv(tmp_path / "new.csv", index=False)
    arguments = ["--model", model, "--output", tmp_path / "out.csv"]
    scored = run("score", tmp_path / "new.csv", *arguments, "--label", "state", "--normal", "ok")
    assert scored.exit_code == 0, scored.output
    rows = pd.read_csv(tmp_path / "out.csv")
    assert rows["p_value"].between(0, 1).all()
    assert rows["score"].idxmin() == 7
    assert 0 < (rows["label"] == -1).sum() < 30
    told = run("explain", tmp_path / "new.csv", "--model", model, "--row", 8).stdout
    assert {"kind", "weight"} <= set(told.split())
    failing = run("score", mixed, "--model", model, "--fail-on-anomaly")
    assert failing.exit_code == 1
    assert "rows flagged" in failing.stderr
    failing = run("detect", mixed, "--fail-on-anomaly", "--contamination", 0.01)
    assert failing.exit_code == 1
    assert "Warning: Columns are left out: 'id'" in failing.stderr
    with_text = frame.assign(weight="heavy")
    with_text.to_csv(tmp_path / "new.csv", index=False)
    refused = refusal("score", tmp_path / "new.csv", "--model", model)
    assert "'weight' held numbers" in refused


@pytest.mark.parametrize("detector", ["pca", "kernel", "autoencoder", "default"])
def test_other_detectors(detector, mixed, tmp_path):
    model = tmp_path / "model.safetensors"
    assert run("fit", mixed, "--model", model, "--detector", detector).exit_code == 0
    assert run("score", mixed, "--model", model).exit_code == 0
    assert run("detect", mixed, "--detector", detector, "--top", 1).exit_code == 0


def test_models_that_cannot_be_are_refused(mixed, tmp_path):
    assert "no safetensors" in refusal("info", mixed)
    assert "No such file" in refusal("score", mixed, "--model", tmp_path / "none")
    assert "would replace the table itself" in refusal("fit", mixed, "--model", mixed)
    assert "give one of them" in refusal(
        "detect", mixed, "--label", "state", "--normal", "ok", "--outlier", "bad"
    )
    run("fit", mixed, "--model", tmp_path / "model")
    told = refusal("explain", mixed, "--model", tmp_path / "model", "--row", 999)
    assert "has 400 rows" in told
