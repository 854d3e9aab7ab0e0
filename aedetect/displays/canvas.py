"""What all displays share: axes to draw on, colours that everyone can tell apart, kinds of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, dataclass_transform

import numpy as np

from ..documented import complete
from ..rows.inputs import readable
from ..rows.limits import WORST

BLUE, VERMILLION, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#000000"  # Okabe & Ito, 2008
MAP = "cividis"  # as seen with and without red (Nunez, Anderton & Renslow, 2018)
SMALL = 8  # points
LOWEST = 0.001  # share of the errors that are drawn as the smallest one, be they 0


@dataclass_transform(kw_only_default=True)
class Display:
    """Base of displays: dataclasses that keep what they show, and draw it with `plot`.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Drawn on last.
    """

    ax_: Any
    figure_: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(cls, kw_only=True, eq=False, repr=False)
        complete(cls)

    def _draw_on(self, ax: Any, height: float = 4) -> Any:
        """The axes to draw on: new ones, 600 pixels wide and so many hundreds high, if None."""
        try:
            from matplotlib import pyplot
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{type(self).__name__} draws with matplotlib: pip install 'aedetect[plot]'"
            ) from error
        if ax is None:
            _, ax = pyplot.subplots(figsize=(6, height), dpi=100, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax


class Kind(NamedTuple):
    """Rows of one kind, and how they look: never told apart by colour alone."""

    name: str
    rows: np.ndarray  # of bool
    color: str
    marker: str
    hatch: str


def kinds_of(y: Any, n: int) -> list[Kind]:
    """The kinds of n rows by their labels, +1 for normal and -1 for anomalous ones."""
    if y is None:
        return [Kind("rows", np.ones(n, bool), BLUE, "o", "")]
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"y has shape {y.shape}; expected {(n,)}, a label for each row.")
    odd = ~np.isin(y, (1, -1))
    if odd.any():
        raise ValueError(
            f"y holds {y[odd].tolist()[0]!r}; expected +1 for normal and -1 for anomalous rows."
        )
    kinds = Kind("normal", y == 1, BLUE, "o", ""), Kind("anomalous", y == -1, VERMILLION, "x", "//")
    return [kind for kind in kinds if kind.rows.any()]


def cells_of(ax: Any, heights: Sequence[float], n_columns: int) -> np.ndarray:
    """A grid of axes, with rows of these relative heights, inside axes that lose their frame."""
    ax.set_axis_off()
    ends, width = np.cumsum(heights) / sum(heights), 1 / n_columns
    starts = np.r_[0, ends[:-1]]
    cells = [
        [
            ax.inset_axes((j * width, 1 - end, 0.94 * width, 0.9 * (end - start)))
            for j in range(n_columns)
        ]
        for start, end in zip(starts, ends, strict=True)
    ]
    return np.array(cells, object)


def draw_values(ax: Any, values: np.ndarray, limits: tuple[float, float], cmap: str) -> Any:
    """An image (h, w), or values (length,) as a strip, in colours between the limits."""
    low, high = limits
    image = ax.imshow(
        np.atleast_2d(values),
        cmap=cmap,
        vmin=low,
        vmax=high,
        aspect="equal" if values.ndim > 1 else "auto",
        interpolation="nearest",
    )
    ax.set(xticks=[], yticks=[])
    return image


def ends_of(errors: np.ndarray, threshold: float | None) -> tuple[float, float]:
    """Where an axis of errors begins and ends: a few small ones and those of lost rows are beyond.

    Parameters
    ----------
    errors : ndarray of shape (n,)
    threshold : float or None
        Where it is finite, it lies between the ends.

    Returns
    -------
    low, high : float
        Far enough apart for bins between them.
    """
    drawn = errors[errors < WORST]
    ends = [np.quantile(drawn, LOWEST), drawn.max()] if len(drawn) else []
    if threshold is not None and np.isfinite(threshold):
        ends.append(threshold)
    low, high = float(min(ends, default=0)), float(max(ends, default=1))
    return low, max(high, low + 1e-6 * (abs(low) or 1.0))


def log_ticks(axis: Any, low: float, high: float) -> None:
    """Mark 1, 2 and 5 of each power of ten, or the power alone if there are many."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def finite(values: Any, name: str, ndim: int = 1) -> np.ndarray:
    """Numbers in an array of so many axes; others are refused."""
    array = np.asarray(readable(values, name), np.float64)
    if array.ndim != ndim or not array.size:
        raise ValueError(f"{name} has shape {array.shape}; expected {ndim} axes that hold numbers.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds {array[~np.isfinite(array)][0]}; expected finite numbers.")
    return array


def require(detector: Any, name: str, display: type, what: str) -> None:
    """Raise where a detector lacks what a display shows of it."""
    if not hasattr(detector, name):
        raise TypeError(
            f"{type(detector).__name__} has no {name}; {display.__name__} takes {what}."
        )
