"""Keys and their scopes, and no more requests at once than the settings allow."""

import hashlib
import re
import threading

import pytest
from starlette.testclient import TestClient

from app.api.gate import Gate
from app.errors import ConfigurationError
from app.keys import SCOPES, Key
from app.main import create_app
from app.settings import Settings

KEYS = {scope: f"{scope}-key-of-a-test" for scope in SCOPES}
SETTING = tuple(f"{scope}:{hashlib.sha256(key.encode()).hexdigest()}" for scope, key in KEYS.items())

READS = [
    ("GET", "/v1/spaces", None),
    ("GET", "/v1/spaces/s", None),
    ("GET", "/v1/spaces/s/anchors", None),
    ("GET", "/v1/translators", None),
    ("GET", "/v1/fits", None),
    ("GET", "/v1/collections/c", None),
    ("GET", "/v1/info", None),
    ("POST", "/v1/translate", {"source": "s", "target": "u", "vectors": [[1, 2]]}),
    ("GET", "/v1/heads", None),
    ("GET", "/v1/heads/h", None),
    ("POST", "/v1/stitch", {"source": "s", "head": "h", "vectors": [[1, 2]]}),
    ("POST", "/v1/relative", {"space": "s", "vectors": [[1, 2]]}),
    ("POST", "/v1/compare", {"spaces": ["s", "u"]}),
    ("POST", "/v1/spaces/long/disentanglement", {"factors": {"f": {i: ord(i) for i in "abcdefghij"}}}),
    ("POST", "/v1/collections/c/search", {"vectors": [[1, 2]]}),
    (
        "POST",
        "/v1/collections/c/rerank",
        {"vectors": [[1, 2]], "space": "s", "candidates": {"ids": ["x"], "vectors": [[1, 2]]}},
    ),
    ("POST", "/v1/collections/c/points/get", {"ids": ["x"]}),
    ("POST", "/v1/collections/c/points/list", {}),
    ("POST", "/v1/collections/c/points/count", {}),
]
WRITES = [
    ("PUT", "/v1/spaces/s", {"dim": 2}),
    ("PUT", "/v1/spaces/s/anchors", {"ids": ["x"], "vectors": [[1, 2]]}),
    ("POST", "/v1/spaces/s/anchors/delete", {"ids": ["x"]}),
    ("PUT", "/v1/translators/t", {"source": "s", "target": "u"}),
    ("PUT", "/v1/heads/h", {"kind": "linear", "space": "s", "weight": [[1, 2]]}),
    ("POST", "/v1/heads/f/fit", {"space": "s", "values": {"p": 1, "q": 2}}),
    ("POST", "/v1/heads/h/evaluate", {"source": "s", "values": {"p": 1, "q": 2}}),
    ("PUT", "/v1/collections/c", {"space": "s"}),
    ("PUT", "/v1/collections/c/points", {"ids": ["x"], "vectors": [[1, 2]]}),
    ("POST", "/v1/collections/c/points/delete", {"ids": ["x"]}),
    ("DELETE", "/v1/collections/d", None),
    ("DELETE", "/v1/translators/v", None),
    ("DELETE", "/v1/heads/g", None),
    ("DELETE", "/v1/spaces/w", None),
]
OPEN = ["/livez", "/readyz", "/docs", "/openapi.json"]


