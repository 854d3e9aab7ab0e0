# Two commands do everything on a machine that has only Python and a package index:
#   make demo    the main job on real data
#   make test    every test
# Both work in a virtual environment of their own, .venv.
PYTHON ?= python3
BIN := .venv/bin
# One thread a process: a small step on two threads waits longer for the other thread than it computes.
export OMP_NUM_THREADS ?= 1
export SCIPY_ARRAY_API = 1

.PHONY: demo test lint clean

.venv/made: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/made
	$(BIN)/aedetect demo

test: .venv/made
	$(BIN)/python -m pytest -n 2

lint: .venv/made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
