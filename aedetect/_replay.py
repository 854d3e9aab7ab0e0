"""A training step recorded once and replayed: the same kernels on the same memory.

On small nets nearly all of autograd's time goes into bookkeeping: a graph built and torn down at
each step, tensors allocated, views taken. The kernels that do the arithmetic are the same ones
every time. So one step is recorded below autograd, forward and backward alike, and from then on its
kernels run again in their order, each writing where it wrote before: to the last bit what autograd
would find. Nothing here knows an objective.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ._training import Gradient

Kernel = Any  # one overload of an operator, such as torch.ops.aten.mul.Tensor


class _Call:
    """A kernel that ran, on what, and what came out."""

    def __init__(self, kernel: Kernel, args: Any, kwargs: Any, result: Any) -> None:
        self.kernel, self.args, self.kwargs, self.result = kernel, args, kwargs, result
        self.reads = set(map(_memory, _tensors((args, kwargs))))
        self.mutates = kernel._schema.is_mutable
        self.changed = [
            args[i] if i < len(args) else self.kwargs.get(argument.name)
            for i, argument in enumerate(kernel._schema.arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        self.writes = set(map(_memory, _tensors((result, self.changed))))
        self.is_random = torch.Tag.nondeterministic_seeded in kernel.tags

    @property
    def computes(self) -> bool:
        """Whether it does more than take a view or ask for memory."""
        name = self.kernel.overloadpacket.__name__
        return self.mutates or not ("empty" in name or self.writes & self.reads)

    @property
    def shows_values(self) -> bool:
        """Whether Python, or the shape of the result, gets to know what is in a tensor."""
        revealing = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
        return any(tag in self.kernel.tags for tag in revealing)

    def detach(self) -> None:
        """Let go of the graph that autograd hung on the tensors; they keep their memory."""
        parts = self.args, self.kwargs, self.result
        self.args, self.kwargs, self.result = _each(torch.Tensor.detach, parts)


class _Recording(TorchDispatchMode):
    """Notes the kernels that run within."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[_Call] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first call imports torch's compiler, for a second

    def __torch_dispatch__(
        self, kernel: Kernel, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = kernel(*args, **(kwargs or {}))
        self.calls.append(_Call(kernel, args, kwargs or {}, result))
        return result


class _Recorded(NamedTuple):
    """What it takes to do a step again."""

    rows: Tensor  # the batch is put here,
    steps: list[Callable[[], object]]  # these are run,
    total: Tensor  # and the loss is here


class Replayed:
    """A gradient that is recorded at the second batch of each size, and replayed after that.

    Parameters
    ----------
    gradient : Gradient
        It must do the same at every call but for the rows, the parameters and what it draws from
        its generators; only in the first it may set up buffers. Where it looks at values, and might
        decide by them, it is not replayed.
    phase : callable
        When what it returns changes, everything is recorded anew.
    """

    def __init__(self, gradient: Gradient, phase: Callable[[], Hashable] = lambda: None) -> None:
        self.gradient, self.phase = gradient, phase
        self.recorded: dict[int, _Recorded | None] = {}
        self.met: set[int] = set()
        self.recorded_in = phase()

    def __call__(self, rows: Tensor) -> Tensor:
        """Summed loss (K,) of the rows (K, b); the mean loss's gradient is left in place."""
        if self.recorded_in != self.phase():
            self.recorded.clear()
            self.met.clear()
            self.recorded_in = self.phase()
        b = rows.shape[1]
        if b not in self.met:
            self.met.add(b)
            return self.gradient(rows)
        if b not in self.recorded:
            return self._record(rows)
        recorded = self.recorded[b]
        if recorded is None:
            return self.gradient(rows)
        recorded.rows.copy_(rows)
        for step in recorded.steps:
            step()
        return recorded.total

    def _record(self, rows: Tensor) -> Tensor:
        with torch.inference_mode(False):
            fixed = rows.clone()
        with _Recording() as recording:
            total = self.gradient(fixed)
        before = total.clone()
        steps = _steps(recording.calls)
        self.recorded[rows.shape[1]] = None if steps is None else _Recorded(fixed, steps, total)
        return before


def _steps(calls: Sequence[_Call]) -> list[Callable[[], object]] | None:
    """What has to be run to do the calls again; None where that cannot be told."""
    if any(call.shows_values for call in calls):
        return None
    calls = [call for call in calls if call.computes]
    changing = _changing(calls)
    calls = _overwriting([call for call in calls if call.writes & changing])
    for call in calls:
        call.detach()
    changed = [x for call in calls if call.mutates for x in _tensors((call.result, call.changed))]
    with torch.no_grad():
        before = [x.clone() for x in changed]
        steps = [_again(call) for call in calls]  # tries them, which must leave no trace
        for x, value in zip(changed, before, strict=True):
            x.copy_(value)
    return steps


def _changing(calls: Sequence[_Call]) -> set[int]:
    """Memory that differs from step to step: given, random, or computed from such."""
    made: set[int] = set()
    changing: set[int] = set()
    for call in calls:
        changing |= call.reads - made
        made |= call.writes
    known = -1
    while known < len(changing):  # until nothing is added; a kernel may write to older memory
        known = len(changing)
        for call in calls:
            if call.is_random or call.reads & changing or call.writes & changing:
                changing |= call.writes
    return changing


def _overwriting(calls: list[_Call]) -> list[_Call]:
    """Have what is first added to a buffer of zeros overwrite it, and leave the zeroing out.

    Only where that makes no difference: all of the buffer is written, and each part by a product or
    a tensor that is added to it before anything else is done with it.
    """
    zeroing = next((call for call in calls if call.kernel is _aten.zero_.default), None)
    if zeroing is None:
        return calls
    buffer, start = zeroing.result, calls.index(zeroing) + 1
    parts: dict[tuple[int, int], int] = {}  # begin and end: the call that is first there
    for i, call in enumerate(calls[start:], start):
        for x in _tensors((call.args, call.kwargs)):
            part = x.data_ptr(), x.data_ptr() + x.numel() * x.element_size()
            if _memory(x) != _memory(buffer) or part in parts:
                continue
            overlaps = any(part[0] < end and begin < part[1] for begin, end in parts)
            adds = call.kernel in _ADDING and not call.kwargs and x is call.args[0]
            if overlaps or not adds or not isinstance(call.args[1], Tensor):
                return calls
            parts[part] = i
    if sum(end - begin for begin, end in parts) < buffer.numel() * buffer.element_size():
        return calls
    first = set(parts.values())
    changed = [_set(call) if i in first else call for i, call in enumerate(calls)]
    return [call for call in changed if call is not zeroing]


def _set(call: _Call) -> _Call:
    """The call that sets a tensor to what the given call adds to it."""
    target, *added = call.args
    if call.kernel is _aten.add_.Tensor:
        return _Call(_aten.copy_.default, (target, *added), {}, target)
    return _Call(_ADDING[call.kernel], tuple(added), {"out": target}, target)


_aten = torch.ops.aten
_ADDING = {
    _aten.addmm_.default: _aten.mm.out,
    _aten.baddbmm_.default: _aten.bmm.out,
    _aten.add_.Tensor: _aten.copy_.default,
}


def _again(call: _Call) -> Callable[[], object]:
    """Return the fastest way to run a call into the memory of its result.

    Torch's own Python functions are quicker to call than its operators. Which of them takes the
    arguments is found by trying.
    """
    kernel, kwargs, result = call.kernel, call.kwargs, call.result
    name, args = kernel.overloadpacket.__name__, _with_tensors_for_numbers(call)
    ways: list[tuple[Any, dict[str, Any]]]
    if call.mutates and call.is_random:  # a try would draw
        return partial(kernel._op, *args, **kwargs)
    if call.mutates:
        owner: Any = torch.Tensor if name.endswith("_") else torch
        ways = [(getattr(owner, name, None), kwargs), (kernel._op, kwargs)]
    elif call.is_random:
        ways = []
    elif name in ("clone", "_to_copy") or (kernel is _aten.pow.Tensor_Scalar and args[1] == 1):
        return partial(result.copy_, args[0])
    elif name == "slice_backward":  # around the slice it stays 0
        return partial(torch.ops.aten.slice(result, *args[2:]).copy_, args[0])
    else:
        ways = [(getattr(torch, name, None), {**kwargs, "out": result})]
        results = result if isinstance(result, tuple | list) else (result,)
        for overload, places in _overloads(kernel):
            ways.append((overload, kwargs | dict(zip(places, results, strict=True))))
    for way, options in ways:
        if way and _runs(way, args, options):
            return partial(way, *args, **options)
    return lambda: _each(torch.Tensor.copy_, result, kernel(*args, **kwargs))


def _with_tensors_for_numbers(call: _Call) -> tuple[Any, ...]:
    """The arguments, numbers in arithmetic as tensors: torch would make one at every call."""
    if call.kernel.overloadpacket.__name__.rstrip("_") not in ("add", "sub", "mul", "div"):
        return call.args
    first, *rest = call.args
    if not first.is_floating_point():
        return call.args
    as_tensor = partial(torch.tensor, dtype=first.dtype, device=first.device)
    return first, *(as_tensor(x) if isinstance(x, float | int) else x for x in rest)


@cache
def _overloads(kernel: Kernel) -> list[tuple[Kernel, list[str]]]:
    """The overloads of a kernel that take the same and write to places they are given."""
    found = []
    taken = [(a.name, str(a.type)) for a in kernel._schema.arguments]
    for name in kernel.overloadpacket.overloads():
        overload = getattr(kernel.overloadpacket, name)
        arguments = overload._schema.arguments
        places = [a.name for a in arguments if a.is_out]
        if places and taken == [(a.name, str(a.type)) for a in arguments if not a.is_out]:
            found.append((overload._op, places))
    return found


def _runs(way: Callable[..., object], args: Any, options: Any) -> bool:
    try:
        way(*args, **options)
    except (TypeError, RuntimeError):
        return False
    return True


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


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


def _memory(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()
