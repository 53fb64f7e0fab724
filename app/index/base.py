"""A vector index: derived from the store, rebuilt from it at any time.

Vectors lie in numbered slots, dense from 0. The three metrics and what their scores mean:
    cosine      cos(q, y), the larger the nearer; 0 for a zero vector
    ip          q · y, the larger the nearer
    euclidean   ‖q - y‖, the smaller the nearer
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Slots = NDArray[np.int64]
Mask = NDArray[np.bool_]

LONGEST = 1e18  # squares of longer vectors overflow single precision
METRICS = ("cosine", "ip", "euclidean")


class Ranking(NamedTuple):
    """Nearest first, (m, k) or as many as there are. Of equal scores the lower slot comes first."""

    scores: Vectors
    slots: Slots
    proposer: str  # of candidates: a kind of index
    fetched: int  # candidates of each query, whose scores are exact


class Index(Protocol):
    """Not safe for a search during a write: the owner takes care of that."""

    def __len__(self) -> int: ...

    def put(self, slots: Slots, vectors: Vectors) -> None:
        """slots (n,) distinct, vectors (n, d); a slot that is taken is replaced."""

    def remove(self, slots: Slots) -> None:
        """Slots that are not taken are passed over."""

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> Ranking:
        """queries (m, d). `allowed` says for every slot whether it may be found; one beyond its end may not."""


def count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def overlong(vectors: Vectors) -> Mask:
    """(n,): the rows that have NaN, an infinity, or a length above LONGEST."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares: Vectors = np.einsum("ij,ij->i", vectors, vectors)
        return np.logical_not(squares <= LONGEST**2)
