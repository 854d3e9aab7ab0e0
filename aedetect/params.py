"""Parameters of an estimator or a network: annotated class attributes, nothing else."""

import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache, wraps
from numbers import Integral, Real
from typing import Annotated, Any, Literal, ParamSpec, Self, TypeVar, dataclass_transform

import numpy as np
from sklearn.base import BaseEstimator

from .documented import complete


@dataclass(frozen=True)
class Range:
    """Bounds of a number, used as ``Annotated[float, Range(0, 0.5)]``."""

    low: float
    high: float = float("inf")
    above_low: bool = False  # True leaves out `low` itself

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and not (self.above_low and value == self.low)

    def __str__(self) -> str:
        low = f"{'above' if self.above_low else 'at least'} {self.low:g}"
        return low if self.high == float("inf") else f"{low} and at most {self.high:g}"


class Record:
    """Base of frozen dataclasses whose fields are all there is to keep: caches do not travel."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


STACK_BYTES = 16 * 2**20  # default of max_stack_bytes: beyond the cache a stack is no faster

Count = Annotated[int, Range(1)]
Positive = Annotated[float, Range(0, above_low=True)]
NotNegative = Annotated[float, Range(0)]


@dataclass_transform(kw_only_default=True)
class Params(BaseEstimator):
    """Base class that turns annotated class attributes into keyword parameters.

    A subclass writes ``epochs: Count = 100`` and gets ``__init__``, ``get_params``,
    ``set_params``, ``clone`` and ``repr``. Construction only stores; `_check_params`, called at
    fit, compares every value with its annotation.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        documented = "__doc__" in cls.__dict__
        dataclass(cls, kw_only=True, eq=False, repr=False)
        if documented:
            complete(cls)

    def _check_params(self) -> Self:
        """Raise ValueError or TypeError for the first value its annotation does not allow."""
        owner: Any = type(self)
        hints = _type_hints(owner)
        for name in (field.name for field in fields(self)):
            value, hint = getattr(self, name), hints[name]
            if not allows(hint, value):
                wanted = " or ".join(_describe(hint))
                known = isinstance(value, str | Real)  # a wrong value rather than a wrong type
                raise (ValueError if known else TypeError)(
                    f"{type(self).__name__}: {name}={value!r}; expected {wanted}."
                )
        return self


P = ParamSpec("P")
R = TypeVar("R")


def all_or_nothing(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method that raises leave the attributes of its object as they were."""

    @wraps(method)
    def whole(*args: P.args, **kwargs: P.kwargs) -> R:
        attributes = vars(args[0])
        before = attributes.copy()
        try:
            return method(*args, **kwargs)
        except BaseException:
            attributes.clear()
            attributes.update(before)
            raise

    return whole


Checked = TypeVar("Checked", bound=Params)


def check(params: Checked) -> Checked:
    """Raise for the first parameter its annotation does not allow."""
    return params._check_params()


def refuse_unless(hint: Any, name: str, value: Any) -> None:
    """Raise for what the annotation `hint` does not allow; for parameters of methods."""
    if not allows(hint, value):
        raise ValueError(f"{name}={value!r}; expected {' or '.join(_describe(hint))}.")


@cache
def _type_hints(owner: Any) -> dict[str, Any]:
    return typing.get_type_hints(owner, include_extras=True)


def allows(hint: Any, value: Any) -> bool:
    """Say whether `value` fits the annotation `hint`."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(allows(arg, value) for arg in args)
    if origin is Annotated:
        return allows(args[0], value) and value in args[1]
    if origin is Literal:
        return any(isinstance(value, type(arg)) and value == arg for arg in args)
    if origin is tuple:
        return isinstance(value, tuple | list) and all(allows(args[0], item) for item in value)
    if origin is list:
        return isinstance(value, list) and all(allows(args[0], item) for item in value)
    if origin is dict:
        pairs = value.items() if isinstance(value, dict) else [(None, None)]
        return all(allows(args[0], key) and allows(args[1], item) for key, item in pairs)
    if origin is Callable:
        return callable(value)
    if hint is Any:
        return True
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    if hint in (int, float):
        number = Integral if hint is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any) -> Iterator[str]:
    """Name what the annotation `hint` allows, one phrase an alternative."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for arg in args:
            yield from _describe(arg)
    elif origin is Annotated:
        yield f"{next(_describe(args[0]))} {args[1]}"
    elif origin is Literal:
        yield "one of " + ", ".join(map(repr, args)) if len(args) > 1 else repr(args[0])
    elif origin is tuple:
        yield f"a tuple, each item {next(_describe(args[0]))}"
    elif origin is Callable:
        yield "a callable"
    else:
        names = {int: "an integer", float: "a number", bool: "True or False"}
        yield names.get(
            hint, "None" if hint is type(None) else getattr(hint, "__name__", str(hint))
        )


def is_ours(*parts: object) -> bool:
    """Whether parts are of this package's own classes, whose workings are known."""
    return all(type(part).__module__.startswith("aedetect.") for part in parts)
