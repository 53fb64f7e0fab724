"""The mean of several affine maps, chosen for what a linear head makes of it.

Caruana et al. 2004, "Ensemble selection from libraries of models": of the POOL members that lose least, STEPS
times add, with replacement, the one with which the mean's answers on held-out rows lose least. The mean of affine
maps is affine: it is served as one product, and the head's answer to it is the mean of the answers. A fold's rows
are translated with weights that the rows outside of it suggest.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from models.affine import Affine
from models.base import Method, Trial
from models.folds import Folds

POOL = 20
STEPS = 10

Loss = Callable[[Tensor], Tensor]  # answers (p, m, c) of p means -> (p, m)
Additions = Callable[[tuple[int, ...]], Tensor]  # members in a bag, in order -> (p, m)


class Ensemble(Method):
    """Σ_i w_i f_i of affine maps f_i."""

    name: ClassVar[str] = "ensemble"
    map_: Affine

    def __init__(self, members: Sequence[Method], weights: Sequence[float], trials: Sequence[Trial] = ()) -> None:
        """`trials` of every fold, where it was chosen by folds."""
        self.members, self.weights, self.trials = tuple(members), tuple(weights), tuple(trials)

    @classmethod
    def chosen(cls, members: Sequence[Method], answers: Tensor, loss: Loss, folds: Folds) -> Self:
        """answers (p, m, c) of p members to the rows of every fold in turn, which `loss` takes too."""
        rows = torch.cat([folds.rows(fold) for fold in range(folds.count)])  # (m,)
        added = additions(answers, loss)
        weights = greedy(added, torch.ones_like(rows, dtype=torch.bool))
        outside = [~folds.inside(fold)[rows] for fold in range(folds.count)]
        trials = [mean_of(members, greedy(added, others), folds, fold) for fold, others in enumerate(outside)]
        heavy = weights.argsort(descending=True, stable=True)[: int((weights > 0).sum())].tolist()
        return cls([members[index] for index in heavy], weights[heavy].tolist(), trials)

    def parameters(self) -> dict[str, Any]:
        pairs = zip(self.members, self.weights, strict=True)
        return {
            "members": [
                {"method": member.name, "parameters": member.parameters(), "weight": weight}
                for member, weight in pairs
            ]
        }

    def fit(self, x: Tensor, y: Tensor) -> Self:
        for member in self.members:
            member.fit(x, y)
        return self._joined()

    def settle(self, folds: Folds) -> Trial:
        """Its members share what the folds know."""
        for member in self.members:
            member.settle(folds)
        rows = folds.sample()
        sample = self._joined().transform(folds.x[rows])
        return Trial(sample, folds.y[rows], folds.y.mean(0), lambda: sample)

    def trial(self, folds: Folds, fold: int) -> Trial:  # noqa: ARG002  they are those of the folds it was chosen by
        return self.trials[fold]

    def _joined(self) -> Self:
        pairs = zip(*(vars(member.map_).values() for member in self.members), strict=True)
        self.map_ = Affine(*(mean(self.weights, parts) for parts in pairs))
        self.rank_ = max(member.rank_ for member in self.members)
        return self


def additions(answers: Tensor, loss: Loss) -> Additions:
    """answers (p, m, c): what each member loses (p, m) when it is added to a bag; folds have many in common."""

    @cache
    def added(bag: tuple[int, ...]) -> Tensor:
        return loss((answers[list(bag)].sum(0) + answers) / (len(bag) + 1))

    return added


def greedy(added: Additions, rows: Tensor) -> Tensor:
    """rows (m,) that count -> weights (p,) of the members, which sum to 1."""
    bag: tuple[int, ...] = ()
    for _ in range(STEPS):
        best = int(added(bag)[:, rows].mean(1).argmin())
        bag = (*sorted((*bag, best)),)
    return torch.bincount(torch.tensor(bag), minlength=len(added(()))).double() / STEPS


def mean_of(members: Sequence[Method], weights: Tensor, folds: Folds, fold: int) -> Trial:
    """Of the trials of those that weigh something, as full vectors."""
    heavy = weights.nonzero()[:, 0].tolist()
    shares: list[float] = weights[heavy].tolist()
    trials = [members[index].trial(folds, fold) for index in heavy]
    predicted, sample = (
        mean(shares, [folds.full(getattr(trial, name)) for trial in trials]) for name in ("predicted", "sample")
    )
    return Trial(predicted, folds.full(trials[0].y), folds.y[folds.train(fold)].mean(0), lambda: sample)


def mean(weights: Sequence[float], parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([weight * part for weight, part in zip(weights, parts, strict=True)]).sum(0)
