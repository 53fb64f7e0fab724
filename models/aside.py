"""Pairs that judge a fit, in galleries: held out by folds, or aside, as what a selection of anchors leaves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from models.base import Trial
from models.blend import Fitted
from models.folds import EVALUATED, Gallery
from models.maps import Map
from models.measures import Estimate, Outcomes, cosines


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


@dataclass(frozen=True)
class Judgement:
    """The held-out figures of a report."""

    held_out: int
    gallery: int  # held-out rows that a counterpart is looked for among
    quality: Mapping[str, Estimate]
    baselines: Mapping[str, Mapping[str, Estimate]]

    @classmethod
    def of(cls, outcomes: Outcomes, galleries: list[Gallery], own: dict[str, Estimate], seed: int) -> Self:
        """`own` are figures of the objective alone."""
        size = min(len(gallery.x) for gallery in galleries)
        return cls(len(outcomes.rank), size, outcomes.quality(seed) | own, baselines_of(galleries, seed))


def trials_aside(galleries: list[Gallery], translate: Map, sample: Tensor) -> list[Trial]:
    """Of one map in all galleries; `sample` (t, d2) are translations of anchors that it was fitted on."""
    return [Trial(translate(x), y, mean, lambda: sample) for x, y, mean in galleries]


def outcomes_aside(trials: list[Trial], score: Fitted) -> Outcomes:
    parts = [Outcomes.of(score(one.predicted, one.y), one.predicted, one.y, one.mean) for one in trials]
    return Outcomes.joined(parts)


def baselines_of(galleries: list[Gallery], seed: int) -> dict[str, dict[str, Estimate]]:
    """The target mean, and doing nothing (cut or padded with zeros where the widths differ)."""
    parts: dict[str, list[Outcomes]] = {"mean": [], "untranslated": []}
    for x, y, mean in galleries:
        d2 = y.shape[1]
        untouched = pad(x[:, :d2], (0, max(0, d2 - x.shape[1])))
        for name, predicted in (("mean", mean.expand_as(y)), ("untranslated", untouched)):
            parts[name].append(Outcomes.of(cosines(predicted, y), predicted, y, mean))
    return {name: Outcomes.joined(outcomes).quality(seed) for name, outcomes in parts.items()}
