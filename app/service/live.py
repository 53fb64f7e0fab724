"""A collection in memory: derived from its log of segments, and caught up with it before every search."""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from app.index import INDEXES, Index, Mask, Slots, Vectors
from app.index.scored import ScoredIndex
from app.store.rows import Log, Read, Rows, Segment, load
from models.scores import Fitted

SCORES = 4  # translators whose codes of the points are kept
SCORED_AT_ONCE = 8192  # points
GARBAGE = 4  # slots given out per living point before everything is loaded anew


@dataclass(frozen=True)
class Point:
    """`payload` is encoded JSON, b"" for none."""

    id: str
    vector: Vectors  # (d,)
    payload: bytes


class Live:
    """Slots are given out in the order of writing and never again, so a slot finds its segment by bisection."""

    def __init__(self, dim: int, metric: str) -> None:
        self.dim, self.metric = dim, metric
        self._turn = Turnstile()
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
        self, queries: Vectors, k: int, key: str, score: Fitted, allowed: Mask | None = None
    ) -> list[list[tuple[Point, float]]]:
        """By a translator's score, which `key` names; codes are computed at its first use and kept up after."""
        while True:  # others may put its codes out, or load everything anew, between the two turns
            with self._turn.shared():
                if (index := self._scored.get(key)) is not None:
                    return self._hits(index, queries, k, allowed)
            with self._turn.alone():
                if key not in self._scored:
                    self._score_by(key, score)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> list[list[tuple[Point, float]]]:
        """queries (m, d) -> for each, its at most k nearest points and their scores; see `Index.search`."""
        with self._turn.shared():
            return self._hits(self._index, queries, k, allowed)

    def points(self, ids: Sequence[str]) -> list[Point]:
        """Those of `ids` that are there."""
        with self._turn.shared():
            return [self._point(self._slot_of[id_]) for id_ in ids if id_ in self._slot_of]

    def living_after(self, rows: Rows) -> int:
        """How many points there would be with `rows` applied."""
        with self._turn.shared():
            gone = sum(id_ in self._slot_of for id_ in set(rows.deletes) - set(rows.ids))
            new = sum(id_ not in self._slot_of for id_ in set(rows.ids))
            return len(self._slot_of) - gone + new

    def _hits(
        self, index: Index, queries: Vectors, k: int, allowed: Mask | None
    ) -> list[list[tuple[Point, float]]]:
        scores, slots = index.search(queries, k, allowed)
        hits = zip(slots.tolist(), scores, strict=True)
        return [[(self._point(slot), score) for slot, score in zip(*hit, strict=True)] for hit in hits]

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
        self._slot_of: dict[str, int] = {}
        self._rows: list[Rows] = []
        self._starts: list[int] = [0]  # first slot of each rows, and the next free one

    def _apply(self, rows: Rows) -> None:
        changed = [row for row in range(len(rows.ids)) if not self._holds(rows, row)]
        fresh = Rows(
            [rows.ids[row] for row in changed], rows.vectors[changed], [rows.payloads[row] for row in changed]
        )
        gone = {*rows.deletes}.difference(rows.ids).union(fresh.ids)
        removed = np.array([self._slot_of.pop(id_) for id_ in gone if id_ in self._slot_of], np.int64)
        slots: Slots = np.arange(len(fresh.ids), dtype=np.int64) + self._starts[-1]
        for index in (self._index, *self._scored.values()):
            index.remove(removed)
            index.put(slots, fresh.vectors)
        self._slot_of.update(zip(fresh.ids, slots.tolist(), strict=True))
        self._rows.append(fresh)
        self._starts.append(self._starts[-1] + len(fresh.ids))

    def _holds(self, rows: Rows, row: int) -> bool:
        slot = self._slot_of.get(rows.ids[row])
        if slot is None:
            return False
        here = self._point(slot)
        return here.payload == rows.payloads[row] and np.array_equal(here.vector, rows.vectors[row])

    def _point(self, slot: int) -> Point:
        number = bisect_right(self._starts, slot) - 1
        rows, row = self._rows[number], slot - self._starts[number]
        return Point(rows.ids[row], rows.vectors[row], rows.payloads[row])


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
