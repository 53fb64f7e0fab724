"""Brute force in double precision: the definition of right."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from app.index.base import Mask, Ranking, Slots, Vectors

Matrix = NDArray[np.float64]


class NumpyIndex:
    """Compares a query with every vector, as the metric is written down."""

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

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> Ranking:
        slots = np.array([slot for slot in sorted(self._rows) if is_allowed(slot, allowed)], np.int64)
        vectors = np.array([self._rows[slot] for slot in slots.tolist()], np.float64).reshape(-1, self.dim)
        scores = SCORES[self.metric](queries.astype(np.float64), vectors)  # (m, n)
        sign = 1 if self.metric == "euclidean" else -1
        nearest = np.argsort(sign * scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(scores, nearest, 1).astype(np.float32)
        return Ranking(best, slots[nearest], "numpy", len(slots))


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
