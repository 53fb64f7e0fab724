"""Spaces and their anchors."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from anchors import AnchorSet
from app.errors import Conflict, InvalidInput, NotFound, OverLimit, WrongDimension
from app.service.resources import Removed, Resources
from app.store import Record, Store, Write
from app.store.rows import Log, Rows, Segment, Vectors, merged

ANCHOR_SETS = 8  # kept in memory
NAMED = 20  # ids that a message lists


@dataclass(frozen=True)
class Space:
    """`anchors` counts them, `anchors_version` their changes."""

    dim: int
    fingerprint: Mapping[str, Any]
    description: str
    anchors: int = 0
    anchors_version: int = 0
    log: Log = Log()

    @classmethod
    def of(cls, record: Record) -> "Space":
        return cls(**{**record.value, "log": Log.of(record.value["log"])})

    def to_value(self) -> dict[str, Any]:
        return {**vars(self), "log": self.log.to_json()}


class Spaces(Resources):
    """A change of a space and its anchors is one atomic write of its record."""

    def __init__(self, store: Store, max_dim: int) -> None:
        super().__init__(store, "space")
        self.max_dim = max_dim
        self.anchor_set = lru_cache(maxsize=ANCHOR_SETS)(self._anchor_set)

    def put(self, name: str, wanted: Space, rows: Rows | None, if_match: str | None) -> tuple[Record, bool]:
        """Create or describe a space, upserting `rows`. OverLimit, WrongDimension, Conflict, InUse."""
        if wanted.dim > self.max_dim:
            raise OverLimit(
                f"dim may be at most {self.max_dim}, got {wanted.dim}", limit=self.max_dim, got=wanted.dim
            )

        def change(current: Record | None) -> Write | None:
            before = Space.of(current) if current else wanted
            after = replace(before, dim=wanted.dim, fingerprint=wanted.fingerprint, description=wanted.description)
            check_identity(name, before, after)
            if identity(before) != identity(after):
                after = replace(after, log=Log())  # what is left of deleted anchors has the old width
            return self._write(name, current, after, rows)

        return self.change(name, if_match, change)

    def check_width(self, name: str, vectors: Vectors) -> None:
        """NotFound, WrongDimension."""
        check_width(name, Space.of(self.get(name)), vectors)

    def put_anchors(self, name: str, rows: Rows, if_match: str | None) -> Record:
        """Upsert `rows`, dropping `rows.deletes` first. NotFound, WrongDimension."""

        def change(current: Record | None) -> Write | None:
            if current is None:
                raise self.not_found(name)
            return self._write(name, current, Space.of(current), rows)

        return self.change(name, if_match, change)[0]

    def delete_anchors(self, name: str, ids: list[str], if_match: str | None) -> Removed:
        """Ids that are not there are passed over."""
        held: set[str] = set()

        def change(current: Record | None) -> Write | None:
            nonlocal held
            if current is None:
                raise self.not_found(name)
            space = Space.of(current)
            held = set(self.anchor_set(space.log.segments, space.dim).ids)
            return self._write(name, current, space, Rows([], np.empty((0, space.dim), np.float32), [], ids))

        record, _ = self.change(name, if_match, change)
        return Removed(record, len(held.intersection(ids)), sorted({*ids} - held))

    def anchors(self, name: str) -> AnchorSet:
        def read(record: Record) -> AnchorSet:
            space = Space.of(record)
            return self.anchor_set(space.log.segments, space.dim)

        return self.steady(name, read)

    def anchors_with(self, name: str, ids: list[str]) -> AnchorSet:
        """NotFound if one is missing."""
        anchors = self.anchors(name)
        missing = sorted(set(ids) - set(anchors.ids))
        if missing:
            raise NotFound(
                f"space {name!r} has no anchor {missing[0]!r}; {len(missing)} of {len(ids)} are missing",
                missing=missing,
            )
        return AnchorSet(ids, anchors.rows(ids))

    def anchors_page(self, name: str, after: str, limit: int) -> tuple[AnchorSet, str | None]:
        """By id, and where the next page starts."""
        anchors = self.anchors(name)
        start = bisect_right(anchors.ids, after) if after else 0
        page = AnchorSet(anchors.ids[start : start + limit], anchors.vectors[start : start + limit])
        return page, page.ids[-1] if start + limit < len(anchors) else None

    def _anchor_set(self, segments: tuple[Segment, ...], dim: int) -> AnchorSet:
        rows = merged([Rows([], np.empty((0, dim), np.float32), []), *Log(segments).read(self.blob)])
        return AnchorSet.of(list(map(str, rows.ids)), rows.vectors)

    def _write(self, name: str, current: Record | None, space: Space, rows: Rows | None) -> Write | None:
        """None if nothing changes."""
        if rows is not None:
            check_width(name, space, rows.vectors)
            held = self.anchor_set(space.log.segments, space.dim)
            if changes(held, rows):
                living = len((set(held.ids) - set(rows.deletes)) | set(rows.ids))
                log = space.log.append(rows, living, self.blob)
                space = replace(space, anchors=living, anchors_version=space.anchors_version + 1, log=log)
        if current and space.to_value() == current.value:
            return None
        new_identity = current is not None and identity(space) != identity(Space.of(current))
        return Write(
            "space",
            name,
            current.position if current else 0,
            space.to_value(),
            alone=new_identity,
            blobs=space.log.blobs,
            refers=space.log.digests,
        )


def identity(space: Space) -> tuple[int, Mapping[str, Any]]:
    return space.dim, space.fingerprint


def check_identity(name: str, before: Space, after: Space) -> None:
    if before.anchors and identity(before) != identity(after):
        raise Conflict(
            f"space {name!r} has {before.anchors} anchors of dimension {before.dim} and fingerprint "
            f"{dict(before.fingerprint)}: it cannot become another space under them; "
            "register the other encoder under a new name",
            expected={"dim": before.dim, "fingerprint": before.fingerprint},
            got={"dim": after.dim, "fingerprint": after.fingerprint},
        )


def check_width(name: str, space: Space, vectors: Vectors) -> None:
    if vectors.shape[1] != space.dim:
        raise WrongDimension(
            f"space {name!r} has {space.dim} dimensions, got vectors of {vectors.shape[1]}",
            expected={"space": name, "dim": space.dim, "fingerprint": space.fingerprint},
            got={"dim": vectors.shape[1]},
        )


def check_known(name: str, ids: list[str], known: set[str]) -> None:
    unknown = [id_ for id_ in ids if id_ not in known]
    if unknown:
        raise InvalidInput(
            f"space {name!r} has no anchor {unknown[0]!r}; {len(unknown)} of {len(ids)} are unknown: "
            "put them into the space first, or leave them out",
            unknown=unknown[:NAMED],
        )


def changes(held: AnchorSet, rows: Rows) -> bool:
    """Whether writing `rows` over `held` makes any difference."""
    present = set(held.ids)
    if not present.isdisjoint(rows.deletes) or not present.issuperset(rows.ids):
        return True
    return not np.array_equal(held.rows(list(map(str, rows.ids))), rows.vectors)
