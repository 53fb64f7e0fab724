"""Many vectors with ids under one record, as a short log of immutable segments.

A segment is two blobs: raw little-endian float32, and ids, payloads, origins and deleted ids as JSON. Writing
appends one; while the segment before is not much larger than the new one both become one, so n single
writes cost O(n log n) bytes and leave O(log n) segments. Whoever has applied the first segments of a
record needs to read only those after them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from secrets import token_hex
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from app.store.base import digest_of

SEGMENT_BYTES = 64 * 2**20  # segments of more than one row stay below; Redis takes values of at most 512 MiB
GROWTH = 2  # a segment is merged into the new one unless it has more than GROWTH times its rows
GARBAGE = 2  # the log is written anew when it holds more than GARBAGE times the living rows

Id = str | int  # of a point; anchors have texts
Vectors = NDArray[np.float32]
Read = Callable[[str], bytes]


@dataclass(frozen=True)
class Rows:
    """First the ids in `deletes` go, then the rows come. payloads are JSON objects, encoded; b"" for none.

    origins, encoded as well, say what vectors were translated from; b"" for a native one, () if all are.
    """

    ids: Sequence[Id]
    vectors: Vectors  # (n, d)
    payloads: Sequence[bytes]
    deletes: Sequence[Id] = ()
    origins: Sequence[bytes] = ()

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each row, (n,)."""
        width = self.vectors.shape[1] * 4
        pairs = zip(self.ids, self.payloads, strict=True)
        return np.array([width + len(str(id_)) + len(payload) for id_, payload in pairs], np.int64)

    def origin(self, row: int) -> bytes:
        return self.origins[row] if self.origins else b""

    def at(self, rows: Sequence[int]) -> "Rows":
        """These rows, and no deletes."""
        return Rows(
            [self.ids[row] for row in rows],
            self.vectors[list(rows)],
            [self.payloads[row] for row in rows],
            origins=[self.origins[row] for row in rows] if self.origins else (),
        )


@dataclass(frozen=True)
class Segment:
    """How Rows lie in the store: the shape of the vectors, and two blobs by their checksums.

    `mark` is drawn by chance, so that no segment passes for an earlier one of the same content.
    """

    rows: int
    dim: int
    deletes: int
    bytes: int
    mark: str
    vectors: str
    items: str


@dataclass(frozen=True)
class Log:
    """The segments of a record, oldest first, and the blobs among them that the store does not have yet."""

    segments: tuple[Segment, ...] = ()
    blobs: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Sequence[Mapping[str, Any]]) -> "Log":
        """From what `to_json` gave."""
        return cls(tuple(Segment(**segment) for segment in value))

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(segment) for segment in self.segments]

    @property
    def digests(self) -> frozenset[str]:
        return frozenset(d for segment in self.segments for d in (segment.vectors, segment.items))

    def append(self, rows: Rows, living: int, read: Read) -> "Log":
        """`living`: the ids that there are after these rows."""
        written = sum(segment.rows for segment in self.segments) + len(rows.ids)
        everything = written > GARBAGE * max(living, 1)
        older, newest = list(self.segments), rows
        while older and (everything or mergeable(older[-1], newest)):
            newest = merged([load(older.pop(), read), newest])
        if not older:
            newest = replace(newest, deletes=())  # there is nothing left to delete from
        packed = [pack(part) for part in parts(newest)]
        return Log((*older, *(s for s, _ in packed)), {d: b for _, blobs in packed for d, b in blobs.items()})

    def read(self, read: Read) -> list[Rows]:
        return [load(segment, read) for segment in self.segments]


def mergeable(segment: Segment, rows: Rows) -> bool:
    small = segment.rows + segment.deletes <= GROWTH * (len(rows.ids) + len(rows.deletes))
    return small and segment.bytes + int(rows.sizes.sum()) <= SEGMENT_BYTES


def merged(log: Iterable[Rows]) -> Rows:
    """Oldest first, as one. A row that is written again keeps its place; the deletes of all stay."""
    log = list(log)
    place: dict[Id, tuple[int, int]] = {}  # id -> (which rows, which row)
    deletes: dict[Id, None] = {}
    for number, rows in enumerate(log):
        for id_ in rows.deletes:
            place.pop(id_, None)
            deletes[id_] = None
        place.update((id_, (number, row)) for row, id_ in enumerate(rows.ids))
    translated = any(rows.origins for rows in log)
    offsets = np.cumsum([0, *(len(rows.ids) for rows in log)])
    vectors = np.concatenate([rows.vectors for rows in log])
    return Rows(
        ids=list(place),
        vectors=vectors[[int(offsets[number]) + row for number, row in place.values()]],
        payloads=[log[number].payloads[row] for number, row in place.values()],
        deletes=list(deletes),
        origins=[log[number].origin(row) for number, row in place.values()] if translated else (),
    )


def parts(rows: Rows) -> Iterable[Rows]:
    """Cut to segments of at most SEGMENT_BYTES; the deletes go before the first."""
    ends, start = np.cumsum(rows.sizes), 0  # (n,)
    while start == 0 or start < len(rows.ids):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + SEGMENT_BYTES, side="right")))
        cut = slice(start, stop)
        deletes = () if start else rows.deletes
        yield Rows(rows.ids[cut], rows.vectors[cut], rows.payloads[cut], deletes, rows.origins[cut])
        start = stop


def pack(rows: Rows) -> tuple[Segment, dict[str, bytes]]:
    vectors = np.ascontiguousarray(rows.vectors, "<f4").tobytes()
    items: dict[str, Any] = {"ids": rows.ids, "payloads": fragments(rows.payloads), "deletes": rows.deletes}
    if rows.origins:  # few different ones: each write has one
        number = {origin: place for place, origin in enumerate(dict.fromkeys(rows.origins))}
        items |= {"origins": fragments(number), "origin_of": [number[origin] for origin in rows.origins]}
    data = orjson.dumps(items)
    n, d = rows.vectors.shape
    size = len(vectors) + len(data)
    segment = Segment(n, d, len(rows.deletes), size, token_hex(8), digest_of(vectors), digest_of(data))
    return segment, {segment.vectors: vectors, segment.items: data}


def load(segment: Segment, read: Read) -> Rows:
    items = orjson.loads(read(segment.items))
    vectors = np.frombuffer(read(segment.vectors), "<f4").reshape(segment.rows, segment.dim)
    origins = encoded(items.get("origins", []))
    origin_of = [origins[number] for number in items.get("origin_of", [])]
    return Rows(items["ids"], vectors, encoded(items["payloads"]), items["deletes"], origin_of)


def fragments(objects: Iterable[bytes]) -> list[orjson.Fragment | None]:
    return [orjson.Fragment(data) if data else None for data in objects]


def encoded(objects: Iterable[Any]) -> list[bytes]:
    """In bytes of their own: those of orjson keep 4 KiB each."""
    return [b"" if value is None else bytes(memoryview(orjson.dumps(value))) for value in objects]
