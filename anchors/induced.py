"""Pairs that nobody has stated: two points of two spaces that were found to correspond."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anchors.arrays import Matrix, Rows
from anchors.pairing import Pairs
from anchors.sets import AnchorSet


@dataclass(frozen=True)
class InducedPairs(Pairs):
    """Row i joins `joins[i]`, an id of the source and an id of the target; they are one id where it was known."""

    joins: list[tuple[str, str]]
    induced: NDArray[np.bool_]  # (n,)
    scores: Matrix  # (n,) cosine of the two sides where they were compared


def known(pairs: Pairs, scores: Matrix) -> InducedPairs:
    joins = [(id_, id_) for id_ in pairs.ids]
    return InducedPairs(pairs.ids, pairs.source, pairs.target, joins, np.zeros(len(joins), bool), scores)


def found(source: AnchorSet, target: AnchorSet, rows: Rows, columns: Rows, scores: Matrix) -> InducedPairs:
    """Row `rows[i]` of the source and row `columns[i]` of the target. The id of a pair names both: "a|b"."""
    joins = [(source.ids[row], target.ids[column]) for row, column in zip(rows, columns, strict=True)]
    ids = [f"{one}|{other}" for one, other in joins]
    induced = np.ones(len(joins), bool)
    return InducedPairs(ids, source.vectors[rows], target.vectors[columns], joins, induced, scores)


def joined(one: InducedPairs, other: InducedPairs) -> InducedPairs:
    return InducedPairs(
        ids=one.ids + other.ids,
        source=np.vstack([one.source, other.source]),
        target=np.vstack([one.target, other.target]),
        joins=one.joins + other.joins,
        induced=np.concatenate([one.induced, other.induced]),
        scores=np.concatenate([one.scores, other.scores]),
    )
