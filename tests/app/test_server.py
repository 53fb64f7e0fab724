"""The service as its clients and its operator meet it: real processes, real sockets, real Redis."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from tests.app.conftest import free_port

Vectors = NDArray[np.float32]

SCHEMES = ("sqlite", "redis")
FORMS = ("json", "base64", "npy", "arrow")
MEDIA_TYPES = {"npy": "application/x-npy", "arrow": "application/vnd.apache.arrow.stream"}
START_SECONDS, QUICK_SECONDS = 60, 5
ITEMS, SOURCE_DIM, TARGET_DIM = 60, 8, 12


class Server:
    """`anchorage serve` as a process; started again, it keeps its port and its store."""

    def __init__(self, folder: Path, port: int, store: str, **settings: Any) -> None:
        self.folder, self.log = folder, folder / f"server-{port}.log"
        self.command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--store", store]
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ANCHORAGE_")}
        self.environment |= {f"ANCHORAGE_{name.upper()}": str(value) for name, value in settings.items()}
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)

    def start(self, path: str = "/readyz") -> None:
        """Returns when `path` answers 200."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, cwd=self.folder, env=self.environment
            )
        assert self.comes_to(path), self.log.read_text()

    def comes_to(self, path: str, status: int = 200) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(httpx.TransportError):
                if self.http.get(path).status_code == status:
                    return True
            time.sleep(0.05)
        return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(START_SECONDS)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """The JSON answer of a request that succeeds."""
        answer = self.http.request(method, path, **body)
        assert answer.is_success, answer.text
        return answer.json()


@contextmanager
def serving(folder: Path, port: int, store: str, path: str = "/readyz", **settings: Any) -> Iterator[Server]:
    server = Server(folder, port, store, **settings)
    try:
        server.start(path)
        yield server
    finally:
        server.http.close()
        server.stop(signal.SIGKILL)


