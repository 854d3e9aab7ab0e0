"""Warnings that point at the user's own line, whatever lies between it and where they arise."""

import sys
import sysconfig
import warnings
from collections.abc import Iterable
from types import FrameType

BETWEEN = {"aedetect", "dask", "distributed", "joblib", "sklearn", "torch"}
PYTHONS_OWN = sysconfig.get_path("stdlib"), "<frozen"  # where files of the standard library are


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line that is in none of these packages, nor in the standard library.

    Where there is none, as in a thread that runs nothing else, Python names the module `sys`.
    """
    frame, level = sys._getframe().f_back, 2
    while frame and _lies_between(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _lies_between(frame: FrameType) -> bool:
    package = frame.f_globals.get("__name__", "").partition(".")[0]
    if package in sys.stdlib_module_names:  # or a user's module that is named so
        return frame.f_code.co_filename.startswith(PYTHONS_OWN)
    return package in BETWEEN


def warn_all(found: Iterable[tuple[str, type[Warning]]]) -> None:
    """Say all that was found, each as what it is."""
    for message, category in found:
        warn(message, category)
