"""Cells of a column as numbers, times or texts, where that is what they say."""

import re
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_datetime64_any_dtype, is_numeric_dtype

from ..warn import warn

MISSING = ("", "?", "-", "na", "n/a", "#n/a", "nan", "null", "none")  # in any case
SIGNS, CODES = "[$€£¥₹]", "EUR|USD|GBP|CHF|JPY"  # codes stand apart: "GBP101" may be a key
UNIT = re.compile(rf"^([-+]?)(?:{SIGNS}\s*|(?:{CODES})\s+)|(?:\s*(?:%|{SIGNS})|\s+(?:{CODES}))$")
CURRENCY = re.compile(rf"{SIGNS}|{CODES}")
THOUSANDS = re.compile(r"^[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$")
GROUPED = r"[1-9]\d{0,2}(\.\d{3})+"
DECIMAL_COMMA = re.compile(rf"^[-+]?({GROUPED}|\d+)?(,\d+)?(e[-+]?\d+)?$", re.IGNORECASE)
DATES = ("%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d %b %Y", "%b %d, %Y")
CLOCKS = ("", " %H:%M", " %H:%M:%S")
FORMATS = ("ISO8601", *(date + clock for date in DATES for clock in CLOCKS))


def as_text(column: pd.Series) -> np.ndarray:
    """Cells as stripped text, None where one is missing."""
    cells = column.to_numpy(object)
    given = pd.notna(cells)
    texts = np.full(len(cells), None, object)
    texts[given] = [str(cell).strip() for cell in cells[given]]
    texts[[text is not None and text.lower() in MISSING for text in texts]] = None
    return texts


def is_truth(column: pd.Series) -> bool:
    """Whether all given cells are booleans."""
    return infer_dtype(_different(column)) == "boolean"


def is_duration(column: pd.Series) -> bool:
    """Whether all given cells are spans of time."""
    return infer_dtype(_different(column)) in ("timedelta", "timedelta64")


def _different(column: pd.Series) -> Any:
    return getattr(column.dtype, "categories", column)


DIGITS = 308  # of the largest float64


def as_numbers(column: pd.Series, decimal: str = ".") -> tuple[np.ndarray, np.ndarray]:
    """Cells as float64, NaN where one is missing or no number, and which ones are no numbers.

    Text may have a thousands separator, a per cent sign or a currency: "1,234.5", "5 %", "$3".
    With a decimal comma, "1.234" has a separator, too. Amounts in another currency than most are no
    numbers, as they cannot be compared. Durations are in seconds.
    """
    if is_datetime64_any_dtype(column.dtype):
        return np.full(len(column), np.nan), column.notna().to_numpy()
    if is_duration(column):
        column = pd.to_timedelta(column.astype(object)).dt.total_seconds()
    if is_numeric_dtype(column.dtype) and not is_truth(column):
        return column.to_numpy(np.float64, na_value=np.nan), np.zeros(len(column), bool)
    cells = column.to_numpy(object)
    numbers = _numbers(cells)
    unread = np.isnan(numbers)
    if decimal == ",":  # "1.234" passed for a number
        unread |= np.array([isinstance(cell, str) for cell in cells], bool)
    others = np.flatnonzero(unread & column.notna().to_numpy())
    texts = as_text(column.iloc[others])
    currencies = [_currency(text) for text in texts]
    usual = max(sorted({*currencies} - {""}), key=currencies.count, default="")
    plain = [
        _plain(text, decimal) if currency in ("", usual) else text
        for text, currency in zip(texts, currencies, strict=True)
    ]
    numbers[others] = _numbers(np.array(plain, object))
    for i, text in zip(others, plain, strict=True):
        if text is not None and len(text) > DIGITS and text.isdecimal():  # old pandas gives up
            numbers[i] = np.inf
    wrong = np.zeros(len(numbers), bool)
    wrong[others] = [text is not None for text in plain]
    return numbers, wrong & np.isnan(numbers)


def _numbers(cells: np.ndarray) -> np.ndarray:
    """Plain numbers, NaN for everything else."""
    try:
        return np.array(pd.to_numeric(cells, errors="coerce"), np.float64)
    except (OverflowError, TypeError):  # an integer of hundreds of digits, or a list
        return np.array([_number(cell) for cell in cells])


def _plain(text: str | None, decimal: str) -> str | None:
    if text is None:
        return None
    text = UNIT.sub(r"\1", text)
    if decimal == "," and DECIMAL_COMMA.match(text):
        return text.replace(".", "").replace(",", ".")
    return text.replace(",", "") if THOUSANDS.match(text) else text


def _currency(text: str | None) -> str:
    unit = UNIT.search(text or "")
    found = unit and CURRENCY.search(unit.group())
    return found.group() if found else ""


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return np.nan


def time_format(column: pd.Series) -> str | None:
    """How the times of a column are written: "" where they are no text, None where not at all."""
    if is_datetime64_any_dtype(column.dtype):
        return ""
    texts = as_text(column)
    given = texts[[text is not None for text in texts]]
    if not len(given) or not all(re.search(r"\d.*[-/.: ].*\d", text) for text in given[:20]):
        return None
    for form in FORMATS:
        if all(_all_are_times(some, form) for some in (given[:20], given)):
            return form
    return None


def warn_of_order(column: pd.Series, form: str) -> None:
    """Warn of dates of which no number tells whether the day or the month comes first."""
    other = form.replace("%d/%m", "%m/%d")
    if other == form:
        return
    texts = as_text(column)
    given = texts[[text is not None for text in texts]]
    if len(given) and _all_are_times(given, other):
        warn(
            f"Column {column.name!r}: dates such as {given[0]!r} are read with the day first. No "
            "number in it tells; write the year first to be sure."
        )


def _all_are_times(texts: np.ndarray, form: str) -> bool:
    return bool(pd.to_datetime(texts, format=form, errors="coerce", utc=True).notna().all())


def zone_of(column: pd.Series, form: str) -> str:
    """The zone of times, or of the first one where each has its own; "" where there is none."""
    if is_datetime64_any_dtype(column.dtype):
        zone = pd.to_datetime(column).dt.tz
    else:
        first = next(text for text in as_text(column) if text is not None)
        zone = pd.to_datetime(first, format=form).tz
    return "" if zone is None else str(zone) if is_zone(str(zone)) else "UTC"


def is_zone(name: str) -> bool:
    """Whether a time zone is known by that name."""
    try:
        pd.Timestamp(0, tz=name)
    except (AttributeError, LookupError, ValueError):  # what pandas raises varies
        return False
    return True


def as_times(column: pd.Series, form: str) -> np.ndarray:
    """Cells as days since 1970 in float64, NaN where one is missing or no time in that format.

    Without a format, text may have any that cannot be read in two ways.
    """
    cells: Any = column
    if not is_datetime64_any_dtype(column.dtype):
        cells = pd.Series(as_text(column))
        if not form:
            form = time_format(column) or "ISO8601"
            form = "ISO8601" if form.startswith(("%d/%m", "%m/%d")) else form
    times = pd.to_datetime(cells, format=form or None, errors="coerce", utc=True)
    microseconds = times.dt.tz_localize(None).dt.as_unit("us").to_numpy()  # nanoseconds end in 2262
    return np.asarray((microseconds - np.datetime64(0, "us")) / np.timedelta64(1, "D"))
