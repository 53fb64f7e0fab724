"""Collections: stored points of one space, native or translated on their way in."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from app.errors import Conflict, InvalidInput, InvalidVectors, NotFound, OverLimit, WrongDimension
from app.index import AUTO, INDEXES, METRICS, Vectors
from app.service.filters import Filter
from app.service.indexing import Indexing
from app.service.inputs import check_choice
from app.service.live import IndexStatus, Live, Point
from app.service.purposes import RECONSTRUCTION, Purpose
from app.service.resources import Removed, Resources
from app.service.routes import Route, pair_of
from app.service.spaces import Space, Spaces
from app.service.translators import Translators
from app.store import Record, Store, Write
from app.store.rows import Id, Log, Rows

ID_TYPES = {str: "texts", int: "integers"}


@dataclass(frozen=True)
class Collection:
    """`points` counts them."""

    space: str
    dim: int
    metric: str = "cosine"
    index: str = AUTO
    points: int = 0
    log: Log = Log()

    @classmethod
    def of(cls, record: Record) -> "Collection":
        return cls(**{**record.value, "log": Log.of(record.value["log"])})

    def to_value(self) -> dict[str, Any]:
        return {**vars(self), "log": self.log.to_json()}


class Collections(Resources):
    """Each rests on its space. A batch of points is one atomic write, seen by the next search."""

    def __init__(
        self, store: Store, spaces: Spaces, translators: Translators, indexing: Indexing, max_payload_bytes: int
    ) -> None:
        super().__init__(store, "collection")
        self.spaces, self.translators, self.indexing = spaces, translators, indexing
        self.max_payload_bytes = max_payload_bytes
        self._live: dict[str, Live] = {}
        self._said: dict[str, tuple[int, Collection]] = {}  # by the record at a position
        self._opening = threading.Lock()

    def put(
        self, name: str, space: str, metric: str, if_match: str | None, index: str = AUTO
    ) -> tuple[Record, bool]:
        """NotFound, Conflict: space and metric stay while there are points."""
        check_choice("metric", metric, METRICS)
        check_choice("index", index, [AUTO, *INDEXES])

        def change(current: Record | None) -> Write | None:
            holder = self.spaces.get(space)
            wanted = Collection(space, Space.of(holder).dim, metric, index)
            before = Collection.of(current) if current else None
            if before and (before.space, before.metric) == (space, metric):
                after = replace(before, index=index)
                return self._write(name, current, after) if after != before else None
            if before and before.points:
                raise Conflict(
                    f"collection {name!r} holds {before.points} points of space {before.space!r} under "
                    f"{before.metric}: put the others into a collection of another name",
                    expected={"space": before.space, "metric": before.metric},
                    got={"space": space, "metric": metric},
                )
            return replace(self._write(name, current, wanted), born={("space", space): holder.created_at})

        changed = self.change(name, if_match, change)
        if name in self._live:
            self.opened(name)  # another kind of index is begun, and told
        return changed

    def put_points(
        self,
        name: str,
        rows: Rows,
        if_match: str | None,
        space: str | None = None,
        translator: str | None = None,
    ) -> tuple[Record, dict[str, Any] | None]:
        """Upsert `rows`, dropping `rows.deletes` first; translated, if they are of another `space`.

        The record, and the origin of translated vectors. NotFound, WrongDimension, InvalidVectors, InvalidInput.
        """
        self.check_payloads(rows)
        collection = Collection.of(self.get(name))
        route = self.route(collection, space, translator, RECONSTRUCTION, rows.vectors)
        if route:
            vectors = self.translators.translate(route, rows.vectors).vectors
            rows = replace(rows, vectors=vectors, origins=[orjson.dumps(route.origin)] * len(vectors))

        def change(current: Record | None) -> Write | None:
            if current is None:
                raise self.not_found(name)
            collection = Collection.of(current)
            if route and route.target != collection.space:  # emptied and made anew meanwhile
                raise self.contended(name)
            self.check_vectors(name, collection, rows.vectors)
            return self._changed(name, current, rows)

        return self.change(name, if_match, change)[0], route.origin if route else None

    def delete_points(self, name: str, which: Sequence[Id] | Filter, if_match: str | None) -> Removed:
        """Ids that are not there are passed over."""
        ids: Sequence[Id] = []
        held: set[Id] = set()

        def change(current: Record | None) -> Write | None:
            nonlocal ids, held
            if current is None:
                raise self.not_found(name)
            collection, live = self.both(current)
            ids = live.matching(which) if isinstance(which, Filter) else which
            held = live.held(ids)
            return self._changed(name, current, Rows([], np.empty((0, collection.dim), np.float32), [], ids))

        record, _ = self.change(name, if_match, change)
        return Removed(record, len(held), sorted({*ids} - held))

    def points(self, name: str, ids: Sequence[Id]) -> list[Point]:
        """Those of `ids` that are there."""
        _, live = self.opened(name)
        self.check_ids(name, live, ids)
        return live.points(list(dict.fromkeys(ids)))

    def page_points(
        self, name: str, after: Id | None, limit: int, wanted: Filter
    ) -> tuple[list[Point], Id | None]:
        """The points wanted in the order of their ids, and where the next page starts."""
        _, live = self.opened(name)
        self.check_ids(name, live, [] if after is None else [after])
        return live.page(after, limit, wanted)

    def count(self, name: str, wanted: Filter) -> int:
        """How many points are wanted."""
        return self.opened(name)[1].count(wanted)

    @property
    def faults(self) -> list[str]:
        """Of indexes that could not be built, or find too little."""
        said = [(name, live.complaint) for name, live in list(self._live.items())]
        return [f"collection {name!r}: {complaint}" for name, complaint in said if complaint]

    def index_status(self, name: str) -> IndexStatus | None:
        """As of the last write, so that what is due begins; None before the collection is in memory."""
        if name in self._live:
            with suppress(NotFound):
                return self.opened(name)[1].status()
        return None

    def opened(self, name: str) -> tuple[Collection, Live]:
        """What the record says, and the points in memory as it says. NotFound."""
        return self.steady(name, self.both)

    def live(self, record: Record) -> Live:
        """The points in memory. CorruptStore if the record was replaced meanwhile: see `steady`."""
        return self.both(record)[1]

    def both(self, record: Record) -> tuple[Collection, Live]:
        """CorruptStore."""
        collection = self._collection(record)
        with self._opening:
            live = self._live.get(record.name)
            made_for = collection.dim, collection.metric
            if live is None or (live.dim, live.metric) != made_for:
                self._forget(record.name)
                saved = self.indexing.saved(record.name, collection.metric)
                live = self._live[record.name] = Live(*made_for, collection.index, self.indexing, saved)
            live.choose(collection.index)
        live.catch_up(record.position, collection.log, self.blob)
        return collection, live

    def delete(self, name: str, if_match: str | None) -> list[Record]:
        along = super().delete(name, if_match)
        self._forget(name)
        return along

    def load(self, name: str) -> None:
        """Bring it into memory before anybody asks."""
        self.opened(name)

    def route(
        self,
        collection: Collection,
        space: str | None,
        translator: str | None,
        purpose: Purpose,
        vectors: Vectors,
    ) -> Route | None:
        """The way from `space`, or the translator's source, into the collection; None for native vectors."""
        if translator is not None:
            route = self.translators.named(translator)
            check_leads_here(route.steps[0], collection, space)
            return route
        if space in (None, collection.space):
            return None
        self.spaces.check_width(space, vectors)  # before a first use, which takes seconds
        return self.translators.between(space, collection.space, purpose)

    def check_vectors(self, name: str, collection: Collection, vectors: Vectors) -> None:
        if (dim := vectors.shape[1]) != collection.dim:
            leading = self.translators.leading(dim, collection.space)
            named = ", ".join(f"{record.name!r} leads here from {pair_of(record)[0]!r}" for record in leading[:5])
            raise WrongDimension(
                f"collection {name!r} holds {collection.dim}-dimensional vectors of space {collection.space!r}, "
                f"got {dim}: name the space they come from in `space`" + (f" ({named})" if named else ""),
                expected={"space": collection.space, "dim": collection.dim},
                got={"dim": dim},
                translators=[record.name for record in leading[:100]],
            )
        check_nonzero(collection.metric, vectors)

    def check_payloads(self, rows: Rows) -> None:
        longest = max(range(len(rows.payloads)), key=lambda row: len(rows.payloads[row]), default=0)
        if rows.payloads and (size := len(rows.payloads[longest])) > self.max_payload_bytes:
            raise OverLimit(
                f"row {longest}: a payload may have at most {self.max_payload_bytes} bytes as JSON, got {size}",
                limit=self.max_payload_bytes,
                got=size,
                row=longest,
            )

    def check_ids(self, name: str, live: Live, ids: Sequence[Id]) -> None:
        """That they are of the type of those there: 7 and "7" are two ids, and never meant to be."""
        kind = live.id_type
        if kind and ids and type(ids[0]) is not kind:
            raise InvalidInput(
                f"the ids of collection {name!r} are {ID_TYPES[kind]}, got {ids[0]!r}",
                expected=ID_TYPES[kind],
                got=ids[0],
            )

    def _changed(self, name: str, current: Record, rows: Rows) -> Write | None:
        """None if there is nothing to write, and nothing to delete."""
        collection, live = self.both(current)
        self.check_ids(name, live, rows.ids or rows.deletes)
        if not rows.ids and not live.held(rows.deletes):
            return None
        living = live.living_after(rows)
        log = collection.log.append(rows, living, self.blob)
        return self._write(name, current, replace(collection, points=living, log=log))

    def _collection(self, record: Record) -> Collection:
        """Read once: the log may be long."""
        position, collection = self._said.get(record.name, (None, None))
        if collection is None or position != record.position:
            collection = Collection.of(record)
            self._said[record.name] = record.position, collection
        return collection

    def _forget(self, name: str) -> None:
        self._said.pop(name, None)
        if live := self._live.pop(name, None):
            live.forget()

    def _write(self, name: str, current: Record | None, collection: Collection) -> Write:
        return Write(
            "collection",
            name,
            current.position if current else 0,
            collection.to_value(),
            rests_on=(("space", collection.space),),
            blobs=collection.log.blobs,
            refers=collection.log.digests,
        )


def check_leads_here(record: Record, collection: Collection, space: str | None) -> None:
    source, target = pair_of(record)
    if target != collection.space or space not in (None, source):
        raise InvalidInput(
            f"translator {record.name!r} leads from {source!r} to {target!r}, the vectors need one from "
            f"{space or 'their own space'!r} to {collection.space!r}",
            expected={"source": space, "target": collection.space},
            got={"source": source, "target": target},
        )


def check_nonzero(metric: str, vectors: Vectors) -> None:
    """InvalidVectors for what has no cosine."""
    zero = ~vectors.any(1)
    if metric == "cosine" and zero.any():
        row = int(zero.argmax())
        raise InvalidVectors(f"row {row} is a zero vector, which has no cosine to any other", row=row)
