"""Kernels that ran: what they read and wrote, and how to run them again into the same memory.

They are noted below autograd, forward and backward alike.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Kernel = Any  # one overload of an operator, such as torch.ops.aten.mul.Tensor

_aten = torch.ops.aten

_COPYING = _aten.clone.default, _aten._to_copy.default

_alias = torch.Tensor.detach

# Batch norm moves these, and its schema does not say so.
_MOVED = {"running_mean", "running_var"}


def _schema(kernel: Kernel) -> Any:
    """What a kernel takes and returns."""
    return kernel._schema


def _bare(kernel: Kernel) -> Any:
    """The kernel without torch's wrapping in Python."""
    return kernel._op


class Call:
    """A kernel that ran, on what, and what came out."""

    def __init__(self, kernel: Kernel, args: Any, kwargs: Any, result: Any) -> None:
        self.kernel = kernel
        parts = args, kwargs, result  # without graph, and with the shape they have now
        self.args, self.kwargs, self.result = _each(_alias, parts)
        self.name = kernel.overloadpacket.__name__
        self.is_foreign = kernel.namespace != "aten"  # a user's operator may do anything
        self.is_random = self.is_foreign or torch.Tag.nondeterministic_seeded in kernel.tags
        self.reads = memories((args, kwargs))
        changed = memories(self.changed)
        self.mutates = _schema(kernel).is_mutable or bool(changed)
        self.makes = memories(result) - self.reads - changed
        self.writes = memories(result) | changed

    @property
    def changed(self) -> list[Any]:
        """The arguments that are written to."""
        return [
            self.args[i] if i < len(self.args) else self.kwargs.get(argument.name)
            for i, argument in enumerate(_schema(self.kernel).arguments)
            if (argument.alias_info is not None and argument.alias_info.is_write)
            or argument.name in _MOVED
        ]

    @property
    def computes(self) -> bool:
        """Whether it does more than take a view or ask for memory."""
        if torch.Tag.inplace_view in self.kernel.tags:
            return False
        if self.is_foreign or self.mutates:
            return True
        return bool(self.makes) and "empty" not in self.name

    @property
    def shows_values(self) -> bool:
        """Whether it shows Python the values in a tensor, or lets a shape depend on them."""
        if self.kernel is _aten.index.Tensor:
            return any(x.dtype in (torch.bool, torch.uint8) for x in tensors(self.args[1]))
        if self.is_foreign and any(not isinstance(x, Tensor) for x in _leaves(self.result)):
            return True
        revealing = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
        return any(tag in self.kernel.tags for tag in revealing)


class Recording(TorchDispatchMode):
    """Records the kernels that run inside it, and the generators' states before them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.chance = {one: one.get_state() for one in _torchs_generators()}
        self.failure: Exception | None = None

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first call spends a second importing torch's compiler

    def __torch_dispatch__(
        self, kernel: Kernel, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if any(x._is_zerotensor() for x in tensors((args, kwargs))):
            raise NotImplementedError("kernels on zeros without memory crash below autograd")
        for one in _generators((args, kwargs)):
            self.chance.setdefault(one, one.get_state())
        result = kernel(*args, **kwargs)
        try:
            self.calls.append(Call(kernel, args, kwargs, result))
        except Exception as error:  # a sparse tensor has no single storage, for instance
            self.failure = error
        return result

    @property
    def obstacle(self) -> str | None:
        """Why what was recorded must not be replayed."""
        if self.failure is not None:
            return f"a step cannot be recorded ({self.failure})"
        if any(call.shows_values for call in self.calls):
            return "it looks at values, by `if`, `.item()` or a mask as an index"
        return None

    def put_chance_back(self) -> None:
        """Put all generators back to their initial states."""
        for generator, state in self.chance.items():
            generator.set_state(state)


def again(call: Call) -> Callable[[], object]:
    """Return the fastest way to run a call into the memory of its result.

    Torch's own Python functions are quicker to call than its operators. Which of them accepts the
    arguments is found by trial, except for kernels that would draw random numbers.
    """
    kernel, kwargs, result = call.kernel, call.kwargs, call.result
    args = _with_tensors_for_numbers(call)
    if kernel in _COPYING or (kernel is _aten.pow.Tensor_Scalar and args[1] == 1):
        return partial(result.copy_, args[0])
    if kernel is _aten.slice_backward.default:  # around the slice it stays 0
        return partial(_aten.slice(result, *args[2:]).copy_, args[0])
    for way, options in [] if call.is_random else _ways(call):
        if way and _runs(way, args, options):
            return partial(way, *args, **options)
    if call.mutates and not call.makes:
        return partial(_bare(kernel), *args, **kwargs)
    return lambda: _each(torch.Tensor.copy_, result, kernel(*args, **kwargs))


def _ways(call: Call) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Functions and keywords that may write the kernel's result where it belongs."""
    if call.mutates:
        if not call.makes:
            owner: Any = torch.Tensor if call.name.endswith("_") else torch
            yield getattr(owner, call.name, None), call.kwargs
        return
    yield getattr(torch, call.name, None), call.kwargs | {"out": _each(_alias, call.result)}
    results = call.result if isinstance(call.result, tuple | list) else (call.result,)
    for overload, places in _overloads(call.kernel):
        yield overload, call.kwargs | dict(zip(places, _each(_alias, results), strict=True))


