"""Every error has a status and a stable code, and leaves nothing half written."""

import gzip
import re

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.api import errors as api_errors
from app.api.errors import code_of, status_of
from app.main import create_app
from app.settings import Settings
from models.errors import DomainError

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"

CODES = {  # clients rest on these: a change here is a change of the interface
    "anchor-error": 422,
    "invalid-count": 422,
    "pairing-refused": 422,
    "too-few-points": 422,
    "unknown-selector": 422,
    "body-too-large": 413,
    "busy": 503,
    "configuration-error": 500,
    "conflict": 409,
    "corrupt-store": 500,
    "dimension-mismatch": 422,
    "domain-error": 500,
    "forbidden": 403,
    "in-use": 409,
    "invalid-head": 422,
    "invalid-input": 422,
    "invalid-option": 422,
    "invalid-vectors": 422,
    "malformed-body": 400,
    "model-error": 422,
    "no-shared-anchors": 422,
    "not-acceptable": 406,
    "not-fitted": 422,
    "not-found": 404,
    "onnx-failed": 422,
    "onnx-overrun": 422,
    "onnx-refused": 422,
    "over-limit": 422,
    "precondition-failed": 412,
    "same-space": 422,
    "service-error": 500,
    "stale-write": 409,
    "store-unavailable": 503,
    "too-few-anchors": 422,
    "too-many-anchors": 422,
    "too-many-rows": 413,
    "unauthorized": 401,
    "unknown-method": 422,
    "unrelated": 422,
    "unsupported-encoding": 415,
    "unsupported-media-type": 415,
    "wrong-dimension": 422,
}


def family(error):
    return [error, *(child for direct in error.__subclasses__() for child in family(direct))]


ERRORS = sorted({error for error in family(DomainError) if error.__module__.split(".")[0] != "tests"}, key=str)


@pytest.fixture
def frail(tmp_path):
    """A client that shows a defect as its answer, of a service with a route that has one."""
    app = create_app(Settings(store=f"sqlite:///{tmp_path}/store.db"))

    @app.get("/defect")
    def defect():
        raise RuntimeError("the secret is 42")

    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_its_status_and_code(error):
    assert CODES[code_of(error("message"))] == status_of(error("message"))


def test_every_code_belongs_to_an_error():
    assert set(CODES) == {code_of(error("message")) for error in ERRORS}


def test_no_two_errors_have_one_code():
    assert len({code_of(error("message")) for error in ERRORS}) == len(ERRORS)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_in_the_tree_of_its_module(error):
    root = "models.errors" if error is DomainError else error.__module__
    assert error.__name__ in __import__(root, fromlist=["x"]).__doc__


def test_facts_cannot_replace_the_members_of_a_problem():
    answer = api_errors.problem(422, "a-code", "detail", "/path", type="other", title="other", row=3)
    assert b'"type":"urn:anchorage:problem:a-code","title":"Unprocessable' in answer.body
    assert b'"row":3' in answer.body


# What the framework says


@pytest.mark.parametrize("path", ["/v1/nowhere", "/nowhere", "/v1", "/v1/spaces/a/b/c"])
def test_an_unknown_route_is_404(client, path, assert_problem):
    assert "/docs" in assert_problem(client.get(path), 404, "not-found")["detail"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/spaces", {"GET"}),
        ("/v1/translate", {"POST"}),
        ("/v1/spaces/a", {"GET", "PUT", "DELETE"}),
        ("/v1/spaces/a/anchors", {"GET", "PUT"}),
        ("/v1/translators/a", {"GET", "PUT", "DELETE"}),
        ("/v1/collections/a", {"GET", "PUT", "DELETE"}),
    ],
)
def test_another_method_is_405_and_says_which_are_allowed(client, path, allowed, assert_problem):
    answer = client.patch(path)
    assert_problem(answer, 405, "method-not-allowed")
    assert set(re.split(", *", answer.headers["allow"])) - {"HEAD", "OPTIONS"} == allowed


def test_a_defect_is_500_and_tells_no_secrets(frail, assert_problem):
    problem = assert_problem(frail.get("/defect"), 500, "internal-error")
    assert "42" not in str(problem)


# Bodies


@pytest.fixture
def small(make_client):
    """A client of a service that takes bodies of 1000 bytes."""
    with make_client(max_body_bytes=1000) as client:
        yield client


ROUTES = [
    "/v1/spaces/s",
    "/v1/spaces/s/anchors",
    "/v1/translators/t",
    "/v1/collections/c",
    "/v1/collections/c/points",
]


