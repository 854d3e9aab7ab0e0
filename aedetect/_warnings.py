"""Warnings that point at the user's own line, whatever lies between it and where they arise."""

import sys
import warnings

BETWEEN = {"aedetect", "joblib", "sklearn", "torch", *sys.stdlib_module_names}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line that is in none of the packages above.

    Where there is none, as in a thread that runs nothing else, Python names the module `sys`.
    """
    frame, level = sys._getframe().f_back, 2
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
