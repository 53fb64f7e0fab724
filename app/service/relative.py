"""Relative codes: vectors of a space as some of its anchors see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import torch
from torch import Tensor

from anchors import select
from app.service.inputs import check_most
from app.service.outputs import check_finite, check_size
from app.service.pairing import Selection
from app.service.spaces import Space, Spaces, check_known
from app.store import Record
from app.store.rows import Segment, Vectors
from models.relative import Relative, check

MOST_ANCHORS = 5000  # of a code: the similarities of each to each are held in memory
FITTED = 4  # codes kept in memory


@dataclass(frozen=True)
class RelativeSpec:
    """By which anchors, and how: `parameters` are those of `models.relative.Relative`, as JSON has them."""

    anchors: list[str]
    parameters: Mapping[str, Any]

    def relative(self) -> Relative:
        """Not fitted. InvalidOption, UnknownMethod."""
        lists = {name: tuple(value) for name, value in self.parameters.items() if isinstance(value, list)}
        relative = Relative(**{**self.parameters, **lists})
        check(relative)
        return relative

    @property
    def dim(self) -> int:
        """Of a code."""
        return self.relative().width(len(self.anchors))


class RelativeCodes:
    """Of every space that has the anchors."""

    def __init__(self, spaces: Spaces, max_outputs: int) -> None:
        self.spaces, self.max_outputs = spaces, max_outputs
        self._cached = lru_cache(maxsize=FITTED)(self._fitted)

    def of(self, space: str, vectors: Vectors, spec: RelativeSpec) -> Tensor:
        """vectors (n, d) -> (n, spec.dim), float32. NotFound, WrongDimension, and what `fitted` raises."""
        self.spaces.check_width(space, vectors)
        check_size((len(vectors), spec.dim), self.max_outputs)
        codes = self.fitted(space, spec).transform(torch.from_numpy(vectors))
        check_finite(codes)
        return codes

    def fitted(self, space: str, spec: RelativeSpec) -> Relative:
        """To the anchors of the space. NotFound, InvalidInput, OverLimit, InvalidOption, UnknownMethod."""
        asked = orjson.dumps([spec.anchors, dict(spec.parameters)])

        def read(record: Record) -> Relative:
            held = Space.of(record)
            return self._cached(space, held.log.segments, held.dim, asked)

        return self.spaces.steady(space, read)

    def chosen(self, space: str, anchors: list[str] | Selection | None) -> list[str]:
        """The ids, which may be left to a selector; None: all. UnknownSelector, InvalidCount, OverLimit."""
        if isinstance(anchors, list):
            return anchors
        held = self.spaces.anchors(space)
        count = anchors.count if anchors else len(held)
        check_number(min(count, len(held)))
        rows = select(anchors.selector, held.vectors, count) if anchors else range(count)
        return [held.ids[row] for row in rows]

    def _fitted(self, name: str, segments: tuple[Segment, ...], dim: int, asked: bytes) -> Relative:
        spec = RelativeSpec(*orjson.loads(asked))
        held = self.spaces.anchor_set(segments, dim)
        check_number(len(spec.anchors))
        check_known(name, spec.anchors, set(held.ids))
        return spec.relative().fit(torch.from_numpy(held.rows(spec.anchors)))


def check_number(count: int) -> None:
    check_most(count, MOST_ANCHORS, "relative codes have {} anchors", "name some, or a selector")
