"""Collections: stored points of one space, searched from every space that reaches it."""

import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from app.errors import Conflict, InvalidInput, InvalidVectors, OverLimit, WrongDimension
from app.index import METRICS, Vectors
from app.service.live import Live, Point
from app.service.resources import Resources
from app.service.routes import Translation, pair_of
from app.service.spaces import Space, Spaces
from app.service.translators import Translators
from app.store import Record, Store, Write
from app.store.rows import Log, Rows


@dataclass(frozen=True)
class Collection:
    """`points` counts them."""

    space: str
    dim: int
    metric: str = "cosine"
    points: int = 0
    log: Log = Log()

    @classmethod
    def of(cls, record: Record) -> "Collection":
        return cls(**{**record.value, "log": Log.of(record.value["log"])})

    def to_value(self) -> dict[str, Any]:
        return {**vars(self), "log": self.log.to_json()}


@dataclass(frozen=True)
class Found:
    """Per query its points with their scores, nearest first; and what translated the queries."""

    hits: list[list[tuple[Point, float]]]
    translation: Translation | None
    score: str  # what the scores are


class Collections(Resources):
    """Each rests on its space. A batch of points is one atomic write, seen by the next search."""

    def __init__(self, store: Store, spaces: Spaces, translators: Translators, max_k: int, max_hits: int) -> None:
        super().__init__(store, "collection")
        self.spaces, self.translators = spaces, translators
        self.max_k, self.max_hits = max_k, max_hits
        self._live: dict[str, Live] = {}
        self._opening = threading.Lock()

    def put(self, name: str, space: str, metric: str, if_match: str | None) -> tuple[Record, bool]:
        """NotFound, Conflict: space and metric stay while there are points."""
        if metric not in METRICS:
            raise InvalidInput(
                f"metric must be one of {list(METRICS)}, got {metric!r}", expected=METRICS, got=metric
            )

        def change(current: Record | None) -> Write | None:
            holder = self.spaces.get(space)
            wanted = Collection(space, Space.of(holder).dim, metric)
            before = Collection.of(current) if current else None
            if before and (before.space, before.metric) == (space, metric):
                return None
            if before and before.points:
                raise Conflict(
                    f"collection {name!r} holds {before.points} points of space {before.space!r} under "
                    f"{before.metric}: put the others into a collection of another name",
                    expected={"space": before.space, "metric": before.metric},
                    got={"space": space, "metric": metric},
                )
            return replace(self._write(name, current, wanted), born={("space", space): holder.created_at})

        return self.change(name, if_match, change)

    def put_points(self, name: str, rows: Rows, if_match: str | None) -> Record:
        """Upsert `rows`, dropping `rows.deletes` first. NotFound, WrongDimension, InvalidVectors."""

        def change(current: Record | None) -> Write | None:
            if current is None:
                raise self.not_found(name)
            collection = Collection.of(current)
            self.check_vectors(name, collection, rows.vectors)
            living = self.live(current).living_after(rows)
            if not rows.ids and living == collection.points:
                return None
            log = collection.log.append(rows, living, self.blob)
            return self._write(name, current, replace(collection, points=living, log=log))

        return self.change(name, if_match, change)[0]

    def delete_points(self, name: str, ids: list[str], if_match: str | None) -> Record:
        """Ids that are not there are passed over."""
        nothing = np.empty((0, Collection.of(self.get(name)).dim), np.float32)
        return self.put_points(name, Rows([], nothing, [], ids), if_match)

    def points(self, name: str, ids: list[str]) -> list[Point]:
        """Those of `ids` that are there."""
        return self.steady(name, self.live).points(list(dict.fromkeys(ids)))

    def search(self, name: str, queries: Vectors, k: int, space: str | None, translator: str | None) -> Found:
        """queries (m, d) of the collection's space, of `space`, or of the translator's source."""
        if not 1 <= k <= self.max_k:
            raise OverLimit(f"k must be from 1 to {self.max_k}, got {k}", limit=self.max_k, got=k)
        if (hits := k * len(queries)) > self.max_hits:
            raise OverLimit(
                f"queries x k may be at most {self.max_hits}, got {hits}", limit=self.max_hits, got=hits
            )
        record, live = self.steady(name, lambda record: (record, self.live(record)))
        collection = Collection.of(record)
        translation = self._translated(collection, queries, space, translator)
        if translation:
            queries = translation.vectors
        self.check_vectors(name, collection, queries)
        if translation is None or collection.metric != "cosine":
            return Found(live.search(queries, k).hits, translation, collection.metric)
        route = translation.route
        scored = live.search_scored(queries, k, route.key, route.score).hits
        return Found(scored, translation, route.steps[-1].value["report"]["score"]["name"])

    def live(self, record: Record) -> Live:
        """In memory, as the record says. CorruptStore if it was replaced meanwhile: see `steady`."""
        collection = Collection.of(record)
        with self._opening:
            live = self._live.get(record.name)
            if live is None or (live.dim, live.metric) != (collection.dim, collection.metric):
                live = self._live[record.name] = Live(collection.dim, collection.metric)
        live.catch_up(record.position, collection.log, self.blob)
        return live

    def delete(self, name: str, if_match: str | None) -> None:
        super().delete(name, if_match)
        self._live.pop(name, None)

    def load(self, name: str) -> None:
        """Bring it into memory before anybody asks."""
        self.steady(name, self.live)

    def check_vectors(self, name: str, collection: Collection, vectors: Vectors) -> None:
        if vectors.shape[1] != collection.dim:
            reaching = self.translators.reaching(collection.space)
            raise WrongDimension(
                f"collection {name!r} holds {collection.dim}-dimensional vectors of space {collection.space!r}, "
                f"got {vectors.shape[1]}: name the space they come from in `space`"
                + (f" (translators lead here from {reaching})" if reaching else ""),
                expected={"space": collection.space, "dim": collection.dim},
                got={"dim": vectors.shape[1]},
            )
        if collection.metric == "cosine":
            zero = ~vectors.any(1)
            if zero.any():
                row = int(zero.argmax())
                raise InvalidVectors(f"row {row} is a zero vector, which has no cosine to any other", row=row)

    def _translated(
        self, collection: Collection, queries: Vectors, space: str | None, translator: str | None
    ) -> Translation | None:
        if translator is not None:
            route = self.translators.named(translator)
            self.check_leads_here(route.steps[0], collection, space)
        elif space in (None, collection.space):
            return None
        else:
            route = self.translators.between(space, collection.space, "retrieval")
        return self.translators.translate(route, queries)

    def check_leads_here(self, record: Record, collection: Collection, space: str | None) -> None:
        source, target = pair_of(record)
        if target != collection.space or space not in (None, source):
            raise InvalidInput(
                f"translator {record.name!r} leads from {source!r} to {target!r}, the search needs one from "
                f"{space or 'the space of the queries'!r} to {collection.space!r}",
                expected={"source": space, "target": collection.space},
                got={"source": source, "target": target},
            )

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
