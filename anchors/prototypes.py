"""Anchors that are means of many pairs: the noise of single items averages out.

Badecar 2026 (arXiv 2605.30596) takes the mean of the items nearest to each k-means centroid, the same ids in
both spaces. Here a cluster is found in both spaces together, and all of it is averaged.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anchors.clusters import clusters
from anchors.pairing import Pairs
from anchors.scale import standard
from anchors.selection import check_count
from anchors.sets import Vectors


@dataclass(frozen=True)
class Prototypes(Pairs):
    """Row i of both sides is the mean over the ids `members[ids[i]]`."""

    members: dict[str, list[str]]

    @property
    def weights(self) -> NDArray[np.int64]:
        """(n,) how many pairs each row stands for."""
        return np.array([len(self.members[id_]) for id_ in self.ids])


def prototypes(pairs: Pairs, count: int, seed: int = 0) -> Prototypes:
    """At most `count`, fewer where fewer pairs differ. InvalidCount."""
    check_count(count)
    space = np.hstack([standard(pairs.source), standard(pairs.target)])  # (n, d1 + d2)
    labels = clusters(space, min(count, len(space)), seed)[1]
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    names = [f"prototype-{number:04d}" for number in range(len(members))]
    return Prototypes(
        ids=names,
        source=means(pairs.source, members),
        target=means(pairs.target, members),
        members={name: [pairs.ids[row] for row in rows] for name, rows in zip(names, members, strict=True)},
    )


def means(vectors: Vectors, members: list[NDArray[np.intp]]) -> Vectors:
    """(count, d)"""
    return np.array([vectors[rows].mean(0, dtype=np.float64) for rows in members], np.float32)
