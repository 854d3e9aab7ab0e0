"""Run all tests with the oldest and the newest versions allowed, each in an environment of its own.

python tests/versions.py python3.11 python3.13
"""

import json
import subprocess
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHOWN = ("torch", "numpy", "pandas", "scikit-learn")


def lower_bounds():
    """What pyproject.toml asks of those who use the package, each at its oldest version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    required = project["dependencies"] + extras["parquet"] + extras["plot"]
    return [requirement.replace(">=", "==") for requirement in required]


def tried(interpreter, pins):
    """Versions that were installed, and whether the tests pass with them."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "install", "--quiet", "--editable", ".[test]", *pins], cwd=ROOT, check=True
        )
        listed = subprocess.run([*pip, "list", "--format=json"], capture_output=True, check=True)
        versions = {package["name"]: package["version"] for package in json.loads(listed.stdout)}
        tests = subprocess.run([python, "-m", "pytest", "-n", "2"], cwd=ROOT)
        return [versions[name] for name in SHOWN], tests.returncode == 0
