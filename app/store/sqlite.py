"""The embedded store: one SQLite file in WAL mode, every commit fsynced."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from urllib.parse import unquote, urlsplit

import orjson

from app.errors import ConfigurationError, StoreUnavailable
from app.store.base import Key, Record, Write, check_seen, checked, in_use, next_record, nothing_to_rest_on, stale

SCHEMA_VERSION = 2
SCHEMA = """
create table if not exists records (
    kind text, name text, version integer, position integer, created_at text, updated_at text, value text,
    primary key (kind, name)
) without rowid;
create table if not exists positions (kind text primary key, position integer) without rowid;
create table if not exists rests (
    kind text, name text, on_kind text, on_name text, primary key (kind, name, on_kind, on_name)
) without rowid;
create index if not exists dependents on rests (on_kind, on_name);
create table if not exists blobs (digest text primary key, data blob);
create table if not exists refers (
    kind text, name text, digest text, primary key (kind, name, digest)
) without rowid;
create index if not exists referrers on refers (digest);
create table if not exists deleted (kind text, name text, version integer, primary key (kind, name)) without rowid;
"""
COLUMNS = "kind, name, version, position, created_at, updated_at, value"
BUSY_SECONDS = 30


class SqliteStore:
    """`sqlite:///relative/path` or `sqlite:////absolute/path`; many threads and processes of one host."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.path = Path(unquote(parts.path.removeprefix("/")))
        plain = url.startswith("sqlite:///") and not (parts.query or parts.fragment or "\0" in str(self.path))
        if not plain or self.path.name in ("", ":memory:"):
            raise ConfigurationError(
                "ANCHORAGE_STORE: a SQLite store is a file, sqlite:///relative/path or sqlite:////absolute/path, "
                f"with ? and # written as %3F and %23, got {url!r}"
            )
        self._idle: LifoQueue[sqlite3.Connection] = LifoQueue()

    def get(self, kind: str, name: str) -> Record | None:
        with self._connection() as db:
            return select(db, kind, name)

    def page(self, kind: str, after: str, limit: int) -> list[Record]:
        query = f"select {COLUMNS} from records where kind = ? and name > ? order by name limit ?"  # noqa: S608
        with self._connection() as db:
            return [record_of(row) for row in db.execute(query, (kind, after, limit))]

    def position(self, kind: str) -> int:
        with self._connection() as db:
            row = db.execute("select position from positions where kind = ?", (kind,)).fetchone()
        return row[0] if row else 0

    def blob(self, digest: str) -> bytes | None:
        with self._connection() as db:
            row = db.execute("select data from blobs where digest = ?", (digest,)).fetchone()
        return checked(digest, row[0]) if row else None

    def commit(self, write: Write) -> Record | None:
        with self._connection() as db, transaction(db):
            for delete in write.along:
                apply(db, delete)
            return apply(db, write)

    def exists(self) -> bool:
        there = os.path.exists(self.path)  # Path's own raises where it may not look
        if not there:
            check_makeable(self.path)
        return there

    def risks(self) -> list[str]:
        there = os.path.exists(self.path)
        return (
            []
            if there
            else [f"{self.path.absolute()} does not exist yet: a mistyped path makes a new, empty store"]
        )

    def close(self) -> None:
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """One of its own for each call, so that a reader never sees half of another's transaction."""
        try:
            try:
                db = self._idle.get_nowait()
            except Empty:
                db = connect(self.path)
            try:
                yield db
            finally:
                self._idle.put(db)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"the SQLite store {str(self.path)!r} does not answer: {error}") from error


def check_makeable(path: Path) -> None:
    """StoreUnavailable."""
    folder = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise StoreUnavailable(
            f"the SQLite store {str(path)!r} cannot be made: {str(folder)!r} is no folder that may be written to"
        )


def connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        switch_to_wal(db)
        db.execute("pragma synchronous = full")
        with transaction(db):
            prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def switch_to_wal(db: sqlite3.Connection) -> None:
    """SQLite does not wait by itself for others that do the same on a new file."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Create the tables that the file has not got. ConfigurationError if it is newer than this code."""
    (version,) = db.execute("pragma user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"{str(path)!r} was written by a newer Anchorage (schema {version}, this one reads {SCHEMA_VERSION})"
        )
    if version < SCHEMA_VERSION:
        for statement in SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"pragma user_version = {SCHEMA_VERSION}")


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("begin immediate")
    try:
        yield
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")


def apply(db: sqlite3.Connection, write: Write) -> Record | None:
    """Within a transaction."""
    current = select(db, write.kind, write.name)
    check_seen(write, current)
    check_links(db, write)
    left_at = current.version if current else deleted_at(db, write.kind, write.name)
    record = next_record(write, current, left_at, next_position(db, write.kind))
    replace_record(db, write, record)
    if record is None:
        db.execute("insert or replace into deleted values (?, ?, ?)", (write.kind, write.name, left_at))
    replace_links(db, write)
    replace_blobs(db, write)
    return record


def select(db: sqlite3.Connection, kind: str, name: str) -> Record | None:
    query = f"select {COLUMNS} from records where kind = ? and name = ?"  # noqa: S608
    row = db.execute(query, (kind, name)).fetchone()
    return record_of(row) if row else None


def record_of(row: tuple[str, str, int, int, str, str, str]) -> Record:
    return Record(*row[:6], value=orjson.loads(row[6]))


def next_position(db: sqlite3.Connection, kind: str) -> int:
    (position,) = db.execute("select coalesce(max(position), 0) + 1 from positions").fetchone()
    db.execute("insert or replace into positions values (?, ?)", (kind, position))
    return int(position)


def deleted_at(db: sqlite3.Connection, kind: str, name: str) -> int:
    row = db.execute("select version from deleted where kind = ? and name = ?", (kind, name)).fetchone()
    return int(row[0]) if row else 0


def check_links(db: sqlite3.Connection, write: Write) -> None:
    if write.value is None or write.alone:
        query = "select kind, name from rests where on_kind = ? and on_name = ? order by kind, name"
        dependents: list[Key] = db.execute(query, (write.kind, write.name)).fetchall()
        if dependents:
            raise in_use(write, dependents)
    for kind, name in write.rests_on:
        other = select(db, kind, name)
        if other is None:
            raise nothing_to_rest_on(write, kind, name)
        if write.born.get((kind, name), other.created_at) != other.created_at:
            raise stale(write)


def replace_record(db: sqlite3.Connection, write: Write, record: Record | None) -> None:
    db.execute("delete from records where kind = ? and name = ?", (write.kind, write.name))
    if record:
        row = (*vars(record).values(),)
        db.execute("insert into records values (?, ?, ?, ?, ?, ?, ?)", (*row[:6], orjson.dumps(row[6]).decode()))


def replace_links(db: sqlite3.Connection, write: Write) -> None:
    db.execute("delete from rests where kind = ? and name = ?", (write.kind, write.name))
    rows = [(write.kind, write.name, *key) for key in write.rests_on]
    db.executemany("insert or ignore into rests values (?, ?, ?, ?)", rows)


def replace_blobs(db: sqlite3.Connection, write: Write) -> None:
    """Stores the new ones, and deletes those that no record refers to any more."""
    key = (write.kind, write.name)
    held = {digest for (digest,) in db.execute("select digest from refers where kind = ? and name = ?", key)}
    db.executemany("insert or ignore into blobs values (?, ?)", write.blobs.items())
    db.executemany("insert into refers values (?, ?, ?)", [(*key, digest) for digest in write.refers - held])
    dropped = [(digest,) for digest in held - write.refers]
    db.executemany("delete from refers where kind = ? and name = ? and digest = ?", [(*key, *d) for d in dropped])
    orphaned = "delete from blobs where digest = ?1 and not exists (select 1 from refers where digest = ?1)"
    db.executemany(orphaned, dropped)
