"""Who is asked: we and the peers, behind one protocol."""

from collections.abc import Sequence
from typing import Protocol

from benchmarks.retrieval.points import Vectors
from benchmarks.retrieval.process import Process

Ids = Sequence[Sequence[int]]


class System(Protocol):
    """Points have integer ids and the payload {"part": id % PARTS}; the near ones are so by cosine."""

    name: str
    process: Process | None  # None: it lives in ours
    efforts: Sequence[int]  # that searches may spend, least first; none: it chooses by itself

    def write(self, ids: range, vectors: Vectors) -> None:
        """Acknowledged."""

    def settle(self) -> None:
        """Until searches use an index of all that was written."""

    def spend(self, effort: int) -> None:
        """On every search from now on."""

    def search(self, queries: Vectors, k: int, part: int | None) -> Ids:
        """For each query the ids of its k nearest, of all or of those of a part."""

    @property
    def megabytes(self) -> float:
        """Of its process; of the index alone where it has none."""

    def count(self) -> int:
        """How many points there are."""
