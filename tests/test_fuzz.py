"""A short run of what `python tests/fuzz.py` runs for as long as one likes."""

from importlib import import_module

import pytest


@pytest.mark.parametrize(("module", "seconds"), [("fuzz", 20), ("fuzz_tables", 20)])
def test_random_cases(module, seconds):
    assert import_module(module).run(seconds, seed=0) > 10
