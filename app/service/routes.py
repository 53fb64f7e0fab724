"""A way from one space to another: one translator, or a path of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from app.store import Record
from app.store.rows import Vectors
from models.affine import Affine
from models.artifact import Artifact
from models.blend import Fitted
from models.maps import Map

# what an answer says where nothing had to be translated
UNTRANSLATED: Mapping[str, Any] = {"translator": None, "version": None, "path": [], "versions": [], "stale": None}


@dataclass(frozen=True)
class Route:
    """The translators that lead from one space to another, in order, and their maps as one."""

    steps: tuple[Record, ...]
    artifacts: tuple[Artifact, ...]  # one for each step
    maps: tuple[Map, ...]  # what they come to: neighbours that are affine fused
    stale: bool

    @property
    def source(self) -> str:
        return pair_of(self.steps[0])[0]

    @property
    def target(self) -> str:
        return pair_of(self.steps[-1])[1]

    @property
    def key(self) -> str:
        """Names the score: that of the last step."""
        return str(self.steps[-1].value["artifact"])

    @property
    def score(self) -> Fitted:
        """How its translations are compared with stored vectors: as those of its last step are."""
        return self.artifacts[-1].score

    @property
    def named(self) -> dict[str, Any]:
        """What an answer says of it; a path of several has no one version."""
        names = [record.name for record in self.steps]
        one = len(names) == 1
        return {
            "translator": names[0] if one else None,
            "version": self.steps[0].version if one else None,
            "path": names,
            "versions": [record.version for record in self.steps],
            "stale": self.stale,
        }

    @property
    def origin(self) -> dict[str, Any]:
        """What is kept with a vector that it translated."""
        return {
            "space": self.source,
            "translators": [{"name": record.name, "version": record.version} for record in self.steps],
        }

    def __call__(self, x: Tensor) -> Tensor:
        """x (n, d1) -> (n, d2)"""
        for step in self.maps:
            x = step(x)
        return x

    def confidence(self, x: Tensor, translated: Tensor) -> Tensor | None:
        """x (n, d1), translated (n, d2) -> (n,); None of a path of several.

        No anchor has shown how good a path is as a whole, and the product of its steps' is far too low: what one
        loses, the next may not need.
        """
        return self.artifacts[0].confidence(x, translated).float() if len(self.artifacts) == 1 else None


@dataclass(frozen=True)
class Translation:
    """Vectors of the target, and the route that made them."""

    vectors: Vectors  # (n, d2)
    route: Route
    confidence: NDArray[np.float32] | None = None  # (n,), if it was asked for and is known


def fused(maps: Sequence[Map]) -> tuple[Map, ...]:
    """Neighbours that are both affine become one product."""
    result = [maps[0]]
    for step in maps[1:]:
        last = result[-1]
        if isinstance(last, Affine) and isinstance(step, Affine):
            result[-1] = last.then(step)
        else:
            result.append(step)
    return tuple(result)


def worth(*steps: Record, end: str = "mean") -> float:
    """Of a path, in [0, 1]: the product of the reported MRR of its steps, or of one end of their intervals.

    It is 0 where a step only knows the mean.
    """
    reports = [record.value["report"] for record in steps]
    return prod(report["quality"]["mrr"][end] if report["method"] != "mean" else 0.0 for report in reports)


def is_surely_better(path: Sequence[Record], direct: Record) -> bool:
    """By the ends of the intervals: galleries of reports are small, so all in them are near 1."""
    return worth(*path, end="low") > worth(direct, end="high")


def pair_of(record: Record) -> tuple[str, str]:
    return record.value["spec"]["source"], record.value["spec"]["target"]
