"""``aedetect series``: intervals of a table in the order of time."""

import re
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from aedetect.apps.cli import main


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def table(tmp_path):
    """Hours of two machines; the second one's load is turned over on day 30."""
    hours = pd.date_range("2024-01-01", periods=24 * 40, freq="h")
    rng = np.random.default_rng(0)
    parts = []
    for unit in ("one", "two"):
        load = 50 + 20 * np.sin(hours.hour * 2 * np.pi / 24) + rng.normal(size=len(hours))
        frame = pd.DataFrame({"time": hours, "unit": unit, "load": load.round(2)})
        frame["valve"] = rng.choice(["open", "shut"], len(hours))
        if unit == "two":
            frame.loc[24 * 30 : 24 * 31 - 1, "load"] = 100 - frame["load"]
        parts.append(frame)
    path = tmp_path / "load.csv"
    pd.concat(parts).sort_values("time", kind="stable").to_csv(path, index=False)
    return path


def test_the_interval_its_series_and_its_channel_are_named(table, tmp_path):
    output = tmp_path / "points.csv"
    result = run(
        "series", table, "--time", "time", "--key", "unit", "--output", output, "--format", "csv"
    )
    assert result.exit_code == 0, result.output
    alarms = pd.read_csv(StringIO(result.stdout), parse_dates=["start", "end", "peak"])
    worst = alarms.loc[alarms["score"].idxmin()]
    assert (worst["unit"], worst["channels"]) == ("two", "load")
    assert pd.Timestamp("2024-01-30") < worst["peak"] < pd.Timestamp("2024-02-01")
    points = pd.read_csv(output)
    assert list(points) == ["unit", "time", "score", "label"]
    assert len(points) == 2 * 24 * 40
    worst_point = points.loc[points["score"].idxmin()]
    assert worst_point["unit"] == "two"
    assert pd.Timestamp(worst_point["time"]) == worst["peak"]
    flagged = (points["label"] == -1).sum()
    assert re.search(f"{len(alarms)} intervals? with {flagged} of 1920 points", result.stderr)


def test_another_table_may_be_learned_from(table, tmp_path):
    frame = pd.read_csv(table)
    frame[:1200].to_csv(tmp_path / "train.csv", index=False)
    frame[1200:].to_csv(tmp_path / "new.csv", index=False)
    options = ("--time", "time", "--key", "unit", "--fail-on-anomaly", "--length", 24)
    result = run("series", tmp_path / "new.csv", "--train", tmp_path / "train.csv", *options)
    assert result.exit_code == 1, result.output
    assert "load" in result.stdout
    assert "windows of 24 points" in result.stderr


@pytest.mark.parametrize("kind", ["zone", "seconds", "a clock"])
def test_times_are_written_as_they_were_given(kind, table, tmp_path):
    frame = pd.read_csv(table, parse_dates=["time"]).query("unit == 'two'").drop(columns="unit")
    frame["time"] = {
        "zone": frame["time"].astype(str) + "+02:00",
        "seconds": (frame["time"] - pd.Timestamp(0)) // pd.Timedelta(1, "s"),
        "a clock": frame["time"].dt.strftime("%d.%m.%Y %H:%M"),
    }[kind]
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "given.csv", index=False)
    output = tmp_path / "points.csv"
    options = ("--time", "time", "--format", "csv", "--output", output)
    result = run("series", tmp_path / "given.csv", *options)
    assert pd.read_csv(output)["time"].tolist() == frame["time"].tolist()
    alarms = pd.read_csv(StringIO(result.stdout))
    assert set(alarms[["start", "end", "peak"]].to_numpy().ravel()) <= set(frame["time"])


def test_rows_need_not_be_sorted(table, tmp_path):
    shuffled = tmp_path / "shuffled.csv"
    pd.read_csv(table).sample(frac=1, random_state=0).to_csv(shuffled, index=False)
    options = ("--time", "time", "--key", "unit", "--format", "csv", "--top", 1)
    found = [run("series", path, *options) for path in (shuffled, table)]
    tables = [pd.read_csv(StringIO(result.stdout)) for result in found]
    assert tables[0]["peak"].tolist() == tables[1]["peak"].tolist()
    assert re.search(r"rows are sorted by time, which goes back \d{3} times", found[0].stderr)
    assert "sorted by" not in found[1].stderr


