"""The durable truth: small versioned records, and immutable blobs that records refer to.

A record may rest on others (a translator on its two spaces): the store refuses to delete what others
rest on, in the same atomic step as the write itself. A blob is named by the SHA-256 of its bytes and
lives as long as a record refers to it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from app.errors import CorruptStore, InUse, NotFound, StaleWrite

Key = tuple[str, str]  # (kind, name)


@dataclass(frozen=True)
class Record:
    """`version` counts the writes of this name from 1, through deletes too: it stands for one value for ever.
    `position` is that of the write in the whole store.
    """

    kind: str
    name: str
    version: int
    position: int
    created_at: str
    updated_at: str
    value: dict[str, Any]


@dataclass(frozen=True)
class Write:
    """One change: a new value, or None to delete. `seen` is the position the writer saw, 0 for none.

    `alone` refuses the write while other records rest on this one; a delete always refuses.
    `born` says when those it rests on were created, where it matters that they are still the same ones.
    `along` are deletes of what rests on it, which come first in the same step.
    """

    kind: str
    name: str
    seen: int
    value: dict[str, Any] | None
    rests_on: tuple[Key, ...] = ()
    born: Mapping[Key, str] = field(default_factory=dict)
    alone: bool = False
    blobs: Mapping[str, bytes] = field(default_factory=dict)  # new ones
    refers: frozenset[str] = frozenset()  # all that the record needs from now on, new ones included
    along: tuple["Write", ...] = ()


class Store(Protocol):
    """Every method may raise StoreUnavailable. A commit that returned survives kill -9.

    `exists` and `risks` look without a trace; a first use of the others makes a store that is not there.
    """

    def exists(self) -> bool:
        """StoreUnavailable also for one that is not there and cannot be made."""

    def get(self, kind: str, name: str) -> Record | None: ...

    def page(self, kind: str, after: str, limit: int) -> list[Record]:
        """At most `limit` records whose name sorts after `after`, by name; "" starts at the first."""

    def position(self, kind: str) -> int:
        """Of the last write to any record of this kind, 0 before the first: same position, same records."""

    def commit(self, write: Write) -> Record | None:
        """All or nothing; the record as written, None after a delete.

        StaleWrite if the record, or what it rests on, is not as seen; InUse; NotFound if that does not exist.
        """

    def blob(self, digest: str) -> bytes | None:
        """Checked against its digest; None if no record refers to it any more. CorruptStore."""

    def risks(self) -> list[str]:
        """What in the store's own configuration may lose acknowledged writes."""

    def close(self) -> None: ...


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def checked(digest: str, data: bytes) -> bytes:
    """`data`, if it is what was stored. CorruptStore."""
    if digest_of(data) != digest:
        raise CorruptStore(f"blob {digest} does not match its checksum: restore the store from a backup")
    return data


def check_seen(write: Write, current: Record | None) -> None:
    position = current.position if current else 0
    if write.seen != position:
        raise stale(write)


def next_record(write: Write, current: Record | None, left_at: int, position: int) -> Record | None:
    """The record that `write` leaves; `left_at` is the version that the name was deleted at, 0 for never."""
    if write.value is None:
        return None
    written = now()
    version, created = (current.version + 1, current.created_at) if current else (left_at + 1, written)
    return Record(write.kind, write.name, version, position, created, written, write.value)


def now() -> str:
    """ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def stale(write: Write) -> StaleWrite:
    return StaleWrite(f"{write.kind} {write.name!r} was written by somebody else in the meantime: read it again")


def in_use(write: Write, dependents: Sequence[Key]) -> InUse:
    named = ", ".join(f"{kind} {name!r}" for kind, name in dependents[:5])
    more = f" and {len(dependents) - 5} more" if len(dependents) > 5 else ""
    change = "deleted" if write.value is None else "changed so"
    return InUse(
        f"{write.kind} {write.name!r} cannot be {change} while others rest on it: {named}{more}; "
        "delete them first",
        dependents=[{"kind": kind, "name": name} for kind, name in dependents[:100]],
    )


def nothing_to_rest_on(write: Write, kind: str, name: str) -> NotFound:
    return NotFound(f"{write.kind} {write.name!r} rests on {kind} {name!r}, which does not exist")
