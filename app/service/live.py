"""A collection in memory: derived from its log of segments, and caught up with it before every search."""

import logging
import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from app.index import AUTO, Approximation, Mask, Saved, Scored, Searcher, Slots, TableIndex, Vectors, View, chosen
from app.service.columns import Columns
from app.service.filters import Filter
from app.service.indexing import Indexing
from app.service.turnstile import Turnstile
from app.store.base import digest_of
from app.store.rows import Id, Log, Read, Rows, Segment, load
from models.blend import Fitted

AT_ONCE = 8192  # points whose numbers are computed in one turn
GARBAGE = 4  # slots given out per living point before everything is loaded anew
FILTERS = 32  # whose masks are kept

logger = logging.getLogger("anchorage")


class Point(NamedTuple):
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
    recall_at_10: float | None  # of the index, where it was measured; None of an exact search
    fetched: int  # candidates of each query
    points: int
    matching: int | None  # of the points, how many a filter let pass
    prepare_seconds: float  # that the statistics of a translator's first use took
    filter_seconds: float
    search_seconds: float


@dataclass(frozen=True)
class IndexStatus:
    """`state` is exact, building (meanwhile searches are exact, or use what was before) or ready. `points` have
    codes that still stand, others are searched exactly, as are the few that a filter leaves; recall is that of the
    neighbours of a sample of them, when it was built.
    """

    kind: str
    state: str
    points: int = 0
    recall_at_10: float | None = None
    recall_at_30: float | None = None
    effort: int | None = None
    built_at: str | None = None
    fault: str | None = None


