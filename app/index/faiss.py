"""FAISS: codes of vectors, searched approximately. The only file that knows it."""

from collections.abc import Callable, Mapping
from math import isqrt
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from app.index.base import Mask, Slots, Vectors
from app.index.owner import MOST, Held, Owner
from app.index.scoring import unit

VERSION: str = faiss.__version__
# As FAISS's index factory calls them; "" for none.
INDEXES: Mapping[str, str] = {
    "exact": "",
    "flat_fp16": "SQfp16",
    "hnsw": "HNSW16",
    "ivf_flat": "IVF{lists},Flat",
    "ivf_fp16": "IVF{lists},SQfp16",
    "ivf_sq8": "IVF{lists},SQ8",
}
PER_LIST = 64  # points that the centre of a list is learned from
ROUNDS = 10  # of k-means
CARE = 80  # candidates that the links of a point in a graph are chosen among
HALF = 6e4  # what half precision can hold
TINY = 1e-30  # a length that counts as none
ALIKE = 1e-3  # lengths that differ less are one
ROOM = 1.2  # times the longest: for longer ones that come later

untyped: Any = faiss  # its stubs do not know the NumPy wrappers


class Codes:
    """In the order they were added, and never taken out: FAISS cannot, of a graph or on a GPU.

    Inner products with codes of several lengths are made distances: with sqrt(length² - ‖c‖²) as one number more,
    all codes are as long as the longest, and the nearest is that of the largest product (Bachrach et al. 2014,
    "Speeding up the Xbox recommender system using a Euclidean transformation for inner-product spaces").
    """

    def __init__(self, index: Any, scale: float, length: float) -> None:
        self.index = index
        self.scale = scale  # so that half precision holds them
        self.length = length  # that all are brought to; 0 for codes that are left as they are
        self.held: Held | None = None  # by the owner of a device

    @classmethod
    def learned(cls, kind: str, sample: Vectors, points: int, reach: Callable[[], float] | None) -> Self:
        """An empty one for so many points, some of whose codes are in the sample (s, w). Where these are compared
        by products, `reach` tells the length of the longest of all; None where by distances.
        """
        scale = 1 / max(float(np.abs(sample).max()), TINY)
        varied = reach is not None and np.ptp(np.linalg.norm(sample * scale, axis=1)) > ALIKE
        made = cls(None, scale, ROOM * reach() * scale if reach and varied else 0.0)
        rows = made._stored(sample)
        metric = faiss.METRIC_L2 if reach is None or varied else faiss.METRIC_INNER_PRODUCT
        index = untyped.index_factory(rows.shape[1], INDEXES[kind].format(lists=lists(points)), metric)
        if isinstance(index, faiss.IndexIVF):
            index.cp.niter, index.cp.max_points_per_centroid = ROUNDS, PER_LIST
            index.cp.min_points_per_centroid = 1  # no advice on the standard error
        if isinstance(index, faiss.IndexHNSW):
            index.hnsw.efConstruction = CARE
        index.train(rows)
        return cls(index, scale, made.length)

    @classmethod
    def from_bytes(cls, data: NDArray[np.uint8], scale: float, length: float) -> Self:
        return cls(untyped.deserialize_index(data), scale, length)

    def to_bytes(self) -> NDArray[np.uint8]:
        data: NDArray[np.uint8] = untyped.serialize_index(self.index)
        return data

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def move_to(self, owner: Owner) -> None:
        """Its device, where it is a kind that such have."""
        if not isinstance(self.index, faiss.IndexHNSW):
            self.held = owner.hold(self.index)

    def takes(self, codes: Vectors) -> bool:
        """Whether none is longer than what all are brought to: it would seem far from everything."""
        return not self.length or longest(codes) * self.scale <= self.length

    def copy(self) -> "Codes":
        return Codes(untyped.clone_index(self.index), self.scale, self.length)

    def add(self, codes: Vectors) -> None:
        self.index.add(self._stored(codes))

    def search(self, asked: Vectors, k: int, effort: int, wanted: Mask | None = None) -> Slots:
        """asked (m, w) -> the places of k near codes among those wanted (n,), -1 where none is found."""
        queries = asked * np.float32(self.scale)
        if self.length:  # that of a query matters to how near lists are, and to nothing else
            queries = np.column_stack([unit(asked) * np.float32(self.length), np.zeros(len(asked), np.float32)])
        queries, k = single(queries), min(k, len(self))
        if self.held and wanted is None and max(k, effort) <= MOST:
            return self.held.search(queries, k, effort)
        return searched(self.index, queries, k, effort, wanted)

    @property
    def lists(self) -> int | None:
        """Of an inverted file; None without."""
        return int(self.index.nlist) if isinstance(self.index, faiss.IndexIVF) else None

    @property
    def efforts(self) -> list[int]:
        """That may be spent on a search, least first."""
        if isinstance(self.index, faiss.IndexIVF):
            return doubling(16, self.index.nlist)
        return doubling(64, 2048) if isinstance(self.index, faiss.IndexHNSW) else [1]

    def _stored(self, codes: Vectors) -> Vectors:
        rows = codes * np.float32(self.scale)
        if self.length:
            squares = np.einsum("nw,nw->n", rows, rows)
            rows = np.column_stack([rows, np.sqrt((self.length**2 - squares).clip(0))])
        return single(rows)


def longest(codes: Vectors) -> float:
    """The length of the longest."""
    return float(np.linalg.norm(codes, axis=1).max(initial=0.0))


def searched(index: Any, queries: Vectors, k: int, effort: int, wanted: Mask | None = None) -> Slots:
    places: Slots = index.search(queries, int(k), params=parameters(index, effort, wanted))[1]
    return places


def single(rows: Vectors) -> Vectors:
    return np.ascontiguousarray(rows.clip(-HALF, HALF), np.float32)


def lists(points: int) -> int:
    """Of an inverted file."""
    return max(1, 2 * isqrt(points)) if points > 4 else 1


def doubling(first: int, last: int) -> list[int]:
    steps = [min(first, last)]
    while steps[-1] < last:
        steps.append(min(2 * steps[-1], last))
    return steps


def parameters(index: Any, effort: int, wanted: Mask | None) -> Any:
    """None for those that an index has anyway."""
    selected = {} if wanted is None else {"sel": untyped.IDSelectorBitmap(np.packbits(wanted, bitorder="little"))}
    if hasattr(index, "nprobe"):
        return untyped.SearchParametersIVF(nprobe=effort, **selected)
    if isinstance(index, faiss.IndexHNSW):
        return untyped.SearchParametersHNSW(efSearch=effort, **selected)
    return untyped.SearchParameters(**selected) if selected else None


def products(query: Vectors, rows: Vectors) -> Vectors:
    """query (d,), rows (n, d) -> (n,)"""
    query, rows = np.ascontiguousarray(query, np.float32), np.ascontiguousarray(rows, np.float32)
    n, d = rows.shape
    result = np.empty(n, np.float32)
    untyped.fvec_inner_products_ny(*map(untyped.swig_ptr, (result, query, rows)), d, n)
    return result


def gpu() -> Callable[[Any], Any]:
    """Copies an index to the first GPU, a flat one in half precision."""
    resources, options = untyped.StandardGpuResources(), untyped.GpuClonerOptions()
    options.useFloat16 = True
    return lambda index: untyped.index_cpu_to_gpu(resources, 0, index, options)


def gpus() -> int:
    """How many GPUs this build of FAISS sees; 0 for a CPU build."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0
