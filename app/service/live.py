"""A collection in memory: derived from its log of segments, and caught up with it before every search."""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from app.index import INDEXES, Index, Slots, Vectors
from app.index.scored import ScoredIndex
from app.service.columns import Columns
from app.service.filters import Filter
from app.store.rows import Id, Log, Read, Rows, Segment, load
from models.scores import Fitted

SCORES = 4  # translators whose codes of the points are kept
SCORED_AT_ONCE = 8192  # points
GARBAGE = 4  # slots given out per living point before everything is loaded anew


@dataclass(frozen=True)
class Point:
    """`payload`, and `origin` of a translated vector, are encoded JSON, b"" for none."""

    id: Id
    vector: Vectors  # (d,)
    payload: bytes
    origin: bytes = b""


@dataclass(frozen=True)
class Nearest:
    """Per query its points with their scores, nearest first; and how they were found."""

    hits: list[list[tuple[Point, float]]]
    index: str
    fetched: int  # candidates of each query
    points: int
    matching: int | None  # of the points, how many a filter let pass
    filter_seconds: float
    search_seconds: float


class Live:
    """Slots are given out in the order of writing and never again, so a slot finds its segment by bisection."""

    def __init__(self, dim: int, metric: str) -> None:
        self.dim, self.metric = dim, metric
        self._turn = Turnstile()
        self._order: tuple[list[Id], Slots] | None = None
        self._position = 0  # of the record that is applied
        self._applied: tuple[Segment, ...] = ()
        self._clear()

    def catch_up(self, position: int, log: Log, read: Read) -> None:
        """Apply what the log at `position` of the store has beyond what is here. CorruptStore."""
        if position <= self._position:
            return
        with self._turn.alone():
            if position <= self._position:
                return
            known = self._known(log)
            rows = [load(segment, read) for segment in log.segments[known:]]  # may fail: nothing is changed yet
            if known == 0:
                self._clear()
            # A merged segment says all that its parts said, in their order, deletes included: after them it
            # changes only what came later.
            for part in rows:
                self._apply(part)
            self._applied, self._position = log.segments, position

    def search_scored(
        self, queries: Vectors, k: int, key: str, score: Fitted, wanted: Filter | None = None
    ) -> Nearest:
        """By a translator's score, which `key` names; codes are computed at its first use and kept up after."""
        self._read(wanted)
        while True:  # others may put its codes out, or load everything anew, between the two turns
            with self._turn.shared():
                if (index := self._scored.get(key)) is not None:
                    return self._nearest(index, queries, k, wanted)
            with self._turn.alone():
                if key not in self._scored:
                    self._score_by(key, score)

    def search(self, queries: Vectors, k: int, wanted: Filter | None = None) -> Nearest:
        """queries (m, d) -> for each, its at most k nearest points among those wanted."""
        self._read(wanted)
        with self._turn.shared():
            return self._nearest(self._index, queries, k, wanted)

    def points(self, ids: Sequence[Id]) -> list[Point]:
        """Those of `ids` that are there."""
        with self._turn.shared():
            return [self._point(self._slot_of[id_]) for id_ in ids if id_ in self._slot_of]

    def page(self, after: Id | None, limit: int, wanted: Filter) -> tuple[list[Point], Id | None]:
        """The points wanted, in the order of their ids, from behind `after`; and where the next page starts."""
        self._read(wanted)
        with self._turn.shared():
            ids, slots = self._sorted()
            slots = slots[bisect_right(ids, after) if after is not None else 0 :]
            slots = slots[wanted.mask(self._columns)[slots]]
            points = [self._point(slot) for slot in slots[:limit].tolist()]
        return points, points[-1].id if len(slots) > limit else None

    def matching(self, wanted: Filter) -> list[Id]:
        """The ids of the points wanted."""
        self._read(wanted)
        with self._turn.shared():
            return [self._point(slot).id for slot in wanted.mask(self._columns).nonzero()[0].tolist()]

    def count(self, wanted: Filter) -> int:
        """How many points are wanted."""
        self._read(wanted)
        with self._turn.shared():
            return int(wanted.mask(self._columns).sum())

    @property
    def id_type(self) -> type | None:
        """Of all ids; None without any."""
        with self._turn.shared():
            return next((type(id_) for id_ in self._slot_of), None)

    def living_after(self, rows: Rows) -> int:
        """How many points there would be with `rows` applied."""
        with self._turn.shared():
            gone = sum(id_ in self._slot_of for id_ in set(rows.deletes) - set(rows.ids))
            new = sum(id_ not in self._slot_of for id_ in set(rows.ids))
            return len(self._slot_of) - gone + new

    def _nearest(self, index: Index, queries: Vectors, k: int, wanted: Filter | None) -> Nearest:
        began = perf_counter()
        allowed = wanted.mask(self._columns) if wanted else None
        filtered = perf_counter()
        scores, slots = index.search(queries, k, allowed)
        rows = zip(slots.tolist(), scores, strict=True)
        hits = [[(self._point(slot), score) for slot, score in zip(*row, strict=True)] for row in rows]
        matching = None if allowed is None else int(allowed.sum())
        seconds = filtered - began, perf_counter() - filtered
        return Nearest(hits, "exact", slots.shape[1], len(self._slot_of), matching, *seconds)

    def _read(self, wanted: Filter | None) -> None:
        """The columns that a filter asks for; a first reading is long, and keeps nobody out."""
        for key in wanted.keys if wanted else ():
            self._columns.column(key)

    def _sorted(self) -> tuple[list[Id], Slots]:
        """All ids in order, and their slots; found anew after a write."""
        if self._order is None:
            pairs: list[tuple[Any, int]] = sorted(self._slot_of.items())  # of one type: see Collections
            self._order = [id_ for id_, _ in pairs], np.array([slot for _, slot in pairs], np.int64)
        return self._order

    def _score_by(self, key: str, score: Fitted) -> None:
        codes = self.dim if score.projection is None else score.projection.shape[1]
        index = ScoredIndex(score, INDEXES["faiss"](codes + 1, "ip"))
        slots = np.fromiter(self._slot_of.values(), np.int64, len(self._slot_of))
        for part in np.array_split(slots, max(1, len(slots) // SCORED_AT_ONCE)):
            if len(part):
                index.put(part, np.stack([self._point(slot).vector for slot in part.tolist()]))
        while len(self._scored) >= SCORES:
            self._scored.pop(next(iter(self._scored)))
        self._scored[key] = index

    def _known(self, log: Log) -> int:
        """How many of the log's segments need not be applied again; 0 to start anew."""
        same = [here == there for here, there in zip(self._applied, log.segments, strict=False)]
        known = [*same, False].index(False)
        shortened = known == len(log.segments) < len(self._applied)
        littered = self._starts[-1] > GARBAGE * len(self._slot_of)
        return 0 if shortened or littered else known

    def _clear(self) -> None:
        self._index: Index = INDEXES["faiss"](self.dim, self.metric)
        self._scored: dict[str, ScoredIndex] = {}
        self._applied = ()
        self._slot_of: dict[Id, int] = {}
        self._columns = Columns()
        self._order = None
        self._rows: list[Rows] = []
        self._starts: list[int] = [0]  # first slot of each rows, and the next free one

    def _apply(self, rows: Rows) -> None:
        changed = [row for row in range(len(rows.ids)) if not self._holds(rows, row)]
        fresh = rows.at(changed)
        gone = {*rows.deletes}.difference(rows.ids).union(fresh.ids)
        removed = np.array([self._slot_of.pop(id_) for id_ in gone if id_ in self._slot_of], np.int64)
        slots: Slots = np.arange(len(fresh.ids), dtype=np.int64) + self._starts[-1]
        for index in (self._index, *self._scored.values()):
            index.remove(removed)
            index.put(slots, fresh.vectors)
        self._columns.remove(removed)
        self._columns.append(fresh.payloads)
        self._order = None
        self._slot_of.update(zip(fresh.ids, slots.tolist(), strict=True))
        self._rows.append(fresh)
        self._starts.append(self._starts[-1] + len(fresh.ids))

    def _holds(self, rows: Rows, row: int) -> bool:
        slot = self._slot_of.get(rows.ids[row])
        if slot is None:
            return False
        here = self._point(slot)
        same = here.payload == rows.payloads[row] and here.origin == rows.origin(row)
        return same and np.array_equal(here.vector, rows.vectors[row])

    def _point(self, slot: int) -> Point:
        number = bisect_right(self._starts, slot) - 1
        rows, row = self._rows[number], slot - self._starts[number]
        return Point(rows.ids[row], rows.vectors[row], rows.payloads[row], rows.origin(row))


class Turnstile:
    """Many readers or one writer; a waiting writer goes before new readers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers, self._writers_waiting, self._writing = 0, 0, False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._writing and not self._writers_waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._writers_waiting += 1
            self._changed.wait_for(lambda: not self._writing and not self._readers)
            self._writers_waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
