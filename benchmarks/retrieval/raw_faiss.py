"""FAISS in this process: an index as ours, and nothing around its own search."""

import faiss
import numpy as np

from app.index.faiss import PER_LIST, Codes, lists, parameters
from benchmarks.retrieval.points import DIM, PARTS, Vectors, unit
from benchmarks.retrieval.system import Ids


class RawFaiss:
    """Of the kind that our collection chose, with its effort: what ours costs beyond it is the service.

    Where few points are wanted, more of the others are passed by, as ours would do with this index.
    """

    name = "raw FAISS"
    process = None

    def __init__(self, kind: str, effort: int) -> None:
        self.kind, self.efforts = kind, (effort,)
        self.batches: list[Vectors] = []

    def write(self, ids: range, vectors: Vectors) -> None:  # noqa: ARG002
        self.batches.append(vectors)

    def settle(self) -> None:
        rows = unit(np.vstack(self.batches))
        self.parts, self.batches = np.arange(len(rows)) % PARTS, []
        self.codes = Codes(faiss.IndexFlatIP(DIM), 1.0, 0.0)
        if self.kind != "exact":
            few = np.random.default_rng(0).permutation(len(rows))[: PER_LIST * lists(len(rows))]
            self.codes = Codes.learned(self.kind, rows[few], len(rows), reach=lambda: 1.0)
        self.codes.add(rows)
        self.spend(*self.efforts)

    def spend(self, effort: int) -> None:
        index, most = self.codes.index, self.codes.efforts[-1]
        self.all = parameters(index, effort, None)
        self.only = [parameters(index, min(effort * PARTS, most), self.parts == part) for part in range(PARTS)]

    def search(self, queries: Vectors, k: int, part: int | None) -> Ids:
        found: Ids = self.codes.index.search(queries, k, params=self.all if part is None else self.only[part])[1]
        return found

    def count(self) -> int:
        return len(self.codes)

    @property
    def megabytes(self) -> float:
        return len(self.codes.to_bytes()) / 1e6


class FlatFaiss(RawFaiss):
    """Compares every point, or those alone that it was told beforehand to let through: as ours does with few."""

    name = "FAISS, flat"

    def __init__(self) -> None:
        super().__init__("exact", 1)

    def spend(self, effort: int) -> None:
        super().spend(effort)
        chosen = [faiss.IDSelectorArray(np.flatnonzero(self.parts == part)) for part in range(PARTS)]
        self.only = [faiss.SearchParameters(sel=ids) for ids in chosen]
