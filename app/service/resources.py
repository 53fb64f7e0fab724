"""What spaces, translators and collections have in common: names, versions, and safe change."""

import threading
from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeVar

from app.errors import CorruptStore, InUse, NotFound, PreconditionFailed, StaleWrite
from app.store import Record, Store, Write
from app.store.base import Key

ATTEMPTS = 20  # rounds of a lost race before the client hears of it
SCAN = 1000  # records read at a time

T = TypeVar("T")
Change = Callable[[Record | None], Write | None]


class Removed(NamedTuple):
    """By a delete of rows: the record afterwards, how many they were, and the ids that were not there."""

    record: Record
    deleted: int
    missing: list[Any]


class Resources:
    """All records of one kind."""

    def __init__(self, store: Store, kind: str) -> None:
        self.store, self.kind = store, kind
        self._turns: dict[str, threading.Lock] = {}

    def find(self, name: str) -> Record | None:
        return self.store.get(self.kind, name)

    def get(self, name: str) -> Record:
        """NotFound, with the nearest names."""
        record = self.find(name)
        if record is None:
            raise self.not_found(name)
        return record

    def page(self, after: str, limit: int) -> tuple[list[Record], str | None]:
        """Records by name, and where the next page starts."""
        records = self.store.page(self.kind, after, limit + 1)
        more = len(records) > limit
        return records[:limit], records[limit - 1].name if more else None

    def all(self) -> list[Record]:
        records: list[Record] = []
        while page := self.store.page(self.kind, records[-1].name if records else "", SCAN):
            records += page
        return records

    def blob(self, digest: str) -> bytes:
        """CorruptStore if it is gone: `steady` knows whether that is so."""
        data = self.store.blob(digest)
        if data is None:
            raise CorruptStore(f"blob {digest} is missing: restore the store from a backup")
        return data

    def steady(self, name: str, read: Callable[[Record], T]) -> T:
        """What `read` makes of the record and its blobs; again, if the record was replaced meanwhile."""
        for _ in range(ATTEMPTS):
            record = self.get(name)
            try:
                return read(record)
            except CorruptStore:
                if self.get(name).position == record.position:
                    raise
        raise self.contended(name)

    def change(self, name: str, if_match: str | None, change: Change) -> tuple[Record, bool]:
        """The record after `change`, and whether it is new; a change that returns None leaves it as it is.

        Writers of this process take turns, so only those of other replicas can be in the way.
        """
        with self._turns.setdefault(name, threading.Lock()):
            for _ in range(ATTEMPTS):
                current = self.find(name)
                self.check_match(name, current, if_match)
                try:
                    write = change(current)
                    if write is None and current is not None:
                        return current, False
                    if write is not None and (record := self.store.commit(write)):
                        return record, current is None
                except StaleWrite:
                    continue
                except CorruptStore:
                    if self.find(name) == current:
                        raise
        raise self.contended(name)

    def delete(self, name: str, if_match: str | None) -> list[Record]:
        """What goes with it: the automatic translators that rest on it, and none while anything else does.

        NotFound, PreconditionFailed, InUse.
        """
        along: list[Record] = []
        for _ in range(ATTEMPTS):
            current = self.get(name)
            self.check_match(name, current, if_match)
            try:
                self.store.commit(replace(deletion(current), along=tuple(map(deletion, along))))
            except (InUse, StaleWrite) as error:
                before, along = along, self.automatic(name)
                if isinstance(error, InUse) and along == before:
                    raise
            else:
                return along
        raise self.contended(name)

    def automatic(self, name: str) -> list[Record]:
        """The translators resting on it that a first use has fitted: the service made them by itself."""
        translators = Resources(self.store, "translator").all()
        return [one for one in translators if one.value["automatic"] and (self.kind, name) in rests_on(one)]

    def not_found(self, name: str) -> NotFound:
        nearest = get_close_matches(name, [record.name for record in self.all()], n=3, cutoff=0.5)
        hint = f"; the nearest names are {nearest}" if nearest else ""
        return NotFound(f"there is no {self.kind} {name!r}{hint}", got=name, nearest=nearest)

    def contended(self, name: str) -> StaleWrite:
        return StaleWrite(f"{self.kind} {name!r} is being written by many at once: try again")

    def check_match(self, name: str, current: Record | None, if_match: str | None) -> None:
        if if_match is None:
            return
        etag = etag_of(current) if current else None
        wanted = [tag.strip() for tag in if_match.split(",")]
        if etag is None or not (etag in wanted or "*" in wanted):
            raise PreconditionFailed(
                f"If-Match names {if_match}, {self.kind} {name!r} is at {etag or 'no version'}: read it again",
                expected=if_match,
                got=etag,
            )


def deletion(record: Record) -> Write:
    return Write(record.kind, record.name, record.position, None)


def rests_on(translator: Record) -> tuple[Key, ...]:
    """Its two spaces, and the head that it suits, if any."""
    spec = translator.value["spec"]
    on = ("space", spec["source"]), ("space", spec["target"]), ("head", spec.get("head"))
    return tuple((kind, name) for kind, name in on if name)


def etag_of(record: Record) -> str:
    """The position makes it unique even when a name is deleted and taken again."""
    return f'"{record.version}-{record.position}"'
