"""Anchors of one space: an id and a vector each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class AnchorSet:
    """ids (n) distinct and sorted, vectors (n, d)."""

    ids: list[str]
    vectors: Vectors

    @classmethod
    def of(cls, ids: list[str], vectors: Vectors) -> "AnchorSet":
        """In any order."""
        order = sorted(range(len(ids)), key=ids.__getitem__)
        return cls([ids[i] for i in order], vectors[order])

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: list[str]) -> Vectors:
        """(len(ids), d), in the order asked for; every id must be present."""
        row_of = {id_: row for row, id_ in enumerate(self.ids)}
        return self.vectors[[row_of[id_] for id_ in ids]]

    def without(self, ids: list[str]) -> "AnchorSet":
        """The anchors with other ids."""
        known = set(ids)
        left = [row for row, id_ in enumerate(self.ids) if id_ not in known]
        return AnchorSet([self.ids[row] for row in left], self.vectors[left])

    def sample(self, count: int, rng: np.random.Generator) -> "AnchorSet":
        """All where there are no more than `count`."""
        if len(self) <= count:
            return self
        rows = np.sort(rng.choice(len(self), count, replace=False))
        return AnchorSet([self.ids[row] for row in rows], self.vectors[rows])