def test_a_stretch_without_values_is_named(table, tmp_path):
    frame = pd.read_csv(table)[["time", "unit", "load"]]
    frame = frame[frame["unit"] == "one"].drop(columns="unit").reset_index(drop=True)
    frame.loc[300:400, "load"] = np.nan
    frame.loc[500, "time"] = frame.loc[499, "time"]
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    result = run("series", tmp_path / "gaps.csv", "--time", "time", "--format", "csv", "--top", 1)
    alarm = pd.read_csv(StringIO(result.stdout), parse_dates=["peak"]).iloc[0]
    assert alarm["channels"] == "(no value)"
    assert pd.Timestamp(frame["time"][300]) < alarm["peak"] < pd.Timestamp(frame["time"][400])
    assert "Rows with the time of the row before them: 1 of 960." in result.stderr


def test_the_strongest_intervals_are_shown_in_the_order_of_time(tmp_path):
    rng, hours = np.random.default_rng(0), pd.date_range("2024", periods=2400, freq="h")
    load = np.sin(np.arange(2400) * np.pi / 12) + 0.1 * rng.normal(size=2400)
    old = pd.DataFrame({"time": hours, "load": load.round(3)})
    old.to_csv(tmp_path / "old.csv", index=False)
    for at, size in ((200, 2), (600, 1), (1500, 9), (2000, 5)):
        old.loc[at, "load"] += size
    old.to_csv(tmp_path / "new.csv", index=False)
    options = ("--train", tmp_path / "old.csv", "--time", "time", "--format", "csv", "--top")
    shown = {
        top: pd.read_csv(StringIO(run("series", tmp_path / "new.csv", *options, top).stdout))
        for top in (2, 100)
    }
    assert len(shown[100]) >= 4
    expected = shown[100].nsmallest(2, "score").sort_values("start").reset_index(drop=True)
    pd.testing.assert_frame_equal(shown[2], expected)


def test_rows_and_names_that_cannot_be_used_are_those_of_the_file(table, tmp_path):
    frame = pd.read_csv(table)[::-1].reset_index(drop=True)
    frame.loc[6, "unit"] = None
    frame.rename(columns={"unit": "label"}).to_csv(tmp_path / "labels.csv", index=False)
    for options, message in (
        ((), "--key label: row 7 has no key"),
        (("--output", tmp_path / "points.csv"), "--key label is the name of a column of the out"),
    ):
        labels = ("--time", "time", "--key", "label", *options)
        result = run("series", tmp_path / "labels.csv", *labels)
        assert result.exit_code == 2
        assert message in result.stderr


def test_nothing_strange_is_an_empty_table(tmp_path):
    hours = pd.date_range("2024-01-01", periods=500, freq="h")
    frame = pd.DataFrame({"time": hours, "load": np.sin(np.arange(500) * np.pi / 12).round(6)})
    frame.to_csv(tmp_path / "calm.csv", index=False)
    shown = {}
    for form in ("table", "csv", "json"):
        result = run("series", tmp_path / "calm.csv", "--time", "time", "--format", form)
        assert result.exit_code == 0, result.output
        assert "0 intervals with 0 of 500 points flagged" in result.stderr
        shown[form] = result.stdout
    assert shown == {"table": "", "csv": "start,end,peak,score,channels\n", "json": ""}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--time", "clock"), "no column named 'clock'"),
        (("--time", "valve"), "--time valve: row 1 holds 'shut', which is neither a time nor"),
        (("--time", "time", "--exclude", "colour"), "no column named 'colour'"),
        (("--time", "time", "--key", "machine"), "no column named 'machine'"),
        (("--time", "time", "--key", "time"), "--key time is also --time"),
        ((), "--time"),
    ],
)
def test_refusals_are_one_line(table, options, message):
    result = run("series", table, *options)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
