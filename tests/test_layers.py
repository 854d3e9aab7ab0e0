"""The architecture: imports only point down."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import aedetect

PACKAGE = Path(aedetect.__file__).parent
LAYER = {
    "_params": 0,
    "_files": 0,
    "_text": 0,
    "_threads": 0,
    "_inputs": 0,
    "_warnings": 0,
    "_training": 0,
    "_linear": 0,
    "_neighbours": 1,
    "_rows": 0.5,
    "losses": 0,
    "tables": 1,
    "plot": 0,
    "explain": 0,
    "networks": 1,
    "_detector": 1,
    "_backprop": 2,
    "_calls": 0,
    "_promise": 1,
    "_replay": 2,
    "_frame": 2,
    "_jacobian": 2,
    "_report": 2,
    "pca": 2,
    "_latent": 3,
    "_stack": 3,
    "autoencoder": 4,
    "kernel": 2,
    "convolution": 2,
    "corruption": 1,
    "sparse": 5,
    "denoising": 5,
    "contractive": 5,
    "_posterior": 5,
    "variational": 6,
    "memory": 5,
    "metrics": 1,
    "_splits": 0,
    "ensemble": 6,
    "core": 1,
    "_swaps": 5,
    "_parts": 6,
    "anomaly": 7,
    "model_selection": 6,
    "demo": 8,
    "cli": 9,
    "__main__": 10,
    "__init__": 11,
}


def imported(path):
    """Modules of the package that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield from (
                [node.module]
                if node.module
                else [alias.name for alias in node.names if alias.name in LAYER]
            )


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_point_down(path):
    for module in imported(path):
        assert LAYER[module] < LAYER[path.stem], f"{path.stem} imports {module}"


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
    assert heavy not in modules_after("import aedetect, aedetect.cli")


@pytest.mark.parametrize("module", ["pca", "tables", "plot", "explain"])
def test_module_without_networks_needs_no_torch(module):
    loaded = modules_after(f"import aedetect.{module}")
    assert "torch" not in loaded


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Autodecoder'"):
        _ = aedetect.Autodecoder
    assert set(aedetect.__all__) <= set(dir(aedetect))


def test_what_is_imported_is_what_is_installed():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["parquet"], *extras["plot"]]
    others = {"scipy", "aedetect", *sys.stdlib_module_names}  # scikit-learn brings scipy
    used = {name for path in PACKAGE.glob("*.py") for name in top_level(path)} - others
    names = {name.partition(">")[0].replace("scikit-learn", "sklearn") for name in declared}
    assert used == names


def top_level(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]
