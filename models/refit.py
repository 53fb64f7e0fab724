"""A method that a report names, fitted again: without the anchors that it is asked about."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from models.affine import Affine
from models.base import LEAST_ANCHORS, Method, check_pairs
from models.ensemble import Ensemble
from models.folds import Folds
from models.heads import Head
from models.maps import Map
from models.objectives import objective_named
from models.registry import METHODS


def method_of(report: Mapping[str, Any], head: Head | None = None) -> Method:
    """Not fitted; `head` where the objective of the report has one."""
    of_objective = objective_named(report["objective"], head).methods()
    return method_named(report["method"], report["parameters"], of_objective)


def method_named(name: str, parameters: Mapping[str, Any], of_objective: Sequence[Method]) -> Method:
    """One of the registry or of the objective, or made of such."""
    if name == Ensemble.name:
        members = parameters["members"]
        made = [method_named(member["method"], member["parameters"], of_objective) for member in members]
        return Ensemble(made, [member["weight"] for member in members])
    alike = (method for method in of_objective if (method.name, method.parameters()) == (name, parameters))
    return next(alike, None) or METHODS[name](**parameters)


def crossed(method: Method, x: Tensor, y: Tensor, kept: Tensor, seed: int) -> tuple[list[Map], Tensor]:
    """Maps of x (n, d1) -> y (n, d2), each fitted on `kept` (n,) rows outside its fold; the fold (n,) of each row.

    Of too few rows to fit on, the mean of their targets, as in `Method.trial`. TooFewAnchors.
    """
    x, y = check_pairs(x, y)
    folds = Folds(x, y, seed)
    trained = [~folds.inside(fold) & kept for fold in range(folds.parts)]
    return [fitted(method, x[rows], y[rows]) for rows in trained], folds.fold_of[0]


def fitted(method: Method, x: Tensor, y: Tensor) -> Map:
    if len(x) < LEAST_ANCHORS:
        return Affine(x.new_zeros(x.shape[1], y.shape[1]), y.mean(0))
    return method.fit(x, y).map_
