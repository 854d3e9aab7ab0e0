"""The report: what it says is what the detector says, and nothing in a table is obeyed."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aedetect import (
    Autoencoder,
    ConformalDetector,
    KernelAutoencoder,
    PCADetector,
    Quantile,
    Threshold,
    explain,
    make_detector,
    save,
)
from aedetect.apps.cli import main
from aedetect.report import write_html

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "{{ 7 * 7 }}{% raw %}",
    '=HYPERLINK("http://x.example","y")',
    "\"'`&amp;<!--",
    "a\u2028b\u2029c\u202ed\x1be",
]


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.content, self.within = {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.within = dict(attrs).get("id", tag)

    def handle_endtag(self, tag):
        self.within = ""

    def handle_data(self, data):
        self.content[self.within] = data
        self.texts.append(data)


def report(detector, X, folder, **options):
    """The page, and the content beside it, of which the page has the same in it."""
    write_html(detector, X, folder / "page.html", json_path=folder / "page.json", **options)
    page = Page((folder / "page.html").read_text(encoding="utf-8"))
    content = json.loads((folder / "page.json").read_text())
    assert json.loads(page.content["report"]) == content
    return page, content


@pytest.fixture(scope="module")
def machines():
    """Numbers, texts, times, gaps and an id; five rows break the rule, as `y` says."""
    rng = np.random.default_rng(0)
    load = rng.uniform(10, 90, 400)
    table = pd.DataFrame(
        {
            "id": np.arange(400),
            "model": rng.choice(["K2", "K3"], 400),
            "load": [f"{x:.0f} %" for x in load],
            "temperature": 40 + 0.4 * load + rng.normal(0, 1, 400),
            "when": pd.Timestamp("2024-01-01")
            + pd.to_timedelta(rng.integers(10**6, size=400), unit="s"),
        }
    )
    table.loc[:99, "temperature"] = np.nan
    table.loc[200:204, "temperature"] = [150, 160, 170, 180, 190]
    y = np.ones(400, int)
    y[200:205] = -1
    table.attrs["name"] = "machines.csv"
    return table, y


@pytest.fixture(scope="module")
def detector(machines):
    return make_detector(PCADetector(latent_dim=2)).fit(machines[0])


pytestmark = pytest.mark.filterwarnings("ignore:Columns are left out")


def test_numbers_are_the_detectors_own(machines, detector, tmp_path):
    X, y = machines
    _, content = report(detector, X, tmp_path, y=y, top=30)
    scores, order = detector.score_samples(X), np.argsort(detector.score_samples(X))[:30]
    rows = content["rows"]
    assert [row["row"] - 1 for row in rows] == order.tolist()
    assert [row["score"] for row in rows] == scores[order].tolist()
    assert [row["flagged"] for row in rows] == (detector.predict(X)[order] == -1).tolist()
    assert [row["label"] for row in rows] == y[order].tolist()
    known = detector[-1].calibration_scores_
    p = [(1 + (known <= score).sum()) / (1 + len(known)) for score in scores[order]]
    np.testing.assert_allclose([row["p_value"] for row in rows], p)
    assert content["offset"] == detector[-1].offset_
    assert content["agreement"]["outliers"] == 5
    assert content["agreement"]["auroc"] == roc_auc_score(y, scores)
    told = explain(detector, X, top=10)
    for row in rows:
        mine = told[told["row"] == row["row"] - 1]
        for name in ("column", "direction"):
            assert [it[name] for it in row["columns"]] == mine[name].tolist()
        np.testing.assert_allclose([it["share"] for it in row["columns"]], mine["share"])
        shown = [it["expected"] for it in row["columns"]]
        for value, wanted in zip(shown, mine["expected"], strict=True):
            if isinstance(wanted, float):
                assert value == pytest.approx(wanted)
            else:
                assert value == str(wanted)


def test_each_threshold_counts_all_rows(machines, detector, tmp_path):
    X, y = machines
    _, content = report(detector, X, tmp_path, y=y)
    scores, at = detector.score_samples(X), content["scores"]["thresholds"]
    known = detector[-1].calibration_scores_
    assert at["error"] == sorted(set(at["error"]))
    assert at["error"][content["scores"]["chosen"]] == -detector[-1].offset_
    for i, error in enumerate(at["error"]):
        flagged = scores < -error
        assert at["flagged"][i] == flagged.sum()
        assert at["outliers"][i] == (y[flagged] == -1).sum()
        alarms = (1 + (known < -error).sum()) / (1 + len(known))
        assert at["false_alarms"][i] == pytest.approx(alarms)
    assert at["flagged"][-1] == 0
    edges, counts = content["scores"]["edges"], content["scores"]["counts"]
    assert sum(counts) == 400
    inner = np.histogram(-scores, edges)[0]
    assert counts[1:-1] == inner[1:-1].tolist()


@pytest.mark.parametrize("labelled", [False, True])
def test_calibration_compares_p_values_with_their_shares(labelled, machines, detector, tmp_path):
    X, y = machines
    _, content = report(detector, X, tmp_path, y=y if labelled else None)
    Z = detector[:-1].transform(X)
    p = detector[-1].p_values(Z)[y == 1] if labelled else detector[-1].p_values(Z)
    for it in content["calibration"]:
        assert it["observed"] == (p <= it["nominal"]).mean()


def test_columns_are_told_with_types_gaps_and_reasons(machines, detector, tmp_path):
    X = machines[0].assign(note="x")
    page, content = report(detector, X, tmp_path)
    told = {it["column"]: (it["type"], it["gaps"], it["left_out"]) for it in content["columns"]}
    assert told == {
        "id": (None, 0, "is a running number"),
        "model": ("category", 0, None),
        "load": ("number", 0, None),
        "temperature": ("number", 0.25, None),
        "when": ("time", 0, None),
        "note": (None, 0, "was not learned from"),
    }
    assert "machines.csv" in page.texts
    assert content["detector"][-1] == {"step": "PCADetector", "settings": {"latent_dim": "2"}}
    assert content["seed"] == "not needed"
    assert content["versions"]["numpy"] == np.__version__


@pytest.mark.filterwarnings("ignore:The network did not learn")
@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"learning_rate": 1e-9, "epochs": 1}, "It did not learn"),
        ({"epochs": 3, "latent_dim": 4}, "It learned less"),
        ({"epochs": 100, "latent_dim": 1}, "It learned:"),
    ],
)
def test_the_verdict_follows_from_the_errors(options, verdict, tmp_path, rng):
    t = rng.uniform(-3, 3, (500, 1))
    X = np.hstack([np.sin(t), np.cos(t), t, np.sin(2 * t), np.cos(2 * t)])
    detector = Autoencoder(random_state=7, **options).fit(X)
    _, content = report(detector, X, tmp_path)
    assert content["fit"].pop("verdict").startswith(verdict)
    assert content["fit"].items() <= detector.fit_report_.items()
    assert content["seed"] == 7
    assert content["detector"][0]["settings"].items() >= {"random_state": "7"}.items()


def test_nothing_in_a_table_is_obeyed(machines, detector, tmp_path, rng):
    cells = rng.choice(HOSTILE, (200, 2))
    X = pd.DataFrame(rng.normal(size=(200, len(HOSTILE))), columns=HOSTILE)
    X = X.assign(kind=cells[:, 0], **{"\r\n": cells[:, 1]})
    X.attrs |= {"name": HOSTILE[1], "notes": [HOSTILE[0]]}
    page, content = report(make_detector(PCADetector()).fit(X), X, tmp_path)
    source = (tmp_path / "page.html").read_text(encoding="utf-8")
    harmless, _ = report(detector, machines[0], tmp_path)
    assert page.tags.count("script") == 2
    assert set(page.tags) == set(harmless.tags)
    assert {it["column"] for it in content["columns"]} == {*X.columns}
    shown = "\n".join(page.texts)
    for text in [*HOSTILE[:-1], r"a\u2028b\u2029c\u202ed\x1be", r"\r\n"]:
        assert text in shown
    assert not re.search("[\u2028\u2029\u202e\x1b]", source)


def test_a_page_asks_for_nothing(machines, detector, tmp_path):
    page, _ = report(detector, machines[0], tmp_path)
    links = [value for _, name, value in page.attributes if name in ("href", "src", "action")]
    assert links
    assert all(link.startswith("#") for link in links)
    anchors = {value for _, name, value in page.attributes if name == "id"}
    assert {link[1:] for link in links} <= anchors
    assert not any(name == "style" or name.startswith("on") for _, name, _ in page.attributes)
    policy = next(v for _, name, v in page.attributes if name == "content" and "default" in v)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for kind in ("style", "script"):
        digest = hashlib.sha256(page.content[kind].encode()).digest()
        assert rules[f"{kind}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"


def test_long_cells_and_many_columns_do_not_make_a_large_page(tmp_path, rng):
    X = pd.DataFrame(rng.normal(size=(100, 220)), columns=[f"{i}" + "<" * 900 for i in range(220)])
    texts = np.array([f"{i}" + "\U0001f600<" * 300 for i in range(10)], object)
    for i in range(1, 220, 2):
        X.isetitem(i, rng.choice(texts, 100))
    detector = make_detector(PCADetector(contamination=0.1), max_categories=1).fit(X)
    page, content = report(detector, X, tmp_path)
    assert (tmp_path / "page.html").stat().st_size < 5e6
    assert (content["n_columns"], len(content["columns"])) == (220, 200)
    assert any("of which the first 200 are listed" in text for text in page.texts)
    assert {len(row["columns"]) for row in content["rows"]} == {10}


def test_many_rows_are_counted_and_few_are_listed(tmp_path, rng):
    X = rng.normal(size=(30_000, 10))
    detector = PCADetector().fit(X[:2000])
    _, content = report(detector, X, tmp_path, top=1000)
    assert len(content["rows"]) == 1000
    assert sum(content["scores"]["counts"]) == 30_000
    assert (tmp_path / "page.html").stat().st_size < 5e6


def test_wrong_cells_of_the_strangest_rows_are_no_obstacle(tmp_path, rng):
    a = rng.normal(size=300)
    X = pd.DataFrame({"a": a, "b": 2 * a, "c": -a}).astype(object)
    detector = make_detector(PCADetector(latent_dim=1)).fit(X)
    X.loc[:4, "a"], X.loc[:4, "b"] = "broken", 99.0
    with pytest.warns(UserWarning, match="5 cells are no numbers"):
        _, content = report(detector, X, tmp_path, top=5)
    assert {row["row"] for row in content["rows"]} == {1, 2, 3, 4, 5}
    gaps = {it["column"]: it["gaps"] for it in content["columns"]}
    assert gaps == {"a": 5 / 300, "b": 0, "c": 0}
    missing = [it for row in content["rows"] for it in row["columns"] if it["column"] == "a"]
    assert all(it["observed"] is None and it["direction"] == "missing" for it in missing)


AROUND = {
    "threshold": lambda: Threshold(estimator=make_detector(PCADetector()), rule=Quantile()),
    "conformal": lambda: ConformalDetector(estimator=make_detector(PCADetector()), random_state=0),
    "within": lambda: make_pipeline(StandardScaler(), ConformalDetector(estimator=PCADetector())),
    "unlike": lambda: ConformalDetector(
        estimator=PCADetector(), method="jackknife+", alpha=0.2, cv=3
    ),
    "flags nothing": lambda: ConformalDetector(estimator=make_detector(PCADetector()), alpha=0.001),
}


@pytest.mark.filterwarnings("ignore:alpha=0.001 flags nothing")
@pytest.mark.parametrize("kind", AROUND)
def test_wrappers_decide_and_what_they_are_around_explains(kind, tmp_path, rng):
    X = pd.DataFrame(rng.normal(size=(120, 1)) + 0.1 * rng.normal(size=(120, 4)), columns=[*"abcd"])
    detector = AROUND[kind]().fit(X)
    _, content = report(detector, X, tmp_path)
    chosen = content["scores"]["chosen"]
    n_flagged = (detector.predict(X) == -1).sum()
    assert content["scores"]["thresholds"]["flagged"][chosen] == n_flagged
    assert sum(row["flagged"] for row in content["rows"]) == n_flagged
    assert (content["offset"] is None) == (kind == "flags nothing")
    assert (content["calibration"] is None) == (kind == "unlike")
    if kind == "conformal":
        p = np.sort(detector.p_values(X))[:50]
        np.testing.assert_allclose([row["p_value"] for row in content["rows"]], p)
        inner = explain(detector.estimator_, X.iloc[[content["rows"][0]["row"] - 1]], top=1)
        assert content["rows"][0]["columns"][0]["column"] == inner["column"][0]


@pytest.mark.parametrize("scale", [1e-160, 1.0, 1e90])
@pytest.mark.parametrize("kind", ["equal errors", "no values", "one row"])
def test_errors_of_any_size_have_an_axis(kind, scale, tmp_path, rng):
    X = scale * rng.normal(size=(100, 4))
    detector = PCADetector().fit(X)
    rows = {
        "equal errors": np.repeat(X[:1], 20, axis=0),
        "no values": np.r_[X, np.full((1, 4), np.nan)],
        "one row": X[:1],
    }[kind]
    page, content = report(detector, rows, tmp_path)
    scores, chosen = detector.score_samples(rows), content["scores"]["chosen"]
    flagged = content["scores"]["thresholds"]["flagged"]
    assert flagged[chosen] == (scores < detector.offset_).sum()
    assert flagged[-1] == 0
    assert sum(content["scores"]["counts"]) == len(rows)
    assert all(np.diff(content["scores"]["edges"]) > 0)
    assert not any("nan" in str(value) for *_, value in page.attributes)


def test_a_detector_without_calibration_says_so(tmp_path, digits):
    detector = KernelAutoencoder(contamination=0.1).fit(digits[:100])
    page, content = report(detector, digits[:100], tmp_path)
    assert content["calibration"] is None
    assert content["scores"]["thresholds"]["false_alarms"] is None
    assert content["scores"]["thresholds"]["flagged"][content["scores"]["chosen"]] == 10
    assert sum("cannot be told" in text for text in page.texts) == 2


def test_same_report_same_bytes(machines, detector, tmp_path):
    for name in ("a.html", "b.html"):
        write_html(detector, machines[0], tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


X = np.random.default_rng(0).normal(size=(50, 3))
FITTED = PCADetector().fit(X)
REFUSED = {
    "unfitted": ((PCADetector(), X), {}, NotFittedError, "not fitted"),
    "no detector": (("pca", X), {}, TypeError, "detector='pca'; expected a fitted detector"),
    "scaler": ((StandardScaler().fit(X), X), {}, TypeError, "expected a fitted detector"),
    "no rows": ((FITTED, X[:0]), {}, ValueError, r"0 sample\(s\)"),
    "other columns": ((FITTED, X[:, :2]), {}, ValueError, "2 features"),
    "top": ((FITTED, X), {"top": 0}, ValueError, "top=0; expected an integer at least 1"),
    "labels": ((FITTED, X), {"y": np.arange(50) % 2}, ValueError, "y holds 0, 1; expected"),
    "few labels": ((FITTED, X), {"y": [1, -1]}, ValueError, r"y has shape \(2,\); expected \(50,"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_reported_is_refused_and_the_file_kept(kind, tmp_path):
    arguments, options, error, message = REFUSED[kind]
    (tmp_path / "page.html").write_text("old")
    with pytest.raises(error, match=message):
        write_html(*arguments, tmp_path / "page.html", **options)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("page.html", "old")]


def test_both_files_are_written_or_none(tmp_path):
    nowhere = tmp_path / "nowhere" / "page"
    with pytest.raises(OSError, match="cannot be written: No such file"):
        write_html(FITTED, X, nowhere)
    with pytest.raises(OSError, match="cannot be written: No such file"):
        write_html(FITTED, X, tmp_path / "page.html", json_path=nowhere)
    with pytest.raises(ValueError, match="is where the page goes"):
        write_html(FITTED, X, tmp_path / "page", json_path=tmp_path / "page")
    assert not list(tmp_path.iterdir())


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def table(machines, tmp_path):
    X, y = machines
    X.assign(state=np.where(y == 1, "ok", "broken")).to_csv(tmp_path / "in.csv", index=False)
    return tmp_path / "in.csv"


def test_a_table_is_learned_from_and_reported(table, tmp_path):
    files = ["--output", tmp_path / "page.html", "--json", tmp_path / "page.json"]
    options = ["--label", "state", "--outlier", "broken", "--top", 7, "--detector", "pca"]
    result = run("report", table, *files, *options)
    assert result.exit_code == 0, result.output
    assert "a report of 400 rows" in result.stderr
    content = json.loads((tmp_path / "page.json").read_text())
    assert content["name"] == "in.csv"
    assert {row["row"] for row in content["rows"]} >= {201, 202, 203, 204, 205}
    assert len(content["rows"]) == 7
    assert content["agreement"]["auroc"] == 1
    assert "state" not in {it["column"] for it in content["columns"]}


def test_a_model_reports_on_another_table(table, detector, tmp_path):
    save(detector, tmp_path / "model")
    model = ["--model", tmp_path / "model"]
    files = ["--output", tmp_path / "page.html", "--json", tmp_path / "page.json"]
    result = run("report", table, *files, *model)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "page.json").read_text())
    assert content["offset"] == detector[-1].offset_
    assert content["columns"][-1] == {
        "column": "state", "type": None, "gaps": 0.0, "left_out": "was not learned from",
    }  # fmt: skip
    for option in (["--seed", 0], ["--exclude", "id"]):
        refused = run("report", table, *files, *model, *option)
        assert refused.exit_code == 2
        assert f"--model learns nothing; leave out {option[0]}" in refused.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '--output'"),
        (["--output", "no/page.html"], "--output no/page.html: its folder does not exist"),
        (["--output", "page.html", "--json", "no/x"], "--json no/x: its folder does not exist"),
        (["--output", "page.html", "--top", "0"], "not in the range 1<=x<=1000"),
        (["--output", "page.html", "--normal", "ok"], "name the column it stands in"),
    ],
)
def test_unusable_options_are_one_line(options, message, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("report", table, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "detector",
    [
        make_pipeline("passthrough", PCADetector(latent_dim=2)),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), PCADetector(latent_dim=2))),
        Threshold(estimator=ConformalDetector(estimator=PCADetector(latent_dim=2))),
    ],
    ids=["passthrough", "nested", "wrapped twice"],
)
def test_steps_in_steps(detector, tmp_path, rng):
    X = rng.normal(size=(200, 4))
    _, content = report(detector.fit(X), X, tmp_path)
    flagged = (detector.predict(X) == -1).sum()
    chosen = content["scores"]["chosen"]
    assert content["scores"]["thresholds"]["flagged"][chosen] == flagged
