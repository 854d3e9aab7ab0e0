"""A training step recorded once and replayed: the same kernels on the same memory.

On small nets nearly all of autograd's time goes into bookkeeping: a graph built and torn down at
each step, tensors allocated, views taken. The kernels that do the arithmetic are the same ones
every time. So one step is recorded below autograd, forward and backward alike, and from then on its
kernels run again in the same order, each writing where it wrote before. The result equals
autograd's to the last bit. Nothing here depends on the objective.

Anything done outside a kernel goes unseen: a count in Python, a draw outside torch, numbers passed
through numpy. So some steps are done both ways and compared.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .calls import Call, Recording, again, memories, tensors
from .loop import Gradient
from .promise import Promise


class _Replay:
    """A step that can be done again.

    Parameters
    ----------
    rows : Tensor of shape (K, b)
        Where the batch goes.
    total : Tensor of shape (K,)
        Where the loss is found.
    recording : Recording
        What ran in between.
    """

    def __init__(self, rows: Tensor, total: Tensor, recording: Recording) -> None:
        calls = recording.calls
        self.rows, self.total, self.n_runs = rows, total, 0
        given = _given(calls)
        calls = [call for call in calls if call.computes]
        changing = _changing(calls, given)
        calls = [call for call in calls if call.is_random or call.writes & changing]
        calls = _overwriting(calls)
        written = [x for call in calls for x in tensors((call.result, call.changed))]
        self.lasting = [x for x in written if memories(x) & given]
        self.passing = [x for x in written if not memories(x) & given]
        self.generators = list(recording.chance)
        before = self.state()
        try:
            with torch.no_grad():
                self.steps = [again(call) for call in calls]  # tries them
        finally:
            self.put(before)

    def run(self, rows: Tensor) -> Tensor:
        """Do the step on other rows."""
        self.n_runs += 1
        self.rows.copy_(rows)
        for step in self.steps:
            step()
        return self.total

    def state(self) -> "_State":
        """Return copies of all that a run changes."""
        return _State(
            [x.clone() for x in self.lasting],
            [x.clone() for x in self.passing],
            [generator.get_state() for generator in self.generators],
        )

    @torch.no_grad()
    def put(self, state: "_State") -> None:
        """Restore such copies."""
        values = state.lasting + state.passing
        for x, value in zip(self.lasting + self.passing, values, strict=True):
            x.copy_(value)
        for generator, value in zip(self.generators, state.chance, strict=True):
            generator.set_state(value)


class _State(NamedTuple):
    """Copies of what a step changes."""

    lasting: list[Tensor]  # memory from before the step: gradients, buffers
    passing: list[Tensor]  # the step's own memory
    chance: list[Tensor]  # states of the generators


class Moment(Protocol):
    """Knows what determines a training step at present."""

    phase: object


class Always:
    """The moment for steps that are all alike."""

    phase: object = 0


class Replayed:
    """A gradient that is recorded at the second batch of each size, and replayed after that.

    The first replayed batch of each size is also computed by the gradient, from the same state of
    memory and generators; with a promise, so are those after 2, 4, 8, ... others. If results
    differ, or a step cannot be recorded, the gradient alone is used from then on.

    Parameters
    ----------
    gradient : Gradient
        It must do the same at every call, apart from the rows, the parameters and what it draws
        from its generators; only the first call may set up buffers.
    moment : object
        When its attribute `phase` changes, everything is recorded anew. While that is None, nothing
        is replayed.
    promise : Promise, optional
        The user's promise that the gradient does the same at every call, notified if it does not.
        None if this is known for certain.
    """

    def __init__(
        self,
        gradient: Gradient,
        moment: "Moment | None" = None,
        promise: Promise | None = None,
    ) -> None:
        self.gradient, self.moment, self.promise = gradient, moment or Always(), promise
        self.recorded: dict[int, _Replay] = {}
        self.met: set[int] = set()
        self.recorded_in = self.moment.phase
        self.replays = True

    def __call__(self, rows: Tensor) -> Tensor:
        """Summed loss (K,) of the rows (K, b); the mean loss's gradient is left in place."""
        if self.recorded_in != self.moment.phase:
            self.recorded.clear()
            self.met.clear()
            self.recorded_in = self.moment.phase
        b = rows.shape[1]
        if not self.replays or self.recorded_in is None or b not in self.met:
            self.met.add(b)
            return self.gradient(rows)
        if b not in self.recorded:
            return self._record(rows)
        replay = self.recorded[b]
        if self._doubts(replay.n_runs):
            return self._check(replay, rows)
        return replay.run(rows)

    def _doubts(self, n_runs: int) -> bool:
        """Whether to check after so many runs: 0, and if there is only a promise, 1, 2, 4, ..."""
        return n_runs == 0 or (self.promise is not None and n_runs.bit_count() == 1)

    def _record(self, rows: Tensor) -> Tensor:
        recording, kept = Recording(), self._kept()
        buffers = [(x, x.clone()) for x in self.promise.net.buffers()] if self.promise else []
        with torch.inference_mode(False):
            fixed = rows.clone()
        try:
            with recording:
                total = self.gradient(fixed)
        except Exception as error:
            recording.put_chance_back()
            for x, value in buffers:
                x.copy_(value)
            total = self.gradient(rows)  # raises again unless it was the recording's fault
            self._give_up(f"a step cannot be recorded ({error})")
            return total
        before = total.clone()
        self._compare(kept)
        if recording.obstacle:
            self._give_up(recording.obstacle)
        if self.replays:
            try:
                self.recorded[rows.shape[1]] = _Replay(fixed, total, recording)
            except Exception as error:
                self._give_up(f"a step cannot be run again ({error})")
        return before

    def _check(self, replay: _Replay, rows: Tensor) -> Tensor:
        """Do a step both ways, and keep the gradient's results."""
        before, kept = replay.state(), self._kept()
        total = self.gradient(rows).clone()
        after = replay.state()
        self._compare(kept)
        replay.put(before)
        try:
            found = [replay.run(rows), *replay.lasting, *replay.state().chance]
        except Exception:  # a result of another shape, for instance
            found = []
        agree = _equal(found, [total, *after.lasting, *after.chance])
        replay.put(after)
        if not agree:
            self._give_up("a step that was run again gave other numbers")
        return total

    def _kept(self) -> dict[str, object]:
        return self.promise.kept() if self.promise else {}

    def _compare(self, before: dict[str, object]) -> None:
        """Stop replaying if a step changed what Python keeps."""
        after = self._kept()
        changed = [name for name in before | after if before.get(name) != after.get(name)]
        if changed:
            self._give_up(f"{changed[0]} changes from step to step")

    def _give_up(self, reason: str) -> None:
        """Replay no more."""
        if self.replays and self.promise is not None:
            self.promise.broken(reason)
        self.replays = False
        self.recorded.clear()