def packed(form: str, vectors: Vectors, ids: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    """The arguments of a request whose body holds `vectors` in one of FORMS."""
    if form in ("json", "base64"):
        rows = vectors.tolist() if form == "json" else {
            "base64": b64encode(vectors.tobytes()).decode(), "shape": list(vectors.shape)
        }  # fmt: skip
        return {"json": {"vectors": rows, **({"ids": ids} if ids else {}), **fields}}
    headers = {"content-type": MEDIA_TYPES[form]}
    if form == "npy":
        return {"content": npy(vectors), "headers": headers, "params": {**({"ids": ids} if ids else {}), **fields}}
    columns = {"id": pa.array(ids)} if ids else {}
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return {"content": arrow(pa.table(columns)), "headers": headers, "params": fields}


def npy(vectors: Vectors) -> bytes:
    file = io.BytesIO()
    np.save(file, vectors)
    return file.getvalue()


def arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def read_npy(answer: httpx.Response) -> Vectors:
    return np.load(io.BytesIO(answer.content), allow_pickle=False)


AS_NPY = {"accept": MEDIA_TYPES["npy"]}
NUMBERS = count(1)


@dataclass
class World:
    """The same items in two spaces, y = x rotation + shift, registered under names nobody else has."""

    server: Server
    source: str
    target: str
    ids: list[str]
    x: Vectors  # (n, d1)
    y: Vectors  # (n, d2)

    @classmethod
    def on(cls, server: Server) -> "World":
        number = next(NUMBERS)
        random = np.random.default_rng(number)
        rotation = np.linalg.qr(random.normal(size=(TARGET_DIM, TARGET_DIM)))[0][:SOURCE_DIM]
        x = random.normal(size=(ITEMS, SOURCE_DIM))
        y = x @ rotation + random.normal(size=TARGET_DIM)
        ids = [f"item-{row:03}" for row in range(ITEMS)]
        world = cls(server, f"a{number}", f"b{number}", ids, x.astype(np.float32), y.astype(np.float32))
        server.ask("PUT", f"/v1/spaces/{world.source}", json={"dim": SOURCE_DIM})
        server.ask("PUT", f"/v1/spaces/{world.target}", json={"dim": TARGET_DIM})
        world.put_anchors("base64")
        return world

    @property
    def collection(self) -> str:
        return f"of-{self.target}"

    def put_anchors(self, form: str) -> None:
        self.server.ask("PUT", f"/v1/spaces/{self.source}/anchors", **packed(form, self.x, self.ids))
        self.server.ask("PUT", f"/v1/spaces/{self.target}/anchors", **packed(form, self.y, self.ids))

    def put_points(self, form: str = "base64", server: Server | None = None) -> None:
        at = server or self.server
        at.ask("PUT", f"/v1/collections/{self.collection}", json={"space": self.target})
        at.ask("PUT", f"/v1/collections/{self.collection}/points", **packed(form, self.y, self.ids))

    def translated(self, form: str = "npy", server: Server | None = None) -> Vectors:
        body = packed(form, self.x, source=self.source, target=self.target)
        body["headers"] = body.get("headers", {}) | AS_NPY
        answer = (server or self.server).http.post("/v1/translate", **body)
        assert answer.is_success, answer.text
        return read_npy(answer)

    def search(self, server: Server | None = None, form: str = "base64", **fields: Any) -> Any:
        body = packed(form, self.x, space=self.source, k=3, **fields)
        return (server or self.server).ask("POST", f"/v1/collections/{self.collection}/search", **body)

    def found(self, server: Server | None = None, form: str = "base64") -> list[str]:
        """The best hit of each item, asked for in the other space."""
        return [hits[0]["id"] for hits in self.search(server, form)["results"]]


@pytest.fixture(scope="module", params=SCHEMES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_server
) -> Iterator[Server]:
    """One for all tests of a store: each takes a World of its own, and leaves the server running."""
    folder = tmp_path_factory.mktemp("server")
    redis_server.client.flushall()
    store = f"sqlite:///{folder}/store.db" if request.param == "sqlite" else f"{redis_server.url}/1"
    with serving(folder, free_port(), store) as server:
        yield server


@pytest.fixture
def world(server: Server) -> World:
    return World.on(server)


# the whole service over the socket


@pytest.mark.parametrize("form", FORMS)
def test_anchors_come_back_byte_for_byte(world: World, form: str) -> None:
    world.x = world.x + np.float32(1 / 3)
    world.put_anchors(form)
    back = world.server.http.get(f"/v1/spaces/{world.source}/anchors", headers=AS_NPY)
    assert read_npy(back).tobytes() == world.x.tobytes()


@pytest.mark.parametrize("form", FORMS)
def test_first_use_of_a_pair_translates(world: World, form: str) -> None:
    assert world.translated(form) == pytest.approx(world.y, abs=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_a_collection_answers_the_other_space(world: World, form: str) -> None:
    world.put_points(form)
    assert world.found(form=form) == world.ids


def test_search_names_its_translator(world: World) -> None:
    world.put_points()
    answer = world.search()
    assert (answer["translator"], answer["version"], answer["stale"]) == (
        f"{world.source}-to-{world.target}-search", 1, False,
    )  # fmt: skip


def test_payloads_come_back(world: World) -> None:
    world.put_points()
    points = {"ids": ["one"], "vectors": world.y[:1].tolist(), "payloads": [{"a": ["é", 1.5, None, {"b": True}]}]}
    world.server.ask("PUT", f"/v1/collections/{world.collection}/points", json=points)
    hits = world.search()["results"][0]
    assert {hit["id"]: hit["payload"] for hit in hits}["one"] == points["payloads"][0]


def test_translate_answers_alike_in_every_form(world: World) -> None:
    as_json = world.server.ask(
        "POST", "/v1/translate", **packed("json", world.x, source=world.source, target=world.target)
    )
    assert np.array(as_json["vectors"], np.float32).tobytes() == world.translated().tobytes()


def test_the_report_is_part_of_the_translator(world: World) -> None:
    world.translated()
    report = world.server.ask("GET", f"/v1/translators/{world.source}-to-{world.target}")["report"]
    assert report["quality"]["top1"]["mean"] == 1


# restarts


def everything(world: World) -> dict[str, Any]:
    """Every answer that must not change: with its ETag, or byte for byte."""
    http, translator = world.server.http, f"{world.source}-to-{world.target}"
    seen: dict[str, Any] = {}
    for path in (f"spaces/{world.source}", f"spaces/{world.target}", f"collections/{world.collection}"):
        answer = http.get(f"/v1/{path}")
        seen[path] = answer.status_code, answer.headers["etag"], answer.json()
    answer = http.get(f"/v1/translators/{translator}")
    seen["translator"] = answer.status_code, answer.headers["etag"], answer.json()
    for space in (world.source, world.target):
        seen[f"anchors {space}"] = http.get(f"/v1/spaces/{space}/anchors", headers=AS_NPY).content
    points = http.post(f"/v1/collections/{world.collection}/points/get", json={"ids": world.ids})
    seen["points"] = points.content
    seen["translated"] = world.translated().tobytes()
    return seen


def filled(world: World) -> World:
    world.put_points()
    world.translated()
    deleted = {"ids": ["item-000", "item-001"]}
    world.server.ask("POST", f"/v1/collections/{world.collection}/points/delete", json=deleted)
    return world


@pytest.fixture(scope="module")
def restarted(server: Server) -> dict[int, Any]:
    """What a client saw before and after, by the signal that stopped the server."""
    world, seen = filled(World.on(server)), {}
    for number in (signal.SIGTERM, signal.SIGKILL):
        before = everything(world), world.search()
        server.stop(number)
        server.start()
        seen[number] = before, (everything(world), world.search())
    return seen


SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])


