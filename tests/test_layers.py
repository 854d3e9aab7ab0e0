"""The architecture: imports only point down."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import aedetect

PACKAGE = Path(aedetect.__file__).parent
ROOMS = [  # from the ground up; a file imports from its own room and from those before
    "warn",
    "documented",
    "params",
    "files",
    "chance",
    "rows",
    "metrics",
    "tables",
    "images",
    "networks",
    "objectives",
    "training",
    "models",
    "detectors",
    "model_selection",
    "series",
    "displays",
    "apps",
    "report",
    "__main__",
    "__init__",
]


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """Rooms that a file imports from, wherever in it."""
    above = len(path.relative_to(PACKAGE).parts)  # dots that lead to the package
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == above:
            yield from [node.module.partition(".")[0]] if node.module else ["__init__"]


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = room_of(path)
    for room in imported(path):
        names = room == "__init__" and here == "apps"  # what users import
        assert names or ROOMS.index(room) <= ROOMS.index(here), f"{path} imports {room}"


def modules_after(code):
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


@pytest.mark.parametrize("heavy", ["torch", "sklearn", "pandas"])
def test_command_line_starts_without(heavy):
    assert heavy not in modules_after("import aedetect, aedetect.apps.cli")


DISPLAYS = [f"displays.{path.stem}" for path in (PACKAGE / "displays").glob("*.py")]


@pytest.mark.parametrize(
    "module", ["detectors.pca", "tables.reading", "detectors.explain", "metrics", *DISPLAYS]
)
def test_module_without_networks_needs_no_torch_and_nothing_that_draws(module):
    loaded = modules_after(f"import aedetect.{module}")
    assert not {"torch", "matplotlib"} & set(loaded)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Autodecoder'"):
        _ = aedetect.Autodecoder
    assert set(aedetect.__all__) <= set(dir(aedetect))


def test_what_is_imported_is_what_is_installed():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    of_code = ("images", "onnx", "parquet", "plot", "report")
    declared = [*project["dependencies"], *(line for name in of_code for line in extras[name])]
    others = {"scipy", "aedetect", *sys.stdlib_module_names}  # scikit-learn brings scipy
    used = {name for path in PACKAGE.rglob("*.py") for name in top_level(path)} - others
    modules = {"scikit-learn": "sklearn", "pillow": "PIL"}
    names = {modules.get(name, name) for name in (line.partition(">")[0] for line in declared)}
    assert used == names


def top_level(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]