@pytest.mark.parametrize("path", ROUTES)
def test_a_body_too_large_by_its_length_is_413(small, path, assert_problem):
    problem = assert_problem(small.put(path, content=b"x" * 1001), 413, "body-too-large")
    assert problem["limit"] == 1000


@pytest.mark.parametrize("path", ROUTES)
def test_a_chunked_body_too_large_is_413(small, path, assert_problem):
    chunks = (b"x" * 100 for _ in range(11))
    problem = assert_problem(small.put(path, content=chunks), 413, "body-too-large")
    assert problem["limit"] == 1000


def test_a_compressed_body_may_not_unfold_beyond_the_limit(make_client):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(250_000, np.float32)), 250)  # 1 MB
    table, sink = pa.table({"vector": vectors}), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_table(table)
    with make_client(max_body_bytes=50_000) as client:
        body, headers = sink.getvalue().to_pybytes(), {"Content-Type": ARROW}
        answer = client.post("/v1/translate?source=a&target=b", content=body, headers=headers)
    assert answer.status_code in (400, 413, 415)


def test_a_body_of_the_largest_size_is_read(small):
    body = b'{"dim": 3}'.ljust(1000)
    assert small.put("/v1/spaces/s", content=body).status_code == 201
    assert small.put("/v1/spaces/s", content=iter([body[:500], body[500:]])).status_code == 200


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", "application/octet-stream"])
def test_another_media_type_is_415(client, path, content_type, assert_problem):
    answer = client.put(path, content=b"{}", headers={"Content-Type": content_type})
    problem = assert_problem(answer, 415, "unsupported-media-type")
    assert problem["got"] == content_type
    assert "application/json" in problem["expected"]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP, identity"])
def test_a_compressed_body_is_415(client, path, coding, assert_problem):
    answer = client.put(path, content=gzip.compress(b'{"dim": 3}'), headers={"Content-Encoding": coding})
    problem = assert_problem(answer, 415, "unsupported-encoding")
    assert (problem["expected"], problem["got"]) == (["identity"], coding)
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_a_body_as_it_is_may_say_so(client, coding):
    answer = client.put("/v1/spaces/s", content=b'{"dim": 3}', headers={"Content-Encoding": coding})
    assert answer.status_code == 201


DEEP = {
    "/v1/spaces/s": '{"dim": 2, "fingerprint": %s}',
    "/v1/collections/c": '{"space": %s}',
    "/v1/spaces/s/anchors": '{"ids": ["a"], "vectors": [%s]}',
    "/v1/collections/c/points": '{"ids": ["a"], "vectors": [[1, 2]], "payloads": [{"a": %s}]}',
}


@pytest.mark.parametrize("depth", [100, 254, 260, 900, 985, 1000, 2000])
@pytest.mark.parametrize(("path", "body"), DEEP.items(), ids=DEEP)
def test_a_body_may_be_as_deep_as_it_likes_and_is_told_so_in_a_few_words(client, path, body, depth):
    client.put("/v1/spaces/s", json={"dim": 2})
    client.put("/v1/collections/c", json={"space": "s"})
    answer = client.put(path, content=body % ("[" * depth + "]" * depth))
    taken = path.endswith("points") and depth == 100
    assert answer.status_code in ((200,) if taken else (400, 422))
    if not taken:
        assert len(answer.json()["detail"]) < 200
        assert "Recursion error" not in answer.text
    if depth == 2000:
        assert answer.json()["detail"] == "the body is nested too deeply"


@pytest.mark.parametrize("path", ["/v1/spaces/s", "/v1/translators/t", "/v1/collections/c"])
def test_a_resource_is_not_read_from_npy(client, path, npy, assert_problem):
    answer = client.put(path, content=npy(np.eye(2)), headers={"Content-Type": NPY})
    assert assert_problem(answer, 415, "unsupported-media-type")["expected"] == ["application/json"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/spaces/a/anchors", None),
        ("POST", "/v1/translate", {"source": "a", "target": "b", "vectors": [[1, 2, 3, 4]]}),
        ("POST", "/v1/collections/things/search", {"vectors": [[1] * 6]}),
        ("POST", "/v1/collections/things/points/get", {"ids": ["x"]}),
    ],
)
def test_an_answer_in_another_media_type_is_406(stocked, method, path, body, assert_problem):
    answer = stocked.request(method, path, json=body, headers={"Accept": "text/html"})
    assert "application/json" in assert_problem(answer, 406, "not-acceptable")["expected"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"nonsense", b'{"dim": NaN}', b'{"description": "\xff"}'])
@pytest.mark.parametrize("path", ROUTES)
def test_a_body_that_is_no_json_object_is_400(client, path, body, assert_problem):
    assert_problem(client.put(path, content=body), 400, "malformed-body")


