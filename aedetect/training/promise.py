"""A user's promise that a network does the same at every step, and the warning if it does not."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..warn import warn

MANY = 10_000  # values; any more are not checked

_PLAIN = bool | int | float | complex | str | bytes | None
_WITHOUT_PARTS = type | FunctionType | ModuleType | Tensor
_TORCHS = set(vars(nn.Module()))  # what torch keeps in any module


class Promise:
    """The promise that ``replayable = True`` makes for a network.

    Parameters
    ----------
    network : Network
        Network that makes the promise.
    net : Module
        What it built.
    """

    def __init__(self, network: object, net: nn.Module) -> None:
        self.network, self.net = network, net

    def kept(self) -> dict[str, object]:
        """Return the numbers, texts and arrays that Python keeps in the module and its parts.

        If a step changes one of them, as a counter does, a later step may depend on it. Tensors may
        change.
        """
        return dict(islice(_values(self.net, "", set()), MANY))

    def broken(self, reason: str) -> None:
        """Tell the user."""
        warn(
            f"{type(self.network).__name__} has replayable = True, but {reason}. Training goes on "
            "by automatic differentiation, which is slower. Set replayable = False; or let the "
            "network draw from torch alone, and keep what changes in buffers, changed in place.",
        )


def _values(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, object]]:
    """The plain values in an object and its parts, each with its path."""
    if isinstance(thing, _PLAIN):
        yield path, repr(thing)
    elif isinstance(thing, np.ndarray):
        yield path, thing.tobytes()
    elif id(thing) not in seen:
        seen.add(id(thing))
        for name, part in _parts(thing):
            yield from _values(part, f"{path}.{name}" if path else str(name), seen)


def _parts(thing: Any) -> Iterable[tuple[object, Any]]:
    if isinstance(thing, nn.Module):
        own = [(name, part) for name, part in vars(thing).items() if name not in _TORCHS]
        return [*own, *thing.named_children()]
    if isinstance(thing, dict):
        return list(thing.items())
    if isinstance(thing, list | tuple | deque):
        return [("length", len(thing)), *enumerate(thing)]
    if isinstance(thing, set | frozenset):
        return [("length", len(thing))]
    if isinstance(thing, _WITHOUT_PARTS):
        return []
    return list(getattr(thing, "__dict__", {}).items())
