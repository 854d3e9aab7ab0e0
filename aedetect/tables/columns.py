"""Kinds of columns: how each is read, turned into numbers, and told again."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..params import Record
from ..rows.limits import LARGEST
from .cells import as_numbers, as_text, as_times, is_truth, is_zone, time_format, zone_of

UNKNOWN = "(missing)"
TRUTHS = {"0": "false", "0.0": "false", "1": "true", "1.0": "true"}  # how others write booleans
YEARS = -719_161, 2_932_896  # days from 1970 to the second of year 1, and to the last of 9999


@dataclass(frozen=True)
class Column(Record, ABC):
    """One column of a table.

    Attributes
    ----------
    name : str
    """

    name: str

    @abstractmethod
    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Values (n,), as `encode` takes them, and which cells are none of this kind."""

    @property
    @abstractmethod
    def parts(self) -> list[str]:
        """What the encoded columns are called, after the name."""

    @abstractmethod
    def encode(self, values: np.ndarray) -> np.ndarray:
        """Values as numbers (n, len(parts))."""

    @abstractmethod
    def decode(self, block: np.ndarray) -> np.ndarray:
        """Values (n,), in the column's own units, that encoded ones come closest to."""

    def check(self) -> None:
        """Raise ValueError where fields do not belong together."""
        if not isinstance(self.name, str):
            raise ValueError(f"a column is called {self.name!r}")


@dataclass(frozen=True)
class Number(Column):
    """Numbers, as they are.

    Attributes
    ----------
    decimal : str
        "." or ",", in text.
    """

    decimal: str = "."

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        numbers, wrong = as_numbers(column, self.decimal)
        return numbers, wrong | (np.abs(numbers) > LARGEST)

    @property
    def parts(self) -> list[str]:
        return [""]

    def encode(self, values: np.ndarray) -> np.ndarray:
        return np.where(np.abs(values) > LARGEST, np.nan, values)[:, None]

    def decode(self, block: np.ndarray) -> np.ndarray:
        return block[:, 0]


@dataclass(frozen=True)
class Time(Column):
    """Points in time: days since 1970, and where on the clock and in the week, if that varies.

    Attributes
    ----------
    form : str
        Format of the text; "" for times.
    daily, weekly : bool
        Whether the hour, and the day of the week, are columns.
    zone : str
        In which times are told; "" where they have none.
    """

    form: str
    daily: bool
    weekly: bool
    zone: str

    def check(self) -> None:
        super().check()
        if self.zone and not is_zone(self.zone):
            raise ValueError(f"column {self.name!r} has times in {self.zone[:80]!r}")

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        days = as_times(column, self.form)
        given = np.array([text is not None for text in as_text(column)], bool)
        return days, given & np.isnan(days)

    @property
    def parts(self) -> list[str]:
        daily = ["hour sin", "hour cos"] if self.daily else []
        return ["", *daily, *(["weekday sin", "weekday cos"] if self.weekly else [])]

    def encode(self, values: np.ndarray) -> np.ndarray:
        turns = [values] * self.daily + [(values + 3) / 7] * self.weekly  # 1970 began on a Thursday
        angles = [2 * np.pi * (turn % 1) for turn in turns]
        return np.column_stack([values, *(f(a) for a in angles for f in (np.sin, np.cos))])

    def decode(self, block: np.ndarray) -> np.ndarray:
        seconds = np.clip(block[:, 0], *YEARS) * 86400
        known = ~np.isnan(seconds)
        times = np.full(len(seconds), np.datetime64("NaT", "s"))
        times[known] = seconds[known].round().astype("M8[s]")
        if not self.zone:
            return times
        return np.array(pd.DatetimeIndex(times, tz="UTC").tz_convert(self.zone), object)