BODIES = {
    "/v1/spaces/s": {"dim": 1},
    "/v1/spaces/s/anchors": {"ids": ["x"], "vectors": [[1]]},
    "/v1/translators/t": {"source": "a", "target": "b"},
    "/v1/collections/c": {"space": "a"},
    "/v1/collections/c/points": {"ids": ["x"], "vectors": [[1]]},
}


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_field_is_422_with_its_pointer(client, path, assert_problem):
    problem = assert_problem(client.put(path, json={**BODIES[path], "extra": 1}), 422, "invalid-input")
    assert [error["pointer"] for error in problem["errors"]] == ["/extra"]


def test_a_pointer_is_escaped_as_rfc_6901_says(client, assert_problem):
    problem = assert_problem(client.put("/v1/spaces/s", json={"dim": 1, "a/b~c": 1}), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/a~1b~0c"


@pytest.mark.parametrize("path", BODIES)
def test_every_missing_field_is_named(client, path, assert_problem):
    problem = assert_problem(client.put(path, json={}), 422, "invalid-input")
    required = {f"/{field}" for field in BODIES[path]}
    assert {error["pointer"] for error in problem["errors"]} == required


def test_an_unknown_field_of_the_inline_anchors_is_422_with_its_pointer(client, assert_problem):
    body = {"dim": 1, "anchors": {"ids": ["x"], "vectors": [[1]], "extra": 1}}
    problem = assert_problem(client.put("/v1/spaces/s", json=body), 422, "invalid-input")
    assert problem["errors"][0]["pointer"] == "/anchors/extra"


def test_a_problem_does_not_repeat_a_long_input(client, assert_problem):
    answer = client.put("/v1/spaces/s", json={"dim": "x" * 100_000})
    assert_problem(answer, 422, "invalid-input")
    assert len(answer.content) < 2000


# Nothing half written


BAD_ANCHORS = [
    {"ids": ["x"], "vectors": [[1, 2, 3]]},
    {"ids": ["x", "y"], "vectors": [[1, 2]]},
    {"ids": ["x", "x"], "vectors": [[1, 2], [3, 4]]},
    {"ids": ["x", "y"], "vectors": [[1, 2], [3, "4"]]},
    {"ids": ["x", "y"], "vectors": [[1, 2], [3, 1e39]]},
    {"ids": ["x"], "vectors": {"base64": "AAAA", "shape": [1, 2]}},
    {"ids": [], "vectors": []},
    {"ids": ["x"]},
    {},
    [],
]


@pytest.mark.parametrize("anchors", BAD_ANCHORS, ids=str)
def test_bad_inline_anchors_leave_no_space(client, anchors):
    assert client.put("/v1/spaces/s", json={"dim": 2, "anchors": anchors}).status_code == 422
    assert client.get("/v1/spaces/s").status_code == 404


@pytest.mark.parametrize("anchors", BAD_ANCHORS, ids=str)
def test_bad_inline_anchors_leave_the_space_as_it_was(client, anchors):
    before = client.put("/v1/spaces/s", json={"dim": 2, "description": "old"}).json()
    client.put("/v1/spaces/s", json={"dim": 2, "description": "new", "anchors": anchors})
    assert client.get("/v1/spaces/s").json() == before


@pytest.mark.parametrize("anchors", BAD_ANCHORS[:7], ids=str)
def test_bad_anchors_and_points_change_nothing(client, anchors):
    client.put("/v1/spaces/s", json={"dim": 2})
    client.put("/v1/collections/c", json={"space": "s"})
    before = client.get("/v1/spaces/s").json(), client.get("/v1/collections/c").json()
    for path in ("/v1/spaces/s/anchors", "/v1/collections/c/points"):
        assert client.put(path, json=anchors).status_code == 422
    assert (client.get("/v1/spaces/s").json(), client.get("/v1/collections/c").json()) == before


def test_a_body_without_a_content_type_is_415(client):
    del client.headers["Content-Type"]
    answer = client.post("/v1/translate", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


def test_a_member_twice_is_400(client):
    answer = client.put("/v1/spaces/s", content=b'{"dim": 1, "dim": 2}')
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed-body")


def test_inline_anchors_count_as_rows(make_client):
    anchors = {"ids": ["a", "b", "c"], "vectors": [[1], [2], [3]]}
    with make_client(max_rows=2) as client:
        answer = client.put("/v1/spaces/s", json={"dim": 1, "anchors": anchors})
        assert (answer.status_code, answer.json()["code"]) == (413, "too-many-rows")
        assert client.get("/v1/spaces/s").status_code == 404
