"""What only a server elsewhere can get wrong: it goes away, hangs, is full, or refuses us."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis as client

from app.errors import CorruptStore, StoreUnavailable
from app.store import Store, Write, open_store
from app.store import redis as store_module
from app.store.base import digest_of
from app.store.redis import PREFIX

ALWAYS = ("--appendfsync", "always")
BLOB = digest_of(b"data")

CALLS: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get("thing", "a"),
    "page": lambda store: store.page("thing", "", 10),
    "position": lambda store: store.position("thing"),
    "blob": lambda store: store.blob(BLOB),
    "commit": lambda store: store.commit(Write("thing", "b", 0, {})),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def server(new_redis):
    """One of its own, that the test may kill."""
    return new_redis(*ALWAYS)


@pytest.fixture
def store(server) -> Iterator[Store]:
    """With the record "a" and its blob."""
    store = open_store(server.url)
    store.commit(Write("thing", "a", 0, {"x": 1}, blobs={BLOB: b"data"}, refers=frozenset({BLOB})))
    yield store
    store.close()


@every_call
def test_a_server_that_is_down_is_unavailable(server, store, call):
    server.kill()
    with pytest.raises(StoreUnavailable, match="the Redis store does not answer: "):
        call(store)


@every_call
def test_a_server_that_was_never_there_is_unavailable(call):
    store = open_store("redis://127.0.0.1:1")
    with pytest.raises(StoreUnavailable):
        call(store)


@every_call
def test_a_server_that_hangs_is_unavailable(server, monkeypatch, call):
    monkeypatch.setattr(store_module, "TIMEOUT_SECONDS", 0.1)
    store = open_store(server.url)
    server.process.send_signal(signal.SIGSTOP)
    with pytest.raises(StoreUnavailable):
        call(store)
    store.close()


@every_call
def test_a_wrong_password_is_unavailable(new_redis, call):
    server = new_redis("--requirepass", "secret")
    store = open_store(server.url.replace("//", "//:wrong@"))
    with pytest.raises(StoreUnavailable):
        call(store)
    store.close()


def test_the_right_password_is_taken(new_redis):
    server = new_redis("--requirepass", "secret")
    store = open_store(server.url.replace("//", "//:secret@"))
    assert store.commit(Write("thing", "a", 0, {})).version == 1
    store.close()


@every_call
def test_the_store_works_again_after_a_restart(server, store, call):
    server.restart()
    assert call(store)


@every_call
def test_the_store_works_again_after_it_was_unavailable(server, store, call):
    server.kill()
    with pytest.raises(StoreUnavailable):
        call(store)
    server.start()
    assert call(store)


def test_every_thread_works_again_after_a_restart(server, store):
    together = threading.Barrier(8)  # so that each thread has a connection of its own

    def get(_: int) -> int:
        together.wait()
        return store.get("thing", "a").version

    with ThreadPoolExecutor(8) as pool:
        before = [*pool.map(get, range(8))]
        server.restart()
        assert before == [*pool.map(get, range(8))] == [1] * 8


def test_what_was_acknowledged_survives_kill_9(server, store):
    names = acknowledged_until_killed(server, store)
    server.start()
    there = {record.name for record in store.page("thing", "", 10**6)}
    assert len(names) > 1
    assert [name for name in names if name not in there] == []


def test_blobs_that_were_acknowledged_survive_kill_9(server, store):
    names = acknowledged_until_killed(server, store)
    server.start()
    assert [store.blob(digest_of(name.encode())) for name in names] == [name.encode() for name in names]


def acknowledged_until_killed(server, store: Store) -> list[str]:
    killer = threading.Timer(0.2, server.process.kill)
    killer.start()
    names: list[str] = []
    try:
        while True:
            name = f"r{len(names)}"
            blob = {digest_of(name.encode()): name.encode()}
            store.commit(Write("thing", name, 0, {}, blobs=blob, refers=frozenset(blob)))
            names.append(name)
    except StoreUnavailable:
        killer.join()
        server.kill()
        return names


def test_positions_go_on_after_kill_9(server, store):
    server.restart()
    assert store.commit(Write("thing", "b", 0, {})).position == 2


def test_a_full_server_is_unavailable(server, store):
    server.client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable, match="OOM"):
        store.commit(Write("thing", "b", 0, {}))


def test_a_full_server_keeps_nothing_of_the_commit(server, store):
    before = contents(server.client)
    server.client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        store.commit(Write("thing", "b", 0, {}, rests_on=(("thing", "a"),)))
    assert contents(server.client) == before


def contents(redis: client.Redis) -> dict[bytes, bytes]:
    return {key: redis.dump(key) for key in redis.scan_iter()}


def test_a_deleted_record_leaves_only_positions_and_its_version(server, store):
    store.commit(Write("thing", "b", 0, {}, rests_on=(("thing", "a"),)))
    store.commit(Write("thing", "b", 2, None))
    store.commit(Write("thing", "a", 1, None))
    left = [f"{PREFIX}{key}".encode() for key in ("deleted:thing", "position", "positions")]
    assert sorted(server.client.keys()) == left
    assert server.client.hgetall(left[0]) == {b"a": b"1", b"b": b"1"}


def test_every_key_has_the_prefix_that_puts_it_into_one_slot(server, store):
    assert [key for key in server.client.scan_iter() if not key.startswith(b"{anchorage}:")] == []


@pytest.mark.parametrize("bit", [0, 7, 31])
def test_a_flipped_bit_in_a_blob_is_found(server, store, bit):
    data = bytearray(b"data")
    data[bit // 8] ^= 1 << bit % 8
    server.client.set(f"{PREFIX}blob:{BLOB}", bytes(data))
    with pytest.raises(CorruptStore, match=f"blob {BLOB} does not match its checksum"):
        store.blob(BLOB)


def test_a_blob_that_was_cut_is_found(server, store):
    server.client.set(f"{PREFIX}blob:{BLOB}", b"dat")
    with pytest.raises(CorruptStore):
        store.blob(BLOB)
