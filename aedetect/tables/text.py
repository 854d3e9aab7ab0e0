"""Text from elsewhere, made fit to be shown: names and cells may hold anything, at any length."""

import sys
from collections.abc import Sequence


def visible(text: str) -> str:
    """Show as escapes what a terminal would obey or could not print, such as line breaks."""
    encoding = sys.stdout.encoding or "utf-8"
    return escaped(text).encode(encoding, "backslashreplace").decode(encoding)


def escaped(text: str) -> str:
    """Show as escapes what is not printable in any encoding."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def brief(text: str, most: int = 40) -> str:
    """Leave out the middle of what is longer than `most` characters."""
    end = most // 3
    return text if len(text) <= most else f"{text[: most - end - 3]}...{text[-end:]}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Name what a message is about, not too many.

    Parameters
    ----------
    names : sequence of str
        Of columns.
    most : int, default=8
        How many to name.

    Returns
    -------
    str
    """
    shown = ", ".join(repr(brief(name)) for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
