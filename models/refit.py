"""A method that a report names, fitted again: without the anchors that it is asked about."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.base import Method, check_pairs
from models.folds import Folds
from models.heads import Head
from models.maps import Map
from models.objectives import objective_named
from models.registry import METHODS


def method_of(report: Mapping[str, Any], head: Head | None = None) -> Method:
    """Not fitted; `head` where the objective of the report has one."""
    name, parameters = report["method"], report["parameters"]
    of_objective = objective_named(report["objective"], head).methods()
    alike = (method for method in of_objective if (method.name, method.parameters()) == (name, parameters))
    return next(alike, None) or METHODS[name](**parameters)


def crossed(method: Method, x: Tensor, y: Tensor, kept: Tensor, seed: int) -> tuple[list[Map], Tensor]:
    """Maps of x (n, d1) -> y (n, d2), each fitted on `kept` (n,) rows outside its fold; the fold (n,) of each row.

    TooFewAnchors.
    """
    x, y = check_pairs(x, y)
    folds = Folds(x, y, seed)
    trained = [~folds.inside(fold) & kept for fold in range(folds.parts)]
    return [method.fit(x[rows], y[rows]).map_ for rows in trained], folds.fold_of[0]
