"""Parameter searches that train their candidates together, and splitters for detectors."""

from .search import (
    StackedGridSearchCV,
    StackedHalvingGridSearchCV,
    StackedRandomizedSearchCV,
)
from .splits import InlierKFold, NoveltySplit

__all__ = [
    "InlierKFold",
    "NoveltySplit",
    "StackedGridSearchCV",
    "StackedHalvingGridSearchCV",
    "StackedRandomizedSearchCV",
]
