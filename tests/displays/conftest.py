"""Figures are drawn in memory, and closed."""

import matplotlib
import pytest


@pytest.fixture(autouse=True)
def figures():
    from matplotlib import pyplot

    settings = dict(matplotlib.rcParams)
    yield
    pyplot.close("all")
    assert dict(matplotlib.rcParams) == settings