def _equal(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Whether all values are equal to the last bit; NaN equals NaN."""
    return len(found) == len(expected) and all(
        bool(torch.isclose(a, b, rtol=0, atol=0, equal_nan=True).all())
        for a, b in zip(found, expected, strict=True)
    )


def _given(calls: Sequence[Call]) -> set[int]:
    """Memory that was there before the calls."""
    made: set[int] = set()
    given: set[int] = set()
    for call in calls:
        given |= call.reads - made
        made |= call.writes
    return given


def _changing(calls: Sequence[Call], given: set[int]) -> set[int]:
    """Memory that differs between steps: given, random, or computed from such memory."""
    changing, known = set(given), -1
    while known < len(changing):  # until nothing is added; a kernel may write to older memory
        known = len(changing)
        for call in calls:
            if call.is_random or call.reads & changing or call.writes & changing:
                changing |= call.writes
    return changing


_aten = torch.ops.aten
_ADDING = {
    _aten.addmm_.default: _aten.mm.out,
    _aten.baddbmm_.default: _aten.bmm.out,
    _aten.add_.Tensor: _aten.copy_.default,
}


def _overwriting(calls: list[Call]) -> list[Call]:
    """Turn the first addition to a zeroed buffer into a write, and drop the zeroing.

    Only where that makes no difference: all of the buffer is written, and each part by a product or
    a tensor that is added to it before anything else is done with it.
    """
    zeroing = next((call for call in calls if call.kernel is _aten.zero_.default), None)
    if zeroing is None:
        return calls
    buffer, start = zeroing.result, calls.index(zeroing) + 1
    parts: dict[tuple[int, int], int] = {}  # begin and end: the call that is first there
    for i, call in enumerate(calls[start:], start):
        for x in tensors((call.args, call.kwargs)):
            part = x.data_ptr(), x.data_ptr() + x.numel() * x.element_size()
            if memories(x) != memories(buffer) or part in parts:
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


def _set(call: Call) -> Call:
    """The call that sets a tensor to what the given call adds to it."""
    target, *added = call.args
    if call.kernel is _aten.add_.Tensor:
        return Call(_aten.copy_.default, (target, *added), {}, target)
    return Call(_ADDING[call.kernel], tuple(added), {"out": target}, target)