def _with_tensors_for_numbers(call: Call) -> tuple[Any, ...]:
    """The arguments, with numbers as tensors, which torch would otherwise make at every call."""
    if call.is_foreign or call.name.rstrip("_") not in ("add", "sub", "mul", "div"):
        return call.args
    first, *rest = call.args
    if first.dtype not in (torch.float32, torch.float64):  # narrower ones would round the number
        return call.args
    as_tensor = partial(torch.tensor, dtype=first.dtype, device="cpu")
    return first, *(as_tensor(x) if isinstance(x, float | int) else x for x in rest)


@cache
def _overloads(kernel: Kernel) -> list[tuple[Kernel, list[str]]]:
    """The overloads of a kernel with the same arguments that write to given places."""
    found = []
    taken = [(a.name, str(a.type)) for a in _schema(kernel).arguments]
    for name in kernel.overloadpacket.overloads():
        overload = getattr(kernel.overloadpacket, name)
        arguments = _schema(overload).arguments
        places = [a.name for a in arguments if a.is_out]
        if places and taken == [(a.name, str(a.type)) for a in arguments if not a.is_out]:
            found.append((_bare(overload), places))
    return found


def _runs(way: Callable[..., object], args: Any, options: Any) -> bool:
    """Whether a function accepts the arguments, and does not resize its outputs."""
    shapes = [x.shape for x in tensors(options)]
    try:
        way(*args, **options)
    except (TypeError, RuntimeError, UserWarning):  # torch warns about resizing
        return False
    return shapes == [x.shape for x in tensors(options)]


def _torchs_generators() -> list[torch.Generator]:
    return [torch.default_generator, *torch.cuda.default_generators]


def memories(value: Any) -> set[int]:
    """The memory of all tensors in nested lists, tuples and dictionaries."""
    found = {x.untyped_storage().data_ptr() for x in tensors(value)}
    return found - {0}  # of tensors without elements


def _generators(value: Any) -> Iterator[torch.Generator]:
    """All generators in nested lists, tuples and dictionaries."""
    return (leaf for leaf in _leaves(value) if isinstance(leaf, torch.Generator))


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    return (leaf for leaf in _leaves(value) if isinstance(leaf, Tensor))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield value


def _each(function: Callable[..., Any], value: Any, *more: Any) -> Any:
    """Apply a function to all tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return function(value, *more)
    if isinstance(value, dict):
        return {name: _each(function, item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        rest = zip(*more, strict=True) if more else ((),) * len(value)
        return type(value)(
            _each(function, item, *one) for item, one in zip(value, rest, strict=True)
        )
    return value
