"""An exact index of the codes that a translator's score compares, beside that of the vectors themselves.

2 cos(q, c) - r(c) is one inner product: stored [c, r(c)], asked [2 q, -1]; without hubs [c, 0] and [q, 0].
"""

import numpy as np
import torch

from app.index.base import Index, Mask, Slots, Vectors
from models.scores import Fitted


class ScoredIndex:
    """Over an index of inner products, of one dimension more than the score's codes."""

    def __init__(self, score: Fitted, index: Index) -> None:
        self.score, self._index = score, index

    def __len__(self) -> int:
        return len(self._index)

    def put(self, slots: Slots, vectors: Vectors) -> None:
        codes = self.score.codes(torch.from_numpy(np.ascontiguousarray(vectors)))
        self._index.put(slots, np.column_stack([codes.numpy(), self.score.hubness(codes).numpy()]))

    def remove(self, slots: Slots) -> None:
        self._index.remove(slots)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Slots]:
        codes = self.score.codes(torch.from_numpy(np.ascontiguousarray(queries))).numpy()
        csls = self.score.sample is not None
        asked = np.column_stack(
            [codes * (2 if csls else 1), np.full(len(codes), -1.0 if csls else 0.0, np.float32)]
        )
        return self._index.search(asked.astype(np.float32), k, allowed)
