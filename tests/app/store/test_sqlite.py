"""What only SQLite files can get wrong."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import ConfigurationError, CorruptStore, StoreUnavailable
from app.store import Store, Write, open_store, sqlite
from app.store.base import digest_of
from app.store.sqlite import SqliteStore

ROUNDS = 8
# Forks a writer for each round, which is killed by the test; it acknowledges each record by its name and process.
WRITERS = """
import itertools, os, sys
from app.store import Write, open_store
from app.store.base import digest_of

url, rounds = sys.argv[1], int(sys.argv[2])
for round_ in range(rounds):
    if os.fork() == 0:
        store = open_store(url)
        for number in itertools.count():
            name = f"r{round_}-{number}"
            blob = {digest_of(name.encode()): name.encode()}
            store.commit(Write("thing", name, 0, {"n": number}, blobs=blob, refers=frozenset(blob)))
            print(os.getpid(), name, flush=True)
    os.wait()
    print("killed", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{path}")
    yield store
    store.close()


def change(path: Path, statement: str, *values: object) -> None:
    """Behind the back of the store."""
    db = sqlite3.connect(path)
    with db:
        db.execute(statement, values)
    db.close()


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2)])
def test_every_connection_is_durable(path, pragma, value):
    for _ in range(2):  # the one that makes the file, and one that finds it
        db = sqlite.connect(path)
        assert db.execute(f"pragma {pragma}").fetchone() == (value,)
        db.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:////",
        "sqlite:///.",
        "sqlite://a/b",
        "sqlite:///:memory:",
        "sqlite:///a?b",
    ],
)
def test_a_url_without_a_path_is_a_configuration_error(url):
    with pytest.raises(ConfigurationError, match="a SQLite store is a file"):
        open_store(url)


def test_three_slashes_start_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///store.db")
    store.commit(Write("thing", "a", 0, {}))
    store.close()
    assert (tmp_path / "store.db").is_file()