@SIGNALS
def test_everything_is_as_it_was_after(restarted: dict[int, Any], number: int) -> None:
    (before, _), (after, _) = restarted[number]
    assert after == before


@SIGNALS
def test_the_index_answers_as_it_did_after(restarted: dict[int, Any], number: int) -> None:
    (_, before), (_, after) = restarted[number]
    assert ranked(after) == ranked(before)


def ranked(answer: Any) -> list[list[tuple[str, float]]]:
    return [[(hit["id"], pytest.approx(hit["score"], abs=1e-6)) for hit in hits] for hits in answer["results"]]


def test_kill_in_the_middle_of_writes_loses_nothing_acknowledged(world: World) -> None:
    world.put_points()
    acknowledged: list[str] = []

    def write() -> None:
        with suppress(httpx.TransportError):
            for number in count():
                body = packed("json", world.y[:1], [f"new-{number}"])
                world.server.ask("PUT", f"/v1/collections/{world.collection}/points", **body)
                acknowledged.append(f"new-{number}")

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        time.sleep(0.5)
        world.server.stop(signal.SIGKILL)
        writing.result()
    world.server.start()
    body = {"ids": acknowledged}
    answer = world.server.ask("POST", f"/v1/collections/{world.collection}/points/get", json=body)
    assert acknowledged
    assert answer["missing"] == []


# many at once


def at_once(n: int, what: Any) -> list[Any]:
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(what, range(n)))


@pytest.fixture
def first_requests(world: World) -> list[httpx.Response]:
    """Sixteen requests for a pair that nobody has asked for before."""
    body = packed("base64", world.x, source=world.source, target=world.target)
    return at_once(16, lambda _: world.server.http.post("/v1/translate", json=body["json"]))


def test_concurrent_first_requests_name_one_translator(first_requests: list[httpx.Response]) -> None:
    named = {(answer.json()["translator"], answer.json()["version"]) for answer in first_requests}
    assert {version for _, version in named} == {1}
    assert len(named) == 1


def test_concurrent_first_requests_get_identical_vectors(first_requests: list[httpx.Response]) -> None:
    assert len({answer.content for answer in first_requests}) == 1


def test_concurrent_first_requests_fit_once(first_requests: list[httpx.Response], world: World) -> None:
    translators = world.server.ask("GET", "/v1/translators", params={"limit": 1000})["translators"]
    assert [one["version"] for one in translators if one["source"] == world.source] == [1]


