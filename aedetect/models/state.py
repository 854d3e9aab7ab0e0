"""Objects to arrays and plain values, and back: what a file can hold without code."""

import inspect
import math
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ..params import Params, Record, allows, check

PLAIN = (type(None), bool, int, str)
NUMBERS = [np.dtype(code).type for code in "bhilqBHILQefd"]
TYPES: dict[str, type] = {t.__name__: t for t in (*NUMBERS, float, int, str, object)}
TEXT_BYTES = 2**26  # of an array of texts: each takes the room of the longest
PASSING = {"_skl_callbacks", "_parent_callback_ctx"}  # attributes of a run, not of a fit


class Writer:
    """Takes objects apart.

    Parameters
    ----------
    kinds : mapping of str to type
        The classes that may occur.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Found so far; one that occurs twice is kept once.
    """

    def __init__(self, kinds: Mapping[str, type]) -> None:
        self.names = {kind: name for name, kind in kinds.items()}
        self.arrays: dict[str, np.ndarray] = {}
        self.known: dict[int, str] = {}

    def tree(self, thing: Any, path: str) -> Any:
        """Return an object in JSON's terms; `path` is its name in errors."""
        if isinstance(thing, np.generic):
            thing = thing.item()
        if isinstance(thing, PLAIN):
            return thing
        if isinstance(thing, float):
            return thing if math.isfinite(thing) else {"float": str(thing)}
        if isinstance(thing, np.ndarray):
            return self._array(thing, path)
        if isinstance(thing, list):
            return [self.tree(part, f"{path}[{i}]") for i, part in enumerate(thing)]
        if isinstance(thing, tuple):
            return {"tuple": [self.tree(part, f"{path}[{i}]") for i, part in enumerate(thing)]}
        if isinstance(thing, slice):
            return {"slice": [self.tree(x, path) for x in (thing.start, thing.stop, thing.step)]}
        if isinstance(thing, dict):
            pairs = [[self.tree(k, path), self.tree(v, f"{path}.{k}")] for k, v in thing.items()]
            return {"dict": pairs}
        if isinstance(thing, np.dtype) and thing.name in TYPES:
            return {"dtype": thing.name}
        if isinstance(thing, type) and TYPES.get(thing.__name__) is thing:
            return {"type": thing.__name__}
        return self._object(thing, path)

    def _array(self, array: np.ndarray, path: str) -> Any:
        if array.dtype.kind in "OU":
            values = array.tolist()
            if array.dtype.kind == "U" and array.nbytes > TEXT_BYTES:
                raise ValueError(f"{path} takes {array.nbytes:,} bytes; texts may {TEXT_BYTES:,}")
            return {"objects": self.tree(values, path), "unicode": array.dtype.kind == "U"}
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or not array.ndim:
            raise TypeError(
                f"{path} is an array of {array.dtype} with {array.ndim} axes, which a file without "
                "code cannot hold; see aedetect.save for what it can."
            )
        by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
        if id(array) not in self.known:
            self.known[id(array)] = name = str(len(self.arrays))
            self.arrays[name] = array.T if by_columns else array
        return {"columns" if by_columns else "array": self.known[id(array)]}

    def _object(self, thing: Any, path: str) -> Any:
        name = self.names.get(type(thing))
        if name is None:
            raise TypeError(
                f"{path} is a {type(thing).__module__}.{type(thing).__qualname__}, which a file "
                "without code cannot hold; see aedetect.save for what it can."
            )
        values = {key: value for key, value in _parts(thing).items() if key not in PASSING}
        return {"class": name, "parts": {k: self.tree(v, f"{path}.{k}") for k, v in values.items()}}


def _parts(thing: Any) -> dict[str, Any]:
    if is_dataclass(thing) and not isinstance(thing, Params):
        return {field.name: getattr(thing, field.name) for field in fields(thing)}
    return dict(vars(thing))


