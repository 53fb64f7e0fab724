"""Stitching: the head of one space, run on vectors of another."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from app.errors import InvalidInput, OverLimit
from app.service.heads import Heads
from app.service.outputs import check_finite, check_size
from app.service.purposes import Purpose
from app.service.relative import RelativeCodes, RelativeSpec
from app.service.routes import UNTRANSLATED, Route, fused
from app.service.spaces import Spaces
from app.service.translators import Translators
from app.store import Record
from app.store.rows import Vectors
from models.heads import ACTIVATIONS, Head, LinearHead

FUSED = 16  # products of a translator and a head kept in memory


@dataclass(frozen=True)
class Stitched:
    """What a head made of vectors, and what translated them, if anything had to."""

    head: Record
    outputs: Tensor  # (n, *shape)
    route: Route | None

    @property
    def labels(self) -> list[str] | None:
        """Of a classifier."""
        labels: list[str] | None = self.head.value["labels"]
        return labels

    @property
    def scores(self) -> Tensor:
        """Of a classifier, (n, labels): a single sigmoid tells two labels apart."""
        two = len(self.labels or []) > self.outputs.shape[1]
        return torch.hstack([1 - self.outputs, self.outputs]) if two else self.outputs

    @property
    def answers(self) -> dict[str, Any]:
        """By the names that they have over the wire."""
        if self.labels is None:
            return {"outputs": self.outputs.numpy()}
        name = "outputs" if self.head.value["activation"] == "none" else "probabilities"
        labels = [self.labels[place] for place in self.scores.argmax(1).tolist()]
        return {"labels": labels, name: self.scores.numpy()}

    def top(self, k: int) -> list[list[dict[str, Any]]]:
        """For every row the k best labels. InvalidInput, OverLimit."""
        labels = self.labels
        if labels is None:
            raise InvalidInput(f"head {self.head.name!r} has no labels, of which `top_k` would name the best")
        if k > len(labels):
            raise OverLimit(
                f"top_k may be at most {len(labels)}, the labels of head {self.head.name!r}, got {k}",
                limit=len(labels),
                got=k,
            )
        best = self.scores.topk(k, dim=1)
        rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [
            [{"label": labels[place], "score": value} for place, value in zip(*row, strict=True)] for row in rows
        ]

    @property
    def named(self) -> dict[str, Any]:
        """What an answer says of it."""
        named = self.route.named if self.route else UNTRANSLATED
        return {"head": self.head.name, "head_version": self.head.version, **named}


class Stitching:
    """A head of the vectors' own space runs on them as they are, a relative one on their codes."""

    def __init__(
        self, spaces: Spaces, heads: Heads, translators: Translators, codes: RelativeCodes, max_outputs: int
    ) -> None:
        self.spaces, self.heads, self.translators, self.codes = spaces, heads, translators, codes
        self.max_outputs = max_outputs
        self._fused = lru_cache(maxsize=FUSED)(fused)

    def stitch(self, source: str, name: str, vectors: Vectors, translator: str | None = None) -> Stitched:
        """vectors (n, d1) of `source`; by the named translator, or the best way to the head's space.

        NotFound, WrongDimension, InvalidInput, InvalidVectors, OverLimit, and what `Translators.between` raises.
        """
        record, head = self.heads.loaded(name)
        self.spaces.check_width(source, vectors)
        check_size((len(vectors), *head.shape), self.max_outputs)
        route = self.route(source, record, translator)
        return Stitched(record, self.outputs(record, head, source, vectors, route), route)

    def outputs(self, record: Record, head: Head, source: str, vectors: Vectors, route: Route | None) -> Tensor:
        """vectors (n, d1) of `source` -> (n, *shape). InvalidVectors, and what `RelativeCodes.of` raises."""
        if relative := record.value["relative"]:
            x = self.codes.of(source, vectors, RelativeSpec(**relative))
        else:
            x = torch.from_numpy(vectors)
        outputs = self.run(head, x, route)
        check_finite(outputs)
        return outputs

    def route(self, source: str, head: Record, translator: str | None = None) -> Route | None:
        """From `source` to the head; None if there is nothing to translate."""
        target = head.value["space"]
        if translator is not None:
            route = self.translators.named(translator)
            check_leads(route, source, head)
            return route
        if target in (None, source):
            return None
        return self.translators.between(source, target, Purpose("head", head.name))

    def run(self, head: Head, x: Tensor, route: Route | None) -> Tensor:
        """x (n, d1) -> (n, *shape); a linear head and the affine maps before it are one product."""
        if not isinstance(head, LinearHead):
            return head(route(x) if route else x)
        steps = [artifact.map for artifact in route.artifacts] if route else []
        for step in self._fused((*steps, head.affine)):
            x = step(x)
        return ACTIVATIONS[head.activation](x)


def check_leads(route: Route, source: str, head: Record) -> None:
    target = head.value["space"]
    if (route.source, route.target) != (source, target):
        to = f"to {target!r}" if target else "nowhere: a relative head runs without a translator, leave it out"
        raise InvalidInput(
            f"translator {route.steps[0].name!r} leads from {route.source!r} to {route.target!r}, head "
            f"{head.name!r} needs one from {source!r} {to}",
            expected={"source": source, "target": target},
            got={"source": route.source, "target": route.target},
        )