def test_concurrent_upserts_lose_no_point(world: World) -> None:
    world.put_points()

    def upsert(thread: int) -> None:
        for number in range(5):
            body = packed("base64", world.y[:2], [f"{thread}-{number}-{row}" for row in range(2)])
            world.server.ask("PUT", f"/v1/collections/{world.collection}/points", **body)

    at_once(8, upsert)
    assert world.server.ask("GET", f"/v1/collections/{world.collection}")["points"] == ITEMS + 8 * 5 * 2


def test_concurrent_upserts_of_anchors_lose_none(world: World) -> None:
    def upsert(thread: int) -> None:
        body = packed("base64", world.x[:2], [f"{thread}-{row}" for row in range(2)])
        world.server.ask("PUT", f"/v1/spaces/{world.source}/anchors", **body)

    at_once(8, upsert)
    assert world.server.ask("GET", f"/v1/spaces/{world.source}")["anchors"] == ITEMS + 8 * 2


def test_a_collection_deleted_under_searches_is_there_or_not_found(world: World) -> None:
    world.put_points()
    world.translated()
    wanted = {"must_not": [{"key": "n", "exists": True}]}
    native = {"ids": world.ids[:5], "vectors": world.x[:5].tolist()}
    path = f"/v1/collections/{world.collection}"
    calls = [
        ("search", packed("base64", world.x, space=world.source)),
        ("search", packed("base64", world.y, filter=wanted, explain=True)),
        ("search", packed("base64", world.x, space=world.source, filter=wanted)),
        ("rerank", packed("base64", world.x, space=world.source, candidates=native)),
        ("points/list", {"json": {"filter": wanted}}),
        ("points/count", {"json": {"filter": wanted}}),
        ("points/get", {"json": {"ids": world.ids}}),
    ]

    def status(number: int) -> int:
        name, body = calls[number % len(calls)]
        return world.server.http.post(f"{path}/{name}", **body).status_code

    with ThreadPoolExecutor(5) as pool:
        statuses = pool.map(status, range(210))
        for _ in range(10):
            world.server.http.delete(path).raise_for_status()
            world.put_points()
        assert set(statuses) <= {200, 404}
    world.server.http.delete(path).raise_for_status()
    assert {status(number) for number in range(len(calls))} == {404}


# several servers on one Redis


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, redis_server) -> Iterator[tuple[Server, Server]]:
    folder, store = tmp_path_factory.mktemp("two"), f"{redis_server.url}/2"
    with serving(folder, free_port(), store) as one, serving(folder, free_port(), store) as other:
        yield one, other


def test_points_put_on_one_server_are_found_on_the_other(two: tuple[Server, Server]) -> None:
    one, other = two
    world = World.on(one)
    world.put_points()
    assert world.found(other) == world.ids


def test_points_deleted_on_one_server_are_gone_on_the_other(two: tuple[Server, Server]) -> None:
    one, other = two
    world = World.on(one)
    world.put_points()
    world.search(other)
    one.ask("POST", f"/v1/collections/{world.collection}/points/delete", json={"ids": world.ids[1:]})
    assert set(world.found(other)) == {world.ids[0]}


def test_a_collection_made_anew_on_one_server_is_the_new_one_on_the_other(two: tuple[Server, Server]) -> None:
    one, other = two
    world = World.on(one)
    world.put_points()
    world.search(other)
    one.http.delete(f"/v1/collections/{world.collection}").raise_for_status()
    one.ask("PUT", f"/v1/collections/{world.collection}", json={"space": world.source, "metric": "euclidean"})
    one.ask("PUT", f"/v1/collections/{world.collection}/points", **packed("json", world.x[:1], ["new"]))
    assert world.search(other)["results"][0] == [{"id": "new", "score": 0, "payload": None}]