class Reader:
    """Puts objects together again.

    Parameters
    ----------
    kinds : mapping of str to type
        The classes that may occur.
    arrays : mapping of str to ndarray
        Those that the tree names.
    """

    def __init__(self, kinds: Mapping[str, type], arrays: Mapping[str, np.ndarray]) -> None:
        self.kinds, self.arrays = kinds, arrays
        self.used: set[str] = set()

    def thing(self, tree: Any) -> Any:
        """Return what a tree describes; a ValueError says why it describes nothing."""
        if isinstance(tree, PLAIN) or (isinstance(tree, float) and math.isfinite(tree)):
            return tree
        if isinstance(tree, list):
            return [self.thing(part) for part in tree]
        if isinstance(tree, dict) and set(tree) == {"class", "parts"}:
            return self._object(tree["class"], tree["parts"])
        if isinstance(tree, dict) and set(tree) == {"objects", "unicode"}:
            return self._texts(tree) if tree["unicode"] else self._objects(tree)
        if isinstance(tree, dict) and len(tree) == 1:
            ((kind, value),) = tree.items()
            if reader := getattr(self, f"_{kind}", None) if kind in READERS else None:
                return reader(value)
        raise ValueError(f"{str(tree)[:80]!r} stands for nothing")

    def _objects(self, tree: dict[str, Any]) -> np.ndarray:
        return np.array(self.thing(tree["objects"]), dtype=object)

    def _texts(self, tree: dict[str, Any]) -> np.ndarray:
        texts = self._objects(tree)
        if 4 * texts.size * max(map(len, texts.flat), default=0) > TEXT_BYTES:
            raise ValueError(f"an array of texts takes more than {TEXT_BYTES:,} bytes")
        return texts.astype(str)

    def _float(self, value: Any) -> float:
        if value not in ("nan", "inf", "-inf"):
            raise ValueError(f"{str(value)[:80]!r} is no number")
        return float(value)

    def _array(self, name: Any) -> np.ndarray:
        if not isinstance(name, str) or name not in self.arrays:
            raise ValueError(f"array {str(name)[:80]!r} is missing")
        self.used.add(name)
        return self.arrays[name]

    def _columns(self, name: Any) -> np.ndarray:
        return self._array(name).T

    def _tuple(self, value: Any) -> tuple[Any, ...]:
        return tuple(self.thing(_a(list, value)))

    def _slice(self, value: Any) -> slice:
        start, stop, step = self.thing(_a(list, value))
        return slice(start, stop, step)

    def _dict(self, value: Any) -> dict[Any, Any]:
        return {self.thing(key): self.thing(part) for key, part in _a(list, value)}

    def _dtype(self, value: Any) -> np.dtype:
        return np.dtype(TYPES[_a(str, value)])

    def _type(self, value: Any) -> type:
        return TYPES[_a(str, value)]

    def _object(self, name: Any, parts: Any) -> Any:
        kind = self.kinds.get(name) if isinstance(name, str) else None
        if kind is None:
            raise ValueError(f"{str(name)[:80]!r} is none of the classes that a file may hold")
        values = {key: self.thing(part) for key, part in _a(dict, parts).items()}
        if issubclass(kind, Record) or (is_dataclass(kind) and not issubclass(kind, Params)):
            _check_fields(kind, values)
            return kind(**values)
        _refuse_methods(kind, values)
        thing = object.__new__(kind)
        vars(thing).update(values)
        return check(thing) if isinstance(thing, Params) else thing


READERS = {"float", "array", "columns", "tuple", "slice", "dict", "dtype", "type"}


def _a(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{str(value)[:80]!r} is no {kind.__name__}")
    return value


def _refuse_methods(kind: type, values: dict[str, Any]) -> None:
    """Raise if an attribute would replace something that the class defines."""
    for name in values:
        known = inspect.getattr_static(kind, name, None)
        if name.startswith("__") or inspect.isroutine(known) or hasattr(known, "__get__"):
            raise ValueError(f"{name[:80]!r} of {kind.__name__} is not for a file to say")


def _check_fields(kind: Any, values: dict[str, Any]) -> None:
    """Raise unless each field is there and of the type that it is annotated with."""
    hints = typing.get_type_hints(kind)
    names = {field.name for field in fields(kind)}
    if names != set(values):
        raise ValueError(f"{kind.__name__} has {sorted(names)}, not {sorted(values)}")
    for name, value in values.items():
        if not allows(hints[name], value):
            raise ValueError(f"{kind.__name__}.{name} is not what it should be: {str(value)[:80]}")
