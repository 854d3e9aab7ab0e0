"""Run all tests with the oldest and the newest versions allowed, each in an environment of its own.

python tests/versions.py python3.11 python3.13
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from shutil import which

ROOT = Path(__file__).parents[1]
SHOWN = ("torch", "numpy", "pandas", "scikit-learn")
TOOLS = {"test", "benchmark", "dev"}  # extras of those who work on the package
MODERN = {"onnx"}  # extras that need newer versions than the package does


def lower_bounds():
    """What pyproject.toml asks of users, each at the oldest version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    required = sum(
        (extras[name] for name in extras.keys() - TOOLS - MODERN), project["dependencies"]
    )
    return [requirement.replace(">=", "==") for requirement in required]


def runs(interpreter):
    return which(interpreter) and not subprocess.run([interpreter, "-V"]).returncode


def tried(interpreter, extras, pins):
    """Versions that were installed, and what came of the tests."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([interpreter, "-m", "venv", folder], check=True)
        python = f"{folder}/bin/python"
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--editable", f".[{extras}]", *pins]
        if subprocess.run(install, cwd=ROOT).returncode:
            return ["-"] * len(SHOWN), "not installed"
        listed = subprocess.run([*pip, "list", "--format=json"], capture_output=True, check=True)
        versions = {package["name"]: package["version"] for package in json.loads(listed.stdout)}
        tests = [python, "-m", "pytest", "-n", "2", "--quiet", *left_out(extras)]
        failed = subprocess.run(tests, cwd=ROOT).returncode
        return [versions[name] for name in SHOWN], "failed" if failed else "passed"


def left_out(extras):
    """Doctests of what is not installed."""
    return [f"--ignore=aedetect/apps/{name}.py" for name in MODERN - set(extras.split(","))]


def main(interpreters):
    """Try the oldest versions on the first interpreter, the newest on all; print a table."""
    trials = [(interpreters[0], "oldest", "test", lower_bounds())]
    newest = ",".join(["test", *sorted(MODERN)])
    trials += [(interpreter, "newest", newest, []) for interpreter in interpreters]
    table = [("python", "", *SHOWN, "tests")]
    for interpreter, age, extras, pins in trials:
        if runs(interpreter):
            versions, outcome = tried(interpreter, extras, pins)
            table.append((interpreter, age, *versions, outcome))
        else:
            table.append((interpreter, age, *["-"] * len(SHOWN), "not here"))
    for row in table:
        print("".join(f"{cell:14}" for cell in row))
    return any(row[-1] in ("failed", "not installed") for row in table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
