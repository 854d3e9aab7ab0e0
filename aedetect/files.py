"""Files that are either whole or not there, whatever ends the process while one is written."""

import os
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDINGS = [getattr(signal, f"SIG{name}", None) for name in ("INT", "TERM", "HUP")]


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, renamed once that is done; otherwise nothing is left.

    Parameters
    ----------
    path : path
        In an existing folder; an existing file is replaced, through links, and keeps its mode.

    Yields
    ------
    Path
        Of an empty file in the same folder.

    Raises
    ------
    OSError
        If something that is no regular file is there.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a regular file")
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    with signals_unwind():
        try:
            with _named(path):
                temporary.touch(mode=0o600, exist_ok=False)
            yield temporary
            with _named(path):
                temporary.chmod(mode)
                os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say of a failure that it is this file's, and not that of one read meanwhile."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def signals_unwind() -> Iterator[None]:
    """Let a signal that would end the process raise within the block, and end it afterwards."""
    caught: list[int] = []

    def unwind(number: int, _frame: object) -> None:
        if not caught:  # a second signal must not stop the cleaning up
            caught.append(number)
            raise SystemExit(128 + number)

    usual = (signal.SIG_DFL, signal.default_int_handler)
    in_main = threading.current_thread() is threading.main_thread()  # no other may set handlers
    replaced = {s: signal.getsignal(s) for s in ENDINGS if s and in_main}
    replaced = {s: handler for s, handler in replaced.items() if handler in usual}
    try:
        for s in replaced:
            signal.signal(s, unwind)
        yield
    finally:
        for s, handler in replaced.items():
            signal.signal(s, handler)
        if caught:
            signal.raise_signal(caught[0])


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