@dataclass(frozen=True)
class Category(Column):
    """Texts that repeat: one column each for the most frequent, and how rare a text is.

    Rarity is minus the logarithm of the share of training rows with the same text; a text that was
    never seen is the rarest. Of two texts one column tells all.

    Attributes
    ----------
    categories : list of str
        Most frequent first.
    counts : list of int
        Training rows with each.
    top : int
        How many have a column.
    """

    categories: list[str]
    counts: list[int]
    top: int

    @classmethod
    def of(cls, name: str, texts: np.ndarray, top: int) -> "Category":
        counts = pd.Series(texts).value_counts()
        order = sorted(zip(-counts.to_numpy(), counts.index, strict=True))
        return cls(name, [text for _, text in order], [int(-n) for n, _ in order], top)

    def check(self) -> None:
        super().check()
        texts = all(isinstance(text, str) for text in self.categories)
        if not texts or len(self.categories) != len(self.counts) or self.top < 1:
            raise ValueError(f"column {self.name!r} has {len(self.counts)} counts of categories")

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        texts, known = texts_of(column), {text.lower(): text for text in self.categories}
        if {UNKNOWN, *TRUTHS.values()} >= {*known}:
            as_known = {text: text for text in self.categories}
            for text in {*texts} - {*as_known}:
                lower = TRUTHS.get(text, text.lower())
                as_known[text] = known.get(lower, text)
            texts = np.array([as_known[text] for text in texts], object)
        return texts, np.zeros(len(column), bool)

    @property
    def _shown(self) -> list[str]:
        return self.categories[1:2] if len(self.categories) == 2 else self.categories[: self.top]

    @property
    def parts(self) -> list[str]:
        return [*(f"= {text}" for text in self._shown), "rarity"]

    def encode(self, values: np.ndarray) -> np.ndarray:
        n = sum(self.counts)
        known = dict(zip(self.categories, self.counts, strict=True))
        rarity = [-np.log((known.get(text, 0) + 0.5) / (n + 0.5)) for text in values]
        if len(self.categories) == 2:  # constant but for texts that were never seen
            rarity = [-np.log(0.5 / (n + 0.5)) * (text not in known) for text in values]
        return np.column_stack([*(values == text for text in self._shown), rarity])

    def decode(self, block: np.ndarray) -> np.ndarray:
        shown = np.array(self._shown, object)
        if len(self.categories) == 2:
            return np.where(block[:, 0] > 0.5, self.categories[1], self.categories[0])
        return shown[block[:, :-1].argmax(axis=1)]


def texts_of(column: pd.Series) -> np.ndarray:
    """Cells as text, one text for all that are missing."""
    texts = as_text(column)
    return np.array([UNKNOWN if text is None else text for text in texts], object)


def kind_of(column: pd.Series, name: str, top: int, decimal: str) -> Column:
    """Tell what a column holds: numbers where nine of ten cells are, times where all are."""
    if not is_truth(column):
        numbers, wrong = as_numbers(column, decimal)
        if 9 * wrong.sum() <= np.isfinite(numbers).sum():
            return Number(name, decimal)
        form = time_format(column)
        if form is not None:
            days = as_times(column, form)
            days = days[~np.isnan(days)]
            daily, weekly = len(np.unique(days % 1)) > 1, np.ptp(days) > 14
            return Time(name, form, daily, bool(weekly), zone_of(column, form))
    return Category.of(name, texts_of(column), top)


GOES_ON = "is a time that only goes on"


def reason_to_leave_out(kind: Column, values: np.ndarray) -> str | None:
    """Say why nothing can be learned from a column that would help with other rows."""
    missing = values == UNKNOWN if isinstance(kind, Category) else pd.isna(values)
    given = values[~missing]
    if not len(given):
        return "is empty"
    n_different = len(pd.unique(pd.Series(given)))
    if n_different == 1 and not missing.any():
        return "is constant"
    if len(given) < FEW or n_different < len(given):
        return None
    if isinstance(kind, Category):
        return "has another text in each row"
    if isinstance(kind, Time):
        return GOES_ON if _goes_on(given) else None
    whole = bool(((given == np.round(given)) & (np.abs(given) < LARGEST_KEY)).all())
    if whole and _goes_on(given) and len(np.unique(np.diff(given))) == 1:
        return "is a running number"
    return "has another whole number in each row" if whole else None


FEW = 30  # rows in which all values may well differ
LARGEST_KEY = 2.0**64  # any float beyond is a whole number


def _goes_on(values: Any) -> bool:
    steps = np.diff(values)
    return bool((steps > 0).all() or (steps < 0).all())
