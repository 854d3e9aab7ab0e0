"""The first cases of what `python tests/fuzz.py` runs for as long as one likes."""

from importlib import import_module

import pytest


@pytest.mark.parametrize(("module", "n_cases"), [("fuzz", 200), ("fuzz_tables", 1000)])
def test_random_cases(module, n_cases):
    check = import_module(module).check
    for n in range(n_cases):
        check(0, n)
