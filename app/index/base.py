"""A vector index: derived from the store, rebuilt from it at any time.

Vectors lie in numbered slots. The three metrics and what their scores mean:
    cosine      cos(q, y), the larger the nearer; 0 for a zero vector
    ip          q · y, the larger the nearer
    euclidean   ‖q - y‖, the smaller the nearer
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Slots = NDArray[np.int64]
Mask = NDArray[np.bool_]

LONGEST = 1e18  # squares of longer vectors overflow single precision
METRICS = ("cosine", "ip", "euclidean")


class Index(Protocol):
    """Not safe for a search during a write: the owner takes care of that."""

    def __len__(self) -> int: ...

    def put(self, slots: Slots, vectors: Vectors) -> None:
        """slots (n,) distinct, vectors (n, d); a slot that is taken is replaced."""

    def remove(self, slots: Slots) -> None:
        """Slots that are not taken are passed over."""

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Slots]:
        """queries (m, d) -> scores and slots, nearest first, both (m, k) or as many as there are.

        `allowed` says for every slot whether it may be found; a slot beyond its end may not.
        """


class NumpyIndex:
    """Brute force in float64: the definition of right."""

    def __init__(self, dim: int, metric: str) -> None:
        self.dim, self.metric = dim, metric
        self._rows: dict[int, Vectors] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, slots: Slots, vectors: Vectors) -> None:
        self._rows.update(zip(slots.tolist(), vectors, strict=True))

    def remove(self, slots: Slots) -> None:
        for slot in slots.tolist():
            self._rows.pop(slot, None)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Slots]:
        slots = np.array([slot for slot in sorted(self._rows) if is_allowed(slot, allowed)], np.int64)
        vectors = np.array([self._rows[slot] for slot in slots.tolist()], np.float64).reshape(-1, self.dim)
        scores = SCORES[self.metric](queries.astype(np.float64), vectors)  # (m, n)
        sign = 1 if self.metric == "euclidean" else -1
        nearest = np.argsort(sign * scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, nearest, 1).astype(np.float32), slots[nearest]


Matrix = NDArray[np.float64]
SCORES: Mapping[str, Callable[[Matrix, Matrix], Matrix]] = {
    "cosine": lambda q, y: unit(q) @ unit(y).T,
    "ip": lambda q, y: q @ y.T,
    "euclidean": lambda q, y: np.sqrt(((q[:, None] - y[None]) ** 2).sum(2)),
}


def unit(x: Matrix) -> Matrix:
    length: Matrix = np.sqrt((x * x).sum(1, keepdims=True)).clip(np.finfo(np.float64).tiny)
    return x / length


def is_allowed(slot: int, allowed: Mask | None) -> bool:
    return allowed is None or (slot < len(allowed) and bool(allowed[slot]))


def overlong(vectors: Vectors) -> Mask:
    """(n,): the rows that have NaN, an infinity, or a length above LONGEST."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares: Vectors = np.einsum("ij,ij->i", vectors, vectors)
        return np.logical_not(squares <= LONGEST**2)
