"""Parameter searches that train their candidates together; with the splits for detectors."""

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
