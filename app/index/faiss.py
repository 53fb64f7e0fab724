"""Exact search with FAISS on the CPU."""

from typing import Any

import faiss
import numpy as np

from app.index.base import Mask, Slots, Vectors

VERSION: str = faiss.__version__


class FaissIndex:
    """IndexFlat under IndexIDMap2. Cosine is the inner product of unit vectors."""

    def __init__(self, dim: int, metric: str) -> None:
        self.metric = metric
        flat = faiss.IndexFlatL2(dim) if metric == "euclidean" else faiss.IndexFlatIP(dim)
        self._index: Any = faiss.IndexIDMap2(flat)  # its stubs do not know the NumPy wrappers

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def put(self, slots: Slots, vectors: Vectors) -> None:
        self.remove(slots)  # FAISS takes an id twice without a word
        self._index.add_with_ids(self._prepared(vectors), slots)

    def remove(self, slots: Slots) -> None:
        if len(self) and len(slots):
            self._index.remove_ids(slots)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Vectors, Slots]:
        k = min(k, len(self) if allowed is None else self._count(allowed))
        if k == 0:  # FAISS refuses it
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores, slots = self._index.search(self._prepared(queries), k, params=only(allowed))
        return np.sqrt(scores.clip(min=0)) if self.metric == "euclidean" else scores, slots

    def _count(self, allowed: Mask) -> int:
        """Of the slots that are taken, how many are allowed."""
        taken = faiss.vector_to_array(self._index.id_map)
        return int(np.count_nonzero(allowed[taken[taken < len(allowed)]]))

    def _prepared(self, vectors: Vectors) -> Vectors:
        if self.metric == "cosine":
            # in double precision: the squares of small numbers vanish in single
            lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
            vectors = vectors / lengths.clip(np.finfo(np.float64).tiny)
        return np.ascontiguousarray(vectors, np.float32)


def only(allowed: Mask | None) -> Any:
    """The search parameters that keep to them."""
    if allowed is None:
        return None
    untyped: Any = faiss
    bitmap = untyped.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
    return untyped.SearchParameters(sel=bitmap)


def gpus() -> int:
    """How many GPUs this build of FAISS sees; 0 for a CPU build."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0
