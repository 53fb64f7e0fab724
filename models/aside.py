"""Pairs that lie aside while others are fitted on: what a selection of anchors leaves, held out by nature."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.folds import EVALUATED, Gallery
from models.maps import Map
from models.measures import Outcomes
from models.scores import Fitted


@dataclass(frozen=True)
class Aside:
    """x (m, d1), y (m, d2), m >= `size`, of a gallery. Fits that share it can be compared."""

    x: Tensor
    y: Tensor
    size: int
    seed: int

    def galleries(self, mean: Tensor) -> list[Gallery]:
        """Drawn at random; `mean` (d2,) of the target anchors that the map was fitted on."""
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(self.seed))
        count = min(len(order), EVALUATED) // self.size
        parts = torch.split(order[: count * self.size], self.size)
        return [Gallery(self.x[rows].double(), self.y[rows].double(), mean) for rows in parts]


def outcomes_aside(galleries: list[Gallery], translate: Map, score: Fitted) -> Outcomes:
    parts = []
    for x, y, mean in galleries:
        predicted = translate(x)
        parts.append(Outcomes.of(score(predicted, y), predicted, y, mean))
    return Outcomes.joined(parts)
