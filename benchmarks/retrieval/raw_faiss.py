"""FAISS in this process: an index as ours, and nothing around its own search."""

import faiss
import numpy as np

from app.index.faiss import PER_LIST, Codes, lists, parameters
from benchmarks.retrieval.points import DIM, PARTS, Vectors, unit
from benchmarks.retrieval.system import Ids


class RawFaiss:
    """Of the kind that our collection chose, with its effort: what ours costs beyond it is the service.

    What a filter passes is known to it beforehand, and compared exactly, as ours does with so few: that is many
    times as fast as its index with a mask.
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
        self.batches, self.flat = [], faiss.IndexFlatIP(DIM)
        self.flat.add(rows)
        self.codes = Codes(self.flat, 1.0, 0.0)
        if self.kind != "exact":
            few = np.random.default_rng(0).permutation(len(rows))[: PER_LIST * lists(len(rows))]
            self.codes = Codes.learned(self.kind, rows[few], len(rows), products=True)
            self.codes.add(rows)
        chosen = [faiss.IDSelectorArray(np.arange(part, len(rows), PARTS)) for part in range(PARTS)]
        self.only = [faiss.SearchParameters(sel=ids) for ids in chosen]
        self.spend(*self.efforts)

    def spend(self, effort: int) -> None:
        self.all = parameters(self.codes.index, effort, None)

    def search(self, queries: Vectors, k: int, part: int | None) -> Ids:
        index, chosen = (self.codes.index, self.all) if part is None else (self.flat, self.only[part])
        found: Ids = index.search(queries, k, params=chosen)[1]
        return found

    def count(self) -> int:
        return len(self.codes)

    @property
    def megabytes(self) -> float:
        vectors = 0 if self.codes.index is self.flat else 4 * DIM * self.flat.ntotal
        return (len(self.codes.to_bytes()) + vectors) / 1e6
