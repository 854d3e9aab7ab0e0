"""The report in a browser: what moves, what is read aloud, and that nothing leaves the page.

Needs Chromium or Chrome; AEDETECT_BROWSER names one, or is 1 where one must be there.
"""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect, sync_playwright

from aedetect import PCADetector, make_detector
from aedetect.report import write_html

WANTED = os.environ.get("AEDETECT_BROWSER")
NAMES = ["chromium", "chromium-browser", "google-chrome"] if WANTED in (None, "", "1") else [WANTED]
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
if not (WANTED or BROWSER):
    pytest.skip("no browser is installed", allow_module_level=True)

HOSTILE = [
    "<script>document.title = 'obeyed'</script>",
    "</script><img src='http://x.example/y' onerror=alert(1)>",
    "{{ 7 * 7 }}",
    '=HYPERLINK("http://x.example")',
    "\"'><svg onload=alert(2)>",
    "line\u2028break",
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        assert BROWSER, f"AEDETECT_BROWSER={WANTED}, and no browser is there"
        yield playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """What a report says whose names and cells would do harm, and where its page is."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 6)) @ rng.normal(size=(6, 6)), columns=HOSTILE)
    X["kind"] = rng.choice(HOSTILE, 600)
    X.iloc[:20, :3] *= 6
    X.attrs["name"] = HOSTILE[1]
    y = np.where(np.arange(600) < 20, -1, 1)
    folder = tmp_path_factory.mktemp("report")
    detector = make_detector(PCADetector()).fit(X)
    write_html(detector, X, folder / "page.html", y=y, json_path=folder / "page.json")
    return json.loads((folder / "page.json").read_text()) | {"page": folder / "page.html"}


@pytest.fixture
def opened(browser, content):
    """Opens the page from disk; at the end, it has asked for nothing and complained of nothing."""
    pages, said, requests = [], [], []

    def opened(fragment="", **options):
        page = browser.new_page(**options)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(content["page"].as_uri() + fragment)
        pages.append(page)
        return page

    yield opened
    assert said == []
    assert {url.partition("#")[0] for url in requests} == {content["page"].as_uri()}
    for page in pages:
        page.close()


def shown_rows(page):
    """Numbers of the rows that are in the table, from above."""
    return [int(text) for text in page.locator("#strangest tbody tr:visible th").all_inner_texts()]


def move_to(page, index):
    page.locator("#threshold").evaluate(
        "(slider, i) => { slider.value = i; slider.dispatchEvent(new Event('input')) }", index
    )


def test_the_threshold_moves_counts_and_rows(opened, content):
    page, at = opened(), content["scores"]["thresholds"]
    chosen, n = content["scores"]["chosen"], len(at["error"])
    assert page.locator("#threshold").input_value() == str(chosen)
    few = int(np.searchsorted(-np.array(at["flagged"]), -3))
    for i in (chosen, 0, few, n - 1):
        move_to(page, i)
        assert page.locator("#flagged").inner_text() == f"{at['flagged'][i]:,}"
        assert page.locator("#outliers").inner_text() == f"{at['outliers'][i]:,}"
        alarms = int(page.locator("#alarms").inner_text().replace(",", ""))
        assert abs(alarms - 600 * at["false_alarms"][i]) <= 0.5
        n_shown = min(max(at["flagged"][i], 10), 50)
        assert shown_rows(page) == [row["row"] for row in content["rows"][:n_shown]]
        assert page.locator("#listed").inner_text() == str(n_shown)
        flagged = page.locator("#strangest tr:visible .flagged").all_inner_texts()
        expected = [-row["score"] > at["error"][i] for row in content["rows"][:n_shown]]
        assert flagged == ["yes" if it else "no" for it in expected]
        line = float(page.locator("#line").get_attribute("x1").removesuffix("%"))
        assert line == pytest.approx(100 * i / (n - 1))
    page.get_by_role("button", name="Back to the detector's threshold").click()
    assert page.locator("#flagged").inner_text() == str(at["flagged"][chosen])


def test_the_threshold_moves_by_keyboard_and_says_so(opened, content):
    page, chosen = opened(), content["scores"]["chosen"]
    slider = page.get_by_role("slider", name="Threshold on the error")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    flagged = content["scores"]["thresholds"]["flagged"][chosen - 1]
    assert slider.input_value() == str(chosen - 1)
    assert slider.get_attribute("aria-valuetext").endswith(f": {flagged} rows flagged")
    expect(page.get_by_role("status")).to_contain_text(f"{flagged} of 600 rows")


@pytest.mark.parametrize("name", ["Row", "Error", "p-value", "Label", "Flagged", "What is strange"])
def test_rows_are_sorted_by_each_column(name, opened, content):
    page = opened()
    head = page.get_by_role("columnheader", name=name)
    place = head.evaluate("head => head.cellIndex")
    rows = {row["row"]: row for row in content["rows"]}
    for order in ("ascending", "descending"):
        head.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == order
        assert page.locator("#strangest [aria-sort]").count() == 1
        numbers = shown_rows(page)
        if name in ("Row", "Error", "p-value", "Label"):
            key = {"Row": "row", "Error": "score", "p-value": "p_value", "Label": "label"}[name]
            values = [-rows[i][key] if key == "score" else rows[i][key] for i in numbers]
            assert values == sorted(values, reverse=order == "descending")
            assert len(set(values)) > 1
        cells = page.locator("#strangest tbody tr").evaluate_all(
            "(rows, i) => rows.map(row => row.cells[i].textContent)", place
        )
        if name in ("Flagged", "What is strange"):
            assert page.evaluate(
                "([cells, sign]) => cells.every((cell, i) => "
                "!i || sign * cells[i - 1].localeCompare(cell, 'en') <= 0)",
                [cells, 1 if order == "ascending" else -1],
            )


def test_a_rows_page_opens_by_keyboard_and_closes(opened, content):
    page = opened()
    first, second = (row["row"] for row in content["rows"][:2])
    page.locator(f"#in-{first}").focus()
    page.keyboard.press("Enter")
    title = page.get_by_role("heading", name=f"Row {first}", exact=True)
    expect(title).to_be_visible()
    expect(page.locator("#strangest")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == f"row-{first}"
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Back to all rows")).to_be_focused()
    page.keyboard.press("Enter")
    expect(title).to_be_hidden()
    expect(page.locator(f"#in-{first}")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("link", name=f"Less strange: row {second}").click()
    expect(page.get_by_role("heading", name=f"Row {second}", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(f"#in-{second}")).to_be_focused()
    page.go_back()
    expect(page.get_by_role("heading", name=f"Row {second}", exact=True)).to_be_visible()


def test_a_link_leads_to_a_rows_page(opened, content):
    row = content["rows"][4]
    page = opened(f"#row-{row['row']}")
    expect(page.get_by_role("heading", level=2)).to_have_text([f"Row {row['row']}"])
    lines = page.get_by_role("table").get_by_role("row").all()[1:]
    assert len(lines) == 7
    for line, it in zip(lines, row["columns"], strict=True):
        shown = it["column"].replace("\u2028", r"\u2028")
        assert line.get_by_role("rowheader").inner_text() == shown
        observed, expected, share = line.get_by_role("cell").all_inner_texts()
        if isinstance(it["observed"], float):
            assert float(observed) == pytest.approx(it["observed"], rel=1e-5)
            assert float(expected) == pytest.approx(it["expected"], rel=1e-5)
        assert share.startswith(f"{it['share']:.1%}")


def test_a_row_that_is_not_shown_comes_back_to_the_table(opened, content):
    last = content["rows"][-1]["row"]
    page = opened(f"#row-{last}")
    expect(page.locator(f"#row-{last}")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(f"#in-{last}")).to_be_focused()


def test_what_would_do_harm_is_shown_as_text(opened):
    page = opened()
    text = page.locator("body").inner_text()
    for hostile in [*HOSTILE[:-1], r"line\u2028break"]:
        assert hostile in text
    assert page.title() == f"Anomaly report: {HOSTILE[1]}"
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2


def contrast(page, selector):
    """WCAG's contrast of a text with the page behind it."""
    colours = page.locator(selector).first.evaluate(
        "e => [getComputedStyle(e).color, getComputedStyle(document.body).backgroundColor]"
    )
    light = []
    for colour in colours:
        c = np.array([float(x) / 255 for x in colour[4:-1].split(",")])
        linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        light.append(linear @ [0.2126, 0.7152, 0.0722] + 0.05)
    return max(light) / min(light)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_the_screen_and_can_be_read(width, scheme, opened, content):
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    for fragment in ("", f"#row-{content['rows'][0]['row']}"):
        page = opened(fragment, **options)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert all(
            contrast(page, f"{selector}:visible") > 4.5 for selector in ("p", "a", ".note", "h2")
        )
        dark = (
            page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        )
        assert dark == (scheme == "dark")
        bar = page.locator("svg:visible rect").nth(1).bounding_box()
        assert bar["width"] > 0
        assert bar["height"] > 0
