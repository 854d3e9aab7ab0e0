"""Code in the documents runs; docstrings of public names are complete."""

import ast
import inspect
import re
from pathlib import Path

import numpydoc.validate
import pytest
from click.testing import CliRunner
from matplotlib import pyplot

import aedetect
from aedetect.apps import onnx
from aedetect.apps.cli import main
from aedetect.apps.report import page
from aedetect.detectors import explain
from aedetect.detectors.base import Detector
from aedetect.detectors.decision import Deciding
from aedetect.detectors.wrapper import Wrapper
from aedetect.documented import parameters_in
from aedetect.rows import volume
from aedetect.series import made
from aedetect.tables import reading, writing

ROOT = Path(__file__).parents[1]
MUST_HAVE = {
    "GL01", "GL03", "GL05", "GL06", "GL07", "GL08", "PR01", "PR02", "PR07", "RT01", "SS03",
    "SS06", "YD01",
}  # fmt: skip
CLASSES = [getattr(aedetect, name) for name in aedetect.__all__ if name != "__version__"]
FUNCTIONS = [
    function
    for module in (explain, made, onnx, page, reading, volume, writing)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
]
OWNERS = (
    Detector,
    Deciding,
    Wrapper,
    aedetect.ConformalDetector,
    aedetect.ImageFilter,
    aedetect.PatchDetector,
    aedetect.SeriesDetector,
    aedetect.SlidingWindow,
    aedetect.StreamDetector,
    aedetect.TableEncoder,
    aedetect.TorchFeatures,
)
METHODS = [
    f
    for owner in OWNERS
    for name, f in inspect.getmembers(owner, inspect.isfunction)
    if name in vars(owner) and f.__module__ == owner.__module__ and inspect.getdoc(f)
]
DRAWING = [
    getattr(display, name)
    for display in CLASSES
    for name in ("from_estimator", "from_predictions", "plot")
    if display.__name__.endswith("Display") and hasattr(display, name)
]
PUBLIC = [
    *CLASSES,
    *DRAWING,
    *FUNCTIONS,
    *(f for f in METHODS if f.__doc__ and not f.__name__.startswith("_")),
]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/DISPLAYS.md"])
@pytest.mark.usefixtures("capsys")
def test_code_blocks_run_in_order(document):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert blocks
    names = {"__name__": document}
    for block in blocks:
        exec(compile(block, document, "exec"), names)
    pyplot.close("all")


def test_commands_say_what_the_document_says(tmp_path, monkeypatch):
    """But for digits, and for the rows of tables, which rounding may put in another order."""
    text = (ROOT / "docs" / "COMMANDS.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], {})
    n_commands = 0
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for printed in re.split(r"^\$ aedetect ", block, flags=re.MULTILINE)[1:]:
            command, *lines = printed.splitlines()
            result = CliRunner().invoke(main, command.split())
            rows = re.compile(r"^ *[\d{]|^ *[a-z]+ +[\d.]+ +[\d.]+ ")
            told, expected = (
                [re.sub(r"[\d., ]+", " ", line) for line in some if not rows.match(line)]
                for some in (result.output.splitlines(), lines)
            )
            assert sorted(told) == sorted(expected), command
            n_commands += 1
    assert n_commands == 11


@pytest.mark.parametrize("public", PUBLIC, ids=lambda f: f.__qualname__)
def test_docstring_is_complete(public):
    found = numpydoc.validate.validate(f"{public.__module__}.{public.__qualname__}")["errors"]
    assert [error for error in found if error[0] in MUST_HAVE] == []


@pytest.mark.parametrize("public", CLASSES, ids=lambda f: f.__qualname__)
def test_signatures_are_short_and_every_parameter_is_documented(public):
    parameters = inspect.signature(public).parameters
    if isinstance(public, type):
        assert all(p.annotation is p.empty for p in parameters.values())
    assert parameters.keys() <= parameters_in(inspect.getdoc(public)).keys()


def test_names_and_imports_for_type_checkers_agree():
    tree = ast.parse(Path(aedetect.__file__).read_text())
    imported = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert imported == aedetect._HOMES


@pytest.mark.parametrize("public", CLASSES, ids=lambda f: f.__qualname__)
def test_class_has_an_example(public):
    assert ">>> " in public.__doc__


def test_readme_names_everything_exported():
    text = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in text for name in aedetect.__all__ if name != "__version__")
