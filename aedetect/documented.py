"""Docstrings and signatures of classes that inherit parameters, completed from one source."""

import inspect
import re
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from typing import Any

SECTION = re.compile(r"Parameters\n-+\n(.*?)(?=\n\n\w[\w ]*\n-{3,}|\Z)", re.DOTALL)


def complete(cls: Any) -> None:
    """Give a class of parameters a readable signature, and the parameters of its bases to its text.

    Parameters
    ----------
    cls : type
        A dataclass; its docstring has numpydoc's sections.
    """
    cls.__signature__ = Signature(
        [
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                default=Parameter.empty if field.default is MISSING else field.default,
            )
            for field in fields(cls)
        ]
    )
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    own = parameters_in(text)
    inherited: dict[str, str] = {}
    for base in cls.__mro__[1:]:
        for name, entry in parameters_in(inspect.cleandoc(base.__doc__ or "")).items():
            inherited.setdefault(name, entry)
    wanted = [field.name for field in fields(cls) if field.name not in own]
    missing = dict.fromkeys(inherited[name] for name in wanted if name in inherited)
    found = SECTION.search(text)
    if missing and found:
        cls.__doc__ = "\n".join([text[: found.end()].rstrip(), *missing]) + text[found.end() :]


def parameters_in(text: str) -> dict[str, str]:
    """Entries of the section of parameters, by name."""
    found = SECTION.search(text)
    entries = re.split(r"\n(?=\S)", found.group(1)) if found else []
    return {
        name.strip(): entry.rstrip()
        for entry in entries
        for name in entry.partition(" :")[0].split("\n")[0].split(",")
    }