def bearing(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A client of a service with one key of each scope, and something of everything in it."""
    path = tmp_path_factory.mktemp("locked")
    with TestClient(create_app(Settings(store=f"sqlite:///{path}/store.db", keys=SETTING))) as client:
        for name, turn in (("s", 1), ("u", -1), ("w", 2)):
            anchors = {"ids": list("pqr"), "vectors": [[turn, 2], [2, turn], [0, turn]]}
            client.put(f"/v1/spaces/{name}", json={"dim": 2, "anchors": anchors}, headers=bearing(KEYS["write"]))
        anchors = {"ids": list("abcdefghij"), "vectors": [[n] for n in range(10)]}
        client.put("/v1/spaces/long", json={"dim": 1, "anchors": anchors}, headers=bearing(KEYS["write"]))
        client.put("/v1/collections/c", json={"space": "s"}, headers=bearing(KEYS["write"]))
        head = {"kind": "linear", "space": "s", "weight": [[1, 2]]}
        client.put("/v1/heads/h", json=head, headers=bearing(KEYS["write"]))
        yield client


@pytest.mark.parametrize(("method", "path", "body"), READS + WRITES)
def test_without_a_key_every_route_is_401(locked, method, path, body, assert_problem):
    answer = locked.request(method, path, json=body)
    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_every_post_is_among_the_routes_tried(locked):
    posts = [path for path, methods in locked.app.openapi()["paths"].items() if "post" in methods]
    tried = [path for method, path, _ in READS + WRITES if method == "POST"]
    shapes = [re.sub(r"{[^/]*}", "[^/]+", path) for path in posts]
    assert [shape for shape in shapes if not any(re.fullmatch(shape, path) for path in tried)] == []


@pytest.mark.parametrize("path", ["/v1/nowhere", "/nowhere", "/docs/", "/livez/x", "/swagger/a/b", "/v1/livez"])
def test_without_a_key_an_unknown_route_is_401_too(locked, path, assert_problem):
    assert_problem(locked.get(path), 401, "unauthorized")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer ",
        "Bearer",
        f"Basic {KEYS['admin']}",
        KEYS["admin"],
        f"Bearer {KEYS['admin']}x",
        f"Bearer {KEYS['admin'].upper()}",
        f"Bearer {SETTING[2].partition(':')[2]}",
        f"Bearer {SETTING[2]}",
    ],
)
def test_a_wrong_key_is_401(locked, header, assert_problem):
    assert_problem(locked.get("/v1/spaces", headers={"Authorization": header}), 401, "unauthorized")


def test_a_key_in_the_query_is_no_key(locked, assert_problem):
    assert_problem(locked.get("/v1/spaces", params={"key": KEYS["admin"]}), 401, "unauthorized")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_written_in_any_case(locked, scheme):
    answer = locked.get("/v1/spaces", headers={"Authorization": f"{scheme} {KEYS['read']}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("method", "path", "body"), READS)
def test_every_key_reads(locked, method, path, body, scope):
    answer = locked.request(method, path, json=body, headers=bearing(KEYS[scope]))
    assert answer.is_success, answer.text


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_key_that_reads_does_not_write(locked, method, path, body, assert_problem):
    answer = locked.request(method, path, json=body, headers=bearing(KEYS["read"]))
    assert assert_problem(answer, 403, "forbidden")["expected"] == "write"


@pytest.mark.parametrize("scope", ["write", "admin"])
@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_key_that_writes_is_let_in(locked, method, path, body, scope):
    answer = locked.request(method, path, json=body, headers=bearing(KEYS[scope]))
    assert answer.status_code not in (401, 403)


@pytest.mark.parametrize("path", OPEN)
def test_open_routes_need_no_key(locked, path):
    assert locked.get(path).status_code == 200


def test_without_keys_in_the_settings_every_route_is_open(client):
    assert client.put("/v1/spaces/s", json={"dim": 2}).status_code == 201


def test_two_keys_of_one_hash_give_the_wider_scope(make_client):
    digest = hashlib.sha256(b"twice").hexdigest()
    with make_client(keys=(f"read:{digest}", f"write:{digest}")) as client:
        assert client.put("/v1/spaces/s", json={"dim": 2}, headers=bearing("twice")).status_code == 201


def test_only_hashes_of_keys_are_kept():
    gate = Gate(None, Settings(), [Key.parse(text) for text in SETTING])
    kept = repr([vars(key) for key in gate.keys])
    assert not any(key in kept for key in KEYS.values())
    assert gate.keys == [Key(*text.split(":")) for text in SETTING]


DIGEST = "0" * 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "read",
        "read:",
        f":{DIGEST}",
        f"root:{DIGEST}",
        DIGEST,
        "read:plain",
        f"read:{DIGEST}0",
        f"read:{'A' * 64}",
    ],
)
def test_a_malformed_key_does_not_start(make_client, text):
    with pytest.raises(ConfigurationError), make_client(keys=(text,)):
        pass


def test_a_malformed_key_is_not_told_in_full(make_client):
    with pytest.raises(ConfigurationError) as caught, make_client(keys=("read:a-plain-key-by-mistake",)):
        pass
    assert "by-mistake" not in str(caught.value)


# Requests in flight


@pytest.fixture
def held(make_client):
    """A client of a service that takes one request at once, and one that waits for `release`."""
    with make_client(max_requests=1) as client:
        assert any(client.get("/readyz").is_success for _ in range(10_000))  # it loads its collections first
        arrived, release = threading.Event(), threading.Event()

        client.app.get("/slow")(lambda: arrived.set() or {"waited": release.wait(10)})
        thread = threading.Thread(target=client.get, args=("/slow",))
        thread.start()
        assert arrived.wait(10)
        yield client, release, thread
        release.set()
        thread.join()


def test_one_request_too_many_is_503_and_says_when_to_come_again(held, assert_problem):
    client = held[0]
    answer = client.get("/v1/spaces")
    assert assert_problem(answer, 503, "busy")["limit"] == 1
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", OPEN)
def test_open_routes_answer_however_many_are_in_flight(held, path):
    assert held[0].get(path).status_code == 200


def test_the_place_is_free_when_the_request_is_answered(held):
    client, release, thread = held
    release.set()
    thread.join()
    assert [client.get("/v1/spaces").status_code for _ in range(3)] == [200] * 3


def test_a_refused_request_takes_no_place(make_client):
    with make_client(max_requests=1, keys=SETTING) as client:
        refused = [client.get("/v1/spaces").status_code for _ in range(3)]
        assert refused == [401] * 3
        assert client.get("/v1/spaces", headers=bearing(KEYS["read"])).status_code == 200


def test_a_failed_request_gives_its_place_back(make_client):
    with make_client(max_requests=1) as client:
        failed = [client.put("/v1/spaces/s", content=b"{").status_code for _ in range(3)]
        assert failed == [400] * 3
        assert client.get("/v1/spaces").status_code == 200


def test_an_unknown_key_is_told_from_none(locked):
    none = locked.get("/v1/spaces").json()["detail"]
    unknown = locked.get("/v1/spaces", headers={"Authorization": "Bearer nobody"}).json()["detail"]
    assert "needs a key" in none
    assert "does not know the key" in unknown


def test_openapi_offers_the_key(client):
    page = client.get("/openapi.json").json()
    assert page["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert {"key": []} in page["security"]