def test_a_pair_first_used_on_both_servers_has_one_translator(two: tuple[Server, Server]) -> None:
    world = World.on(two[0])
    body = packed("base64", world.x, source=world.source, target=world.target)
    answers = at_once(8, lambda number: two[number % 2].http.post("/v1/translate", **body).json())
    assert {(answer["translator"], answer["version"]) for answer in answers} == {
        (f"{world.source}-to-{world.target}", 1)
    }


def test_a_translator_refitted_on_one_server_serves_on_the_other(two: tuple[Server, Server]) -> None:
    one, other = two
    world = World.on(one)
    world.translated("npy", other)
    world.y = world.y + np.float32(5)
    world.put_anchors("npy")
    spec = {"source": world.source, "target": world.target}
    one.ask("PUT", f"/v1/translators/{world.source}-to-{world.target}", json=spec)
    assert world.translated("npy", other) == pytest.approx(world.y, abs=1e-3)


def test_anchors_changed_on_one_server_make_the_translator_stale_on_the_other(two: tuple[Server, Server]) -> None:
    one, other = two
    world = World.on(one)
    world.translated("npy", other)
    one.ask("POST", f"/v1/spaces/{world.source}/anchors/delete", json={"ids": world.ids[:1]})
    assert other.ask("GET", f"/v1/translators/{world.source}-to-{world.target}")["stale"] is True


def test_of_two_writers_with_one_etag_one_wins(two: tuple[Server, Server]) -> None:
    world = World.on(two[0])
    path = f"/v1/spaces/{world.source}"
    etag = {"if-match": two[0].http.get(path).headers["etag"]}

    def describe(number: int) -> int:
        body = {"dim": SOURCE_DIM, "description": f"writer {number}"}
        return two[number % 2].http.put(path, json=body, headers=etag).status_code

    assert sorted(at_once(8, describe)) == [200] + 7 * [412]


# Redis down


REQUESTS = {
    "put a space": ("PUT", "/v1/spaces/new", {"dim": 3}),
    "put anchors": ("PUT", "/v1/spaces/{a}/anchors", {"ids": ["z"], "vectors": [[1.0] * SOURCE_DIM]}),
    "put points": ("PUT", "/v1/collections/of-{b}/points", {"ids": ["z"], "vectors": [[1.0] * TARGET_DIM]}),
    "get a space": ("GET", "/v1/spaces/{a}", None),
    "list translators": ("GET", "/v1/translators", None),
    "get anchors": ("GET", "/v1/spaces/{a}/anchors", None),
    "translate": ("POST", "/v1/translate", {"source": "{a}", "target": "{b}", "vectors": [[1.0] * SOURCE_DIM]}),
    "search": ("POST", "/v1/collections/of-{b}/search", {"vectors": [[1.0] * TARGET_DIM]}),
    "delete": ("DELETE", "/v1/collections/of-{b}", None),
}


def filled_in(template: Any, world: World) -> Any:
    if isinstance(template, dict):
        return {key: filled_in(value, world) for key, value in template.items()}
    if isinstance(template, str):
        return template.replace("{a}", world.source).replace("{b}", world.target)
    return template


@dataclass
class Outage:
    """What a client saw of one server before, during and after Redis was killed."""

    before: dict[str, Any]
    during: dict[str, httpx.Response]
    seconds: float
    after: dict[str, Any]
    found: list[str]
    ids: list[str]


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory, redis_server) -> Iterator[Outage]:
    redis = type(redis_server)(tmp_path_factory.mktemp("outage"), "--appendfsync", "always")
    redis.start()
    try:
        with serving(tmp_path_factory.mktemp("outage"), free_port(), redis.url) as server:
            world = filled(World.on(server))
            before = everything(world)
            redis.kill()
            started = time.monotonic()
            during = {path: server.http.get(path) for path in ("/livez", "/readyz", "/v1/info")}
            for name, request in REQUESTS.items():
                method, path, body = (filled_in(part, world) for part in request)
                during[name] = server.http.request(method, path, **({"json": body} if body else {}))
            seconds = time.monotonic() - started
            redis.start()
            assert server.comes_to("/readyz"), server.log.read_text()
            yield Outage(before, during, seconds, everything(world), world.found(), world.ids)
    finally:
        redis.kill()


