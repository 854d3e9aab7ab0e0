"""Tables and options mutated at random: `aedetect detect` scores, or says in a line why not."""

import csv
import gzip
import io
import math
import os
import random
import signal
import time
import warnings
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from click.testing import CliRunner

from aedetect.apps.cli import LONGEST, main
from aedetect.tables.writing import FORMULAS

import_module("sklearn.pipeline")  # sets variables of the environment, and draws from `random`

NASTY = [
    *("", "nan", "NA", "inf", "-inf", "1e400", "1e99", "-1e101", "1e-320", "0", "-0.0", "True"),
    *("9" * 25, "9" * 400, "9" * 5000, "0x1f", "1_000", "1+2j", "1,5", "2020-01-01"),
    *("x", "x" * 9999),
    *("=1+1", "+1", "-a", "@a", "\ta", "\ra", '"', '""', '"a', "'", "\n", "\r", "\r\n", "\0"),
    *("\x1b[31m", "\x07", "\u202e", "\u2028", "\ufeff", "\x85", "\u0661", "\xe9", "\U0001f600"),
    *(";", "|", "%s{}\\n"),
]  # fmt: skip
TOKENS = [
    *(text.encode() for text in NASTY),
    b"\xff",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\x1f\x8b",
    b"PAR1",
]
OPTIONS = {
    "--top": ["0", "1", "7", "-1", "x", "9" * 30, "9" * 5000],
    "--contamination": ["0", "0.1", "auto", "0.5", "0.51", "nan", "-1", "1e400", "", "\x1b[31m"],
    "--seed": ["0", "4294967295", "4294967296", "-1", "9" * 30, "9" * 5000, "1.5", ""],
    "--device": ["cpu", "auto", "cpu:3", "meta", "mps", "hpu", "xla:0", "", "\x1b", "c" * 999],
    "--delimiter": [",", ",", ";", "\\t", "\t", " ", ",,", "", "a", ".", '"', "\n", "\0", "é", "~"],
    "--max-bytes": ["100000", "9" * 30, "100", "1", "0", "x"],
    "--exclude": ["a", "b", "c", "", "no such", "\x1b[31m", "x" * 9999],
    "--label": ["a", "c", "", "no such", "\x1b[31m"],
    "--outlier": ["0", "1", "x", "", "\x1b[31m", "x" * 9999],
    "--output": [
        "out.csv",
        "o.csv",
        "out\x1b[31m\n.csv",
        ".",
        "no/out.csv",
        "o" * 300,
        "out.gz",
        "a\0b",
    ],
}


def run(seconds: float, seed: int) -> int:
    """Try cases for so long; return how many. A failure names its case, which `check` repeats."""
    deadline, n = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        check(seed, n)
        n += 1
    return n


def check(seed: int, n: int) -> None:
    """Try the n-th case of a seed."""
    rng = random.Random(f"{seed} {n}")
    with TemporaryDirectory() as folder:
        table = Path(folder, *rng.choices(["in.csv", "in.csv.gz", "in.parquet"], [4, 1, 2]))
        table.write_bytes(content(rng, table.suffix))
        options = some_options(rng, folder)
        before = table.read_bytes(), global_state()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = CliRunner().invoke(main, ["detect", str(table), *options], color=True)
        try:
            check_result(result)
            assert (table.read_bytes(), global_state()) == before, "something was changed"
            check_files(result, table, options)
        except Exception as error:
            said = f"{options}; {before[0][:500]!r}; {result.output[:2000]}"
            cause = result.exception or error
            raise AssertionError(f"check({seed}, {n}): {error}; {said}") from cause


def check_result(result) -> None:
    lines = result.stderr.split("\n")
    assert result.exit_code in (0, 2), f"exit code {result.exit_code}"
    assert lines.pop() == "", "no line break at the end of stderr"
    assert all(line.isprintable() for line in lines), "control characters on stderr"
    assert all(line.isprintable() for line in result.stdout.split("\n")), "and on stdout"
    if result.exit_code == 2:
        assert len(lines) == 1, "several lines"
        assert lines[0].startswith("Error: "), "no error"
        assert result.stdout == "", "an answer beside an error"
        assert len(lines[0]) <= LONGEST + len("Error: "), "a long line"
    else:
        told = ("stand out", "stands out", "rows flagged")
        assert any(words in result.stderr for words in told), "no summary"


def check_files(result, table: Path, options: list[str]) -> None:
    """Nothing is there but the table and, after success, the scores."""
    written = [path for path in table.parent.iterdir() if path != table]
    asked = result.exit_code == 0 and "--output" in options
    assert len(written) == asked, f"files left: {written}"
    for path in written:
        header, *rows = csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))
        for row in (dict(zip(header, row, strict=True)) for row in rows):
            assert math.isfinite(float(row["score"])), "a score is not finite"
            assert row["label"] in ("1", "-1"), "no label"
            names = [cell for column, cell in row.items() if column.startswith("feature")]
            assert not any(name.startswith(FORMULAS) for name in names), "a formula is written"


