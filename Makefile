# Two commands do everything on a machine that has only Python and a package index:
#   make demo    the main job on real data
#   make test    every test
# Both work in a virtual environment of their own, .venv.
PYTHON ?= python3
PYTHONS ?= python3.11 python3.13
BIN := .venv/bin
TEST := $(BIN)/python -m pytest -n 2
# Where there is no AVX-512, its kernels cannot run, and those of Haswell are used anyway.
AVX512 := $(shell grep -qs avx512 /proc/cpuinfo && \
    echo "OPENBLAS_CORETYPE=SkylakeX 'OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2'")

.PHONY: demo test test-machines test-versions lint clean

.venv/made: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/made
	$(BIN)/aedetect demo

test: .venv/made
	$(TEST)

# The tests that depend on rounding, as on other processors, each with its kernels of all libraries;
# the last with two threads as well.
test-machines: .venv/made
	@$(if $(AVX512),,echo "Left out, for want of AVX-512: SkylakeX; Haswell is what make test runs on here")
	@for machine in $(AVX512) \
	    'MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Nehalem ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=2'; do \
	    echo "Environment: $$machine"; \
	    env $$machine $(TEST) -m machines || { echo "Failed in environment: $$machine"; exit 1; }; \
	done

# The oldest and the newest versions that pyproject.toml allows, on each of these Pythons that is here.
test-versions:
	$(PYTHON) tests/versions.py $(PYTHONS)

lint: .venv/made
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