@pytest.mark.parametrize("name", REQUESTS)
def test_without_redis_a_request_gets_503(outage: Outage, name: str) -> None:
    answer = outage.during[name]
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.json()["code"] == "store-unavailable"


@pytest.mark.parametrize("name", REQUESTS)
def test_without_redis_a_request_hears_when_to_try_again(outage: Outage, name: str) -> None:
    assert int(outage.during[name].headers["retry-after"]) >= 1


@pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/readyz", 503), ("/v1/info", 200)])
def test_without_redis_the_server_is_alive_and_not_ready(outage: Outage, path: str, status: int) -> None:
    assert outage.during[path].status_code == status


def test_without_redis_answers_are_quick(outage: Outage) -> None:
    assert outage.seconds < QUICK_SECONDS


def test_nothing_is_lost_when_redis_comes_back(outage: Outage) -> None:
    assert outage.after == outage.before


def test_the_index_answers_when_redis_comes_back(outage: Outage) -> None:
    assert outage.found[2:] == outage.ids[2:]  # the first two were deleted


def test_a_server_started_without_redis_recovers(new_redis, tmp_path: Path) -> None:
    redis = new_redis()
    redis.kill()
    with serving(tmp_path, free_port(), redis.url, path="/livez") as server:
        assert server.http.get("/readyz").status_code == 503
        redis.start()
        assert server.comes_to("/readyz")
        world = World.on(server)
        world.put_points()
        assert world.found() == world.ids


# limits and signals

LIMIT = 2000
REST_SECONDS = 6  # more than uvicorn's own 5


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("small")
    with serving(folder, free_port(), f"sqlite:///{folder}/store.db", max_body_bytes=LIMIT) as server:
        yield server


def chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 100):
        yield data[start : start + 100]


SENDING = pytest.mark.parametrize("sent", [bytes, chunks], ids=["content-length", "chunked"])


@SENDING
@pytest.mark.parametrize("form", MEDIA_TYPES)
def test_a_body_over_the_limit_gets_413(small: Server, sent: Any, form: str) -> None:
    body = packed(form, np.ones((LIMIT, 4), np.float32))
    headers = body["headers"]
    answer = small.http.put("/v1/spaces/a/anchors", content=sent(body["content"]), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["code"] == "body-too-large"


@SENDING
def test_a_body_at_the_limit_is_read(small: Server, sent: Any) -> None:
    body = b'{"dim": 3}'.ljust(LIMIT)
    answer = small.http.put(
        "/v1/spaces/at-limit", content=sent(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code in (200, 201)


def test_a_promised_length_over_the_limit_is_refused_before_it_is_sent(small: Server) -> None:
    """A client that waits for the answer before it sends its body is not kept waiting."""
    with socket.create_connection((small.http.base_url.host, small.http.base_url.port), 5) as link:
        link.sendall(b"PUT /v1/spaces/a HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n")
        link.sendall(b"content-length: 1000000000\r\n\r\n")
        assert link.recv(12) == b"HTTP/1.1 413"


def test_a_connection_that_rested_still_answers(small: Server) -> None:
    link = HTTPConnection(small.http.base_url.host, small.http.base_url.port)
    for seconds in (0, REST_SECONDS):
        time.sleep(seconds)
        link.request("GET", "/livez")
        assert link.getresponse().read() == b'{"status":"ok"}'
        link.auto_open = 0  # once: a connection that was closed is not opened again
    link.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_server_well_and_quickly(tmp_path: Path, number: int) -> None:
    started = time.monotonic()
    with serving(tmp_path, free_port(), f"sqlite:///{tmp_path}/store.db") as server:
        ready = time.monotonic()
        # after its shutdown uvicorn raises SIGTERM again, as supervisors expect
        assert server.stop(number) in (0, -number)
        assert time.monotonic() - ready < ready - started  # however busy the machine is