def content(rng: random.Random, suffix: str) -> bytes:
    if suffix == ".parquet":
        return mutated(rng, parquet(rng), rng.choice([0, 0, 0, 1, 4]))
    text = mutated(rng, delimited(rng), rng.choice([0, 0, 0, 1, 2, 5]))
    return (
        text if suffix == ".csv" else mutated(rng, gzip.compress(text), rng.choice([0, 0, 0, 1, 3]))
    )


def delimited(rng: random.Random) -> bytes:
    """Rows of numbers, sometimes with other things for names and cells."""
    scale, rows = (
        10.0 ** rng.choice([-200, -9, *[0] * 6, 9, 98]),
        rng.choice([0, 1, 2, 3, *[9] * 4, 40]),
    )
    d = rng.choice([1, 2, 3, 3, 3, 3, 3, 5])
    names = ["".join(some(rng, NASTY, 0.15) or name) for name in "abcde"[:d]]
    cells = [[str(rng.gauss(0, scale)) for _ in range(d)] for _ in range(rows)]
    if rows and rng.random() < 0.3:
        rng.choice(cells)[rng.randrange(d)] = rng.choice(NASTY)
    file = io.StringIO()
    delimiter = rng.choice([*[","] * 9, ";", "\t"])
    csv.writer(file, delimiter=delimiter).writerows([names, *cells])
    return file.getvalue().encode()


def parquet(rng: random.Random) -> bytes:
    """Columns of any type that Arrow knows, with names of any kind."""
    n, d = rng.choice([0, 1, 2, 9, 9, 40]), rng.choice([1, 2, 3, 3, 4])
    names = ["".join(some(rng, NASTY, 0.15) or name) for name in "abcde"[:d]]
    arrays = [column(rng, n, some(rng, KINDS, 0.2) or [float]) for _ in range(d)]
    table = pa.Table.from_arrays(arrays, names=names)
    if some(rng, [1], 0.2):
        forged = rng.choice(['{"index_columns": ["z"], "columns": []}', "{", "[]", "null", "\x1b"])
        table = table.replace_schema_metadata({"pandas": forged})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


KINDS = [
    *(pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.string(), pa.binary()),
    *(pa.decimal128(20, 3), pa.decimal256(60, 3), pa.date32(), pa.time32("s"), pa.duration("s")),
    *(pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.list_(pa.int64()), pa.null()),
    *(pa.struct({"x": pa.string()}), pa.dictionary(pa.int8(), pa.string()), pa.large_string()),
]


def column(rng: random.Random, n: int, kind: list) -> pa.Array:
    """Numbers or nasty strings turned into some type, with gaps; strings where that fails."""
    values = pd.Series([some(rng, [rng.gauss(0, 1)], 0.95) for _ in range(n)]).explode()
    if kind == [float]:
        return pa.array(values.astype(float))
    strings = [rng.choice(NASTY) for _ in range(n)]
    for source in (
        values.astype(float).fillna(0).round().tolist(),
        strings,
        [[1]] * n,
        [{"x": "\x1b"}] * n,
    ):
        try:
            return pa.array(source, kind[0])
        except (pa.ArrowException, TypeError):
            continue
    return pa.array(strings, pa.string())


def mutated(rng: random.Random, data: bytes, times: int) -> bytes:
    for _ in range(times):
        i, j = sorted(rng.choices(range(len(data) + 1), k=2))
        j = rng.choice([i, i + 1, j])
        data = data[:i] + rng.choice([b"", data[i:j] * 2, rng.randbytes(1), *TOKENS]) + data[j:]
    return data


def some_options(rng: random.Random, folder: str) -> list[str]:
    options = []
    for name in rng.sample(list(OPTIONS), rng.choice([0, 0, 0, 1, 1, 2, 3])):
        value = rng.choice(rng.choice([OPTIONS[name], OPTIONS[name][:2]]))  # two that will do
        inside = name == "--output" and "\0" not in value
        options += [name, os.path.join(folder, value) if inside else value]
    return options


def some(rng: random.Random, values: list, probability: float) -> list:
    """One of the values, or none."""
    return [rng.choice(values)] if rng.random() < probability else []


def global_state() -> tuple:
    return (
        np.random.get_state()[1].tobytes(),
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        tuple(np.geterr().items()),
        tuple(warnings.filters),
        dict(os.environ),
        [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        os.getcwd(),
    )