def test_a_path_may_be_percent_encoded(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/a%20b%3F.db")
    store.commit(Write("thing", "a", 0, {}))
    store.close()
    assert (tmp_path / "a b?.db").is_file()


def test_missing_folders_are_made(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/some/folder/store.db")
    store.commit(Write("thing", "a", 0, {}))
    store.close()
    assert (tmp_path / "some/folder/store.db").is_file()


def test_a_file_of_a_newer_schema_is_refused(path, store):
    change(path, f"pragma user_version = {sqlite.SCHEMA_VERSION + 1}")
    with pytest.raises(ConfigurationError, match=r"newer Anchorage \(schema 3, this one reads 2\)"):
        store.get("thing", "a")


def test_a_file_of_the_first_schema_is_brought_up_to_date(path, store):
    first = store.commit(Write("thing", "a", 0, {"x": 1}))
    store.close()
    change(path, "drop table deleted")
    change(path, "pragma user_version = 1")
    assert store.get("thing", "a") == first
    store.commit(Write("thing", "a", first.position, None))
    assert store.commit(Write("thing", "a", 0, {})).version == 2


def test_a_file_of_a_newer_schema_is_left_as_it_is(path, store):
    change(path, f"pragma user_version = {sqlite.SCHEMA_VERSION + 1}")
    with pytest.raises(ConfigurationError):
        store.commit(Write("thing", "a", 0, {}))
    db = sqlite3.connect(path)
    assert db.execute("select * from sqlite_master").fetchall() == []
    db.close()


def test_a_file_that_is_no_database_is_unavailable(path, store):
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreUnavailable, match=r"store.db' does not answer: file is not a database"):
        store.get("thing", "a")


def test_a_file_that_is_no_database_is_left_as_it_is(path, store):
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(StoreUnavailable):
        store.commit(Write("thing", "a", 0, {}))
    assert path.read_bytes() == b"this is no database" * 1000


def test_a_folder_in_place_of_the_file_is_unavailable(path, store):
    path.mkdir()
    with pytest.raises(StoreUnavailable):
        store.get("thing", "a")


def test_a_file_in_place_of_the_folder_is_unavailable(path):
    path.write_text("a file")
    with pytest.raises(StoreUnavailable):
        open_store(f"sqlite:///{path}/store.db").get("thing", "a")


def test_a_store_that_was_unavailable_answers_when_the_cause_has_gone(path, store):
    path.mkdir()
    with pytest.raises(StoreUnavailable):
        store.get("thing", "a")
    path.rmdir()
    assert store.commit(Write("thing", "a", 0, {})).version == 1


@pytest.fixture
def locked(path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with the record "a", while another process would be writing and never end."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    store.commit(Write("thing", "a", 0, {}))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    yield store
    other.close()


def test_a_writer_that_never_ends_makes_commits_unavailable(locked):
    with pytest.raises(StoreUnavailable, match="database is locked"):
        locked.commit(Write("thing", "b", 0, {}))


def test_a_writer_that_never_ends_stops_no_reader(locked):
    assert locked.get("thing", "a").version == 1


@pytest.mark.parametrize("bit", [0, 7, 4095])
def test_a_flipped_bit_in_a_blob_is_found(path, store, bit):
    data = bytearray(os.urandom(512))
    digest = digest_of(data)
    store.commit(Write("thing", "a", 0, {}, blobs={digest: bytes(data)}, refers=frozenset({digest})))
    data[bit // 8] ^= 1 << bit % 8
    change(path, "update blobs set data = ? where digest = ?", bytes(data), digest)
    with pytest.raises(CorruptStore, match=f"blob {digest} does not match its checksum"):
        store.blob(digest)


def test_a_blob_that_was_cut_is_found(path, store):
    digest = digest_of(b"data")
    store.commit(Write("thing", "a", 0, {}, blobs={digest: b"data"}, refers=frozenset({digest})))
    change(path, "update blobs set data = substr(data, 1, 3)")
    with pytest.raises(CorruptStore):
        store.blob(digest)


@pytest.fixture
def acknowledged(path: Path) -> list[str]:
    """The names that writers acknowledged before they were killed, each in the middle of its work."""
    command = [sys.executable, "-c", WRITERS, f"sqlite:///{path}", str(ROUNDS)]
    random_ = random.Random(0)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writers:
        names = [name for _ in range(ROUNDS) for name in killed_after(writers, random_.randint(1, 40))]
    assert writers.returncode == 0
    return names


def killed_after(writers: subprocess.Popen[str], count: int) -> Iterator[str]:
    for number, line in enumerate(iter(writers.stdout.readline, "killed\n"), start=1):
        pid, name = line.split()
        if number == count:
            os.kill(int(pid), signal.SIGKILL)
        yield name


def test_what_was_acknowledged_survives_kill_9(store, acknowledged):
    assert len(acknowledged) >= ROUNDS
    assert [name for name in acknowledged if store.get("thing", name) is None] == []
    assert [name for name in acknowledged if store.blob(digest_of(name.encode())) != name.encode()] == []


def test_a_look_whether_it_exists_makes_nothing(tmp_path):
    store = SqliteStore(f"sqlite:///{tmp_path}/some/folder/new.db")
    assert not store.exists()
    assert store.risks()
    assert list(tmp_path.iterdir()) == []
    store.position("space")
    assert store.exists()
    store.close()


def test_a_file_that_cannot_be_made_is_unavailable_before_anything_is_written(tmp_path):
    (tmp_path / "file").touch()
    store = SqliteStore(f"sqlite:///{tmp_path}/file/folder/new.db")
    with pytest.raises(StoreUnavailable, match=r"/file' is no folder that may be written to"):
        store.exists()


def test_a_file_that_does_not_exist_yet_is_a_risk_that_names_it(tmp_path):
    store = SqliteStore(f"sqlite:///{tmp_path}/new.db")
    (risk,) = store.risks()
    assert str(tmp_path / "new.db") in risk
    store.position("space")
    assert store.risks() == []
    store.close()