class Live:
    """Slots are given out in the order of writing and never again."""

    def __init__(
        self, dim: int, metric: str, kind: str = AUTO, indexing: Indexing | None = None, saved: Saved | None = None
    ) -> None:
        self.dim, self.metric, self.kind, self.saved = dim, metric, kind, saved
        self.fault: str | None = None  # that an approximate index could not be built by
        self._indexing = indexing or Indexing()
        self._turn, self._preparing = Turnstile(), threading.Lock()
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
            littered = len(self._ids) > GARBAGE * len(self._slot_of)
            known = 0 if littered else self._known(log)
            rows = [load(segment, read) for segment in log.segments[known:]]  # may fail: nothing is changed yet
            if littered:
                self._clear()
            if known == 0:
                rows = [self._dropped(rows), *rows]
            self._index.table.reserve(len(self._ids) + sum(len(part.ids) for part in rows))
            # A merged segment says all that its parts said, in their order, deletes included: after them it
            # changes only what came later.
            while rows:
                self._apply(rows.pop(0))  # and forget it: vectors are to lie in memory once
            self._applied, self._position = log.segments, position
        self._tend()

    def search_scored(
        self, queries: Vectors, k: int, key: str, score: Fitted, wanted: Filter | None = None
    ) -> Nearest:
        """By a translator's score, which `key` names; its numbers of all points are computed at its first use."""
        self._read(wanted)
        began = perf_counter()
        while True:  # others may put its numbers out, or load everything anew, between the two turns
            with self._turn.shared():
                if (searcher := self._index.by_score.get(key)) is not None:
                    self._index.by_score.move_to_end(key)
                    return self._nearest(searcher, queries, k, wanted, perf_counter() - began)
            self._prepare(key, score)

    def search(self, queries: Vectors, k: int, wanted: Filter | None = None) -> Nearest:
        """queries (m, d) -> for each, its at most k nearest points among those wanted."""
        self._read(wanted)
        with self._turn.shared():
            return self._nearest(self._index.by_metric, queries, k, wanted)

    def choose(self, kind: str) -> None:
        """Another kind of index."""
        if kind != self.kind:
            self.kind, self.fault = kind, None
            self._tended.clear()

    def forget(self) -> None:
        """The collection is gone: nothing more is built of it."""
        self.kind = "exact"
        if self.saved:
            self.saved.delete()

    def status(self) -> IndexStatus:
        """Of the index that searches without a translator use."""
        with self._turn.shared():
            near, kind = self._index.by_metric.approximation, self._kind(self._index.by_metric)
            building = kind != "exact" and self.fault is None
            if near is None or (building and near.kind != kind):
                return IndexStatus(kind, "building" if building else "exact", fault=self.fault)
            if not near.serves(self._choosy):
                return IndexStatus("exact", "exact", fault=self.complaint)
            return IndexStatus(
                near.kind,
                "building" if building and "" in self._tended else "ready",
                self._index.by_metric.known,
                near.recall_at_10,
                near.recall_at_30,
                near.effort,
                near.built_at,
                self.fault,
            )

    @property
    def complaint(self) -> str | None:
        """What is wrong with its index, if anything."""
        near = self._index.by_metric.approximation
        return self.fault or (near.shortfall if near else None)

    def points(self, ids: Sequence[Id]) -> list[Point]:
        """Of those of `ids` that are there."""
        with self._turn.shared():
            return self._points([self._slot_of[id_] for id_ in ids if id_ in self._slot_of])

    def held(self, ids: Iterable[Id]) -> set[Id]:
        """Those of `ids` that are there."""
        with self._turn.shared():
            return {id_ for id_ in ids if id_ in self._slot_of}

    def page(self, after: Id | None, limit: int, wanted: Filter) -> tuple[list[Point], Id | None]:
        """The points wanted, in the order of their ids, from behind `after`; and where the next page starts."""
        self._read(wanted)
        with self._turn.shared():
            ids, slots = self._sorted()
            slots = slots[bisect_right(ids, after) if after is not None else 0 :]
            slots = slots[self._mask(wanted)[slots]]
            points = self._points(slots[:limit].tolist())
        return points, points[-1].id if len(slots) > limit else None

    def matching(self, wanted: Filter) -> list[Id]:
        """The ids of the points wanted."""
        self._read(wanted)
        with self._turn.shared():
            return [self._ids[slot] for slot in self._mask(wanted).nonzero()[0].tolist()]

    def count(self, wanted: Filter) -> int:
        """How many points are wanted."""
        self._read(wanted)
        with self._turn.shared():
            return int(self._mask(wanted).sum())

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

    def _nearest(
        self, searcher: Searcher, queries: Vectors, k: int, wanted: Filter | None, prepare_seconds: float = 0.0
    ) -> Nearest:
        began = perf_counter()
        allowed = self._mask(wanted) if wanted else None
        filtered = perf_counter()
        ranking = searcher.search(queries, k, allowed, self._choosy)
        points = iter(self._points(ranking.slots.ravel().tolist()))
        hits = [[(next(points), score) for score in row] for row in ranking.scores]
        matching = None if allowed is None else int(np.count_nonzero(allowed))
        seconds = prepare_seconds, filtered - began, perf_counter() - filtered
        near = searcher.approximation
        recall = near.recall_at_10 if near and ranking.proposer == near.kind else None
        return Nearest(hits, ranking.proposer, recall, ranking.fetched, len(self._slot_of), matching, *seconds)

    def _read(self, wanted: Filter | None) -> None:
        """The columns that a filter asks for; a first reading is long, and keeps nobody out."""
        for key in wanted.keys if wanted else ():
            self._columns.column(key)

    def _mask(self, wanted: Filter) -> Mask:
        """The slots wanted; kept until a write, as many ask for the same. Of a filter's values 1, 1.0 and true are
        equal to Python, and their texts are not; of these a digest is kept, as lists of values may be long."""
        if (mask := self._masks.get(key := digest_of(repr(wanted).encode()))) is None:
            if len(self._masks) >= FILTERS:
                self._masks.clear()
            mask = self._masks[key] = wanted.mask(self._columns)
        return mask

    def _sorted(self) -> tuple[list[Id], Slots]:
        """All ids in order, and their slots; found anew after a write."""
        if self._order is None:
            pairs: list[tuple[Any, int]] = sorted(self._slot_of.items())  # of one type: see Collections
            self._order = [id_ for id_, _ in pairs], np.array([slot for _, slot in pairs], np.int64)
        return self._order

    def _prepare(self, key: str, score: Fitted) -> None:
        """The numbers of all points, a part at a time, while others search and write."""
        with self._preparing:
            index, done = self._index, 0
            searcher = Searcher(index.table, Scored(score))
            while key not in index.by_score:
                with self._turn.shared():
                    part = np.arange(done, min(done + AT_ONCE, index.table.size))
                    searcher.put(part)
                done += len(part)
                if len(part) < AT_ONCE:
                    with self._turn.alone():
                        searcher.put(np.arange(done, index.table.size))
                        index.add(key, searcher)
        self._tend()

    @property
    def _choosy(self) -> bool:
        """Nobody asked for a kind, and a device, which finds all faster, is not there."""
        return self.kind == AUTO and self._indexing.owner is None

    def _kind(self, searcher: Searcher) -> str:
        """Of index that suits as many points as there are."""
        approximate, device = searcher.approximation is not None, self._indexing.owner is not None
        return chosen(self.kind, len(self._index), approximate, device)

    def _tend(self) -> None:
        """Have what is due built behind the searches."""
        with self._turn.shared():
            for key in ("", *self._index.by_score):
                if key not in self._tended and self._due(key):
                    self._tended.add(key)
                    self._indexing.ask(partial(self._improve, key))

    def _due(self, key: str) -> tuple[Searcher, str] | None:
        """Who is to get an approximation, and of which kind."""
        if (searcher := self._index.searcher(key)) is None:
            return None
        if (kind := self._kind(searcher)) == "exact":
            searcher.approximation = None
        return (searcher, kind) if searcher.is_due(kind) else None

    def _improve(self, key: str) -> None:
        """Build and replace until nothing is due; one that fails is not tried again before all is read anew."""
        while True:
            with self._turn.shared():
                if (due := self._due(key)) is None:
                    self._tended.discard(key)
                    return
                searcher, kind = due
                view = searcher.snapshot()
            try:
                approximation = self._improved(searcher, kind, view)
            except Exception as error:  # whatever it is: who asks for the status would wait for ever
                self.fault = f"{kind} cannot be built: {type(error).__name__}: {error}"
                logger.exception("an index of %d points: %s", len(self._index), self.fault)
                return
            with self._turn.alone():
                searcher.approximation = approximation

    def _improved(self, searcher: Searcher, kind: str, view: View) -> Approximation:
        """From the file, or built; on the device, if there is one."""
        saved = self.saved if searcher is self._index.by_metric else None
        loaded = saved.load(kind, view) if saved and searcher.approximation is None else None
        approximation = loaded or searcher.improved(kind, view)
        if saved and self.kind != "exact" and approximation.is_enough:
            saved.save(approximation, view)
        if self._indexing.owner:
            approximation.codes.move_to(self._indexing.owner)
        return approximation

    def _known(self, log: Log) -> int:
        """How many of the log's segments need not be applied again."""
        same = [here == there for here, there in zip(self._applied, log.segments, strict=False)]
        known = [*same, False].index(False)
        shortened = known == len(log.segments) < len(self._applied)
        return 0 if shortened else known

    def _dropped(self, log: Sequence[Rows]) -> Rows:
        """The deletes of what is here and not there: a log that begins anew does not say what it has left out."""
        gone = set(self._slot_of).difference(*(rows.ids for rows in log))
        return Rows([], np.empty((0, self.dim), np.float32), [], list(gone))

    def _clear(self) -> None:
        self._index = TableIndex(self.dim, self.metric)
        self.fault = None
        self._tended: set[str] = set()  # keys of searchers for which something is built
        self._applied = ()
        self._slot_of: dict[Id, int] = {}
        self._columns = Columns()
        self._order = None
        self._masks: dict[str, Mask] = {}  # by the digest of a filter
        self._ids: list[Id] = []  # by slot, as all that follows
        self._payloads: list[bytes] = []
        self._origins: list[bytes] = []

    def _apply(self, rows: Rows) -> None:
        fresh = rows.at(self._changed(rows))
        gone = {*rows.deletes}.difference(rows.ids).union(fresh.ids)
        removed = np.array([self._slot_of.pop(id_) for id_ in gone if id_ in self._slot_of], np.int64)
        slots: Slots = np.arange(len(fresh.ids), dtype=np.int64) + len(self._ids)
        self._index.remove(removed)
        self._index.put(slots, fresh.vectors)
        self._columns.remove(removed)
        self._columns.append(fresh.payloads)
        self._order = None
        self._masks.clear()
        self._slot_of.update(zip(fresh.ids, slots.tolist(), strict=True))
        self._ids.extend(fresh.ids)
        self._payloads.extend(fresh.payloads)
        self._origins.extend(fresh.origins or [b""] * len(fresh.ids))

    def _changed(self, rows: Rows) -> list[int]:
        """Those that are not here as they are there."""
        slots = [self._slot_of.get(id_, -1) for id_ in rows.ids]
        here = [row for row, slot in enumerate(slots) if slot >= 0]
        vectors = self._index.table.vectors[[slots[row] for row in here]]
        same = dict(zip(here, (vectors == rows.vectors[here]).all(1).tolist(), strict=True))
        return [
            row
            for row, slot in enumerate(slots)
            if not same.get(row)
            or self._payloads[slot] != rows.payloads[row]
            or self._origins[slot] != rows.origin(row)
        ]

    def _points(self, slots: list[int]) -> list[Point]:
        ids, payloads, origins = self._ids, self._payloads, self._origins
        vectors = self._index.table.vectors
        return [Point(ids[slot], vectors[slot], payloads[slot], origins[slot]) for slot in slots]
