"""Whether spaces carry the items that they share, or their classes alone."""

from dataclasses import dataclass
from math import isnan

from models.comparison import mutual_knn, participation_ratio
from models.folds import Folds

COLLAPSED = 4.0  # participation ratio below which spaces hold little but classes


@dataclass(frozen=True)
class Collapse:
    """Do the spaces carry the item, or its class alone?"""

    source_participation: float  # directions that the anchors vary in (participation ratio)
    target_participation: float
    mutual_knn: float  # share of nearest anchors that both spaces agree on


def collapse(folds: Folds) -> Collapse:
    rows = folds.sample()
    x, y = folds.span_x[0][rows], folds.span_y[0][rows]
    agreed = mutual_knn(x, y) if len(x) > 2 else 0.0
    figures = (float(participation_ratio(x)), float(participation_ratio(y)), agreed)
    return Collapse(*(0.0 if isnan(figure) else figure for figure in figures))
