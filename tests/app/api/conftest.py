"""A service of its own for every test, three small spaces, and bodies in every format."""

import io
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
SHARED, OTHERS = 40, 20


class Data(NamedTuple):
    """Row i of every matrix is one item. b is a turned, longer and noisy in a wider room; c is by itself."""

    ids: list[str]  # (40,) of the anchors that a and b share
    a: np.ndarray  # (40, 4)
    b: np.ndarray  # (40, 6)
    lonely: list[str]  # (5,) of the anchors of c
    c: np.ndarray  # (5, 3)
    new_ids: list[str]  # (20,) of items that are no anchors
    new_a: np.ndarray  # (20, 4)
    new_b: np.ndarray  # (20, 6)


def made() -> Data:
    random = np.random.default_rng(11)
    a = random.standard_normal((SHARED + OTHERS, 4))
    turn = np.linalg.qr(random.standard_normal((6, 6)))[0][:4]
    b = 1.7 * a @ turn + random.standard_normal(6) + 0.02 * random.standard_normal((SHARED + OTHERS, 6))
    a, b, c = (x.astype(np.float32) for x in (a, b, random.standard_normal((5, 3))))
    ids = [f"item-{number:02}" for number in range(SHARED + OTHERS)]
    lonely = [f"only-{number}" for number in range(5)]
    return Data(ids[:SHARED], a[:SHARED], b[:SHARED], lonely, c, ids[SHARED:], a[SHARED:], b[SHARED:])


def served(path, **settings):
    app = create_app(Settings(**{"store": f"sqlite:///{path}/store.db", **settings}))
    return TestClient(app, headers={"Content-Type": "application/json"})  # unless a test says otherwise


@pytest.fixture(scope="session")
def data():
    return made()


@pytest.fixture
def client(tmp_path):
    """A service without anything in it."""
    with served(tmp_path) as client:
        yield client


@pytest.fixture
def make_client(tmp_path):
    """make_client(**settings), to be entered by the test."""
    return lambda **settings: served(tmp_path, **settings)


def put_space(client, name, ids, vectors):
    anchors = {"ids": ids, "vectors": vectors.tolist()}
    return client.put(f"/v1/spaces/{name}", json={"dim": vectors.shape[1], "anchors": anchors})


def put_spaces(client, data):
    """The spaces a and b that share anchors, and c that shares none."""
    put_space(client, "a", data.ids, data.a)
    put_space(client, "b", data.ids, data.b)
    put_space(client, "c", data.lonely, data.c)


@pytest.fixture
def spaces(client, data):
    """The client, with the spaces a, b and c."""
    put_spaces(client, data)
    return client


@pytest.fixture
def anywhere(make_client, store_url, data):
    """A client with the spaces a, b and c, over every class of store."""
    with make_client(store=store_url) as client:
        put_spaces(client, data)
        yield client


@pytest.fixture(scope="session")
def linked(tmp_path_factory, data):
    """A client with the spaces and one translator t from a to b, shared by the tests that only read."""
    with served(tmp_path_factory.mktemp("linked")) as client:
        put_spaces(client, data)
        client.put("/v1/translators/t", json={"source": "a", "target": "b"})
        yield client


class Weights(NamedTuple):
    """What the heads of `headed` are made of."""

    linear: np.ndarray  # (3, 6)
    bias: np.ndarray  # (3,)
    inner: np.ndarray  # (5, 6)
    outer: np.ndarray  # (2, 5)
    coin: np.ndarray  # (1, 6)
    relative: np.ndarray  # (3, 8)
    seen_by: list[str]  # (8,) the anchors of the relative head


def put_heads(client, data):
    """Of b: h tells three labels apart, m gives two values, coin is a single sigmoid. r sees 8 anchors."""
    random = np.random.default_rng(5)
    shapes = {"linear": (3, 6), "bias": (3,), "inner": (5, 6), "outer": (2, 5), "coin": (1, 6), "relative": (3, 8)}
    made = Weights(**{name: random.standard_normal(shape) for name, shape in shapes.items()}, seen_by=data.ids[:8])
    three = {"labels": ["x", "y", "z"], "activation": "softmax", "kind": "linear"}
    tensors = {"0.weight": made.inner.tolist(), "2.weight": made.outer.tolist()}
    bodies = {
        "h": {"space": "b", **three, "weight": made.linear.tolist(), "bias": made.bias.tolist()},
        "m": {"space": "b", "kind": "mlp", "layers": ["linear", "tanh", "linear"], "tensors": tensors},
        "coin": {
            "space": "b",
            "kind": "linear",
            "weight": made.coin.tolist(),
            "labels": ["no", "yes"],
            "activation": "sigmoid",
        },
        "r": {"relative": {"anchors": made.seen_by}, **three, "weight": made.relative.tolist()},
    }
    for name, body in bodies.items():
        answer = client.put(f"/v1/heads/{name}", json=body)
        assert answer.status_code == 201, answer.text
    return made


@pytest.fixture
def own_heads(spaces, data):
    """`spaces` with the heads h, m, coin and r."""
    put_heads(spaces, data)
    return spaces


@pytest.fixture(scope="session")
def headed_and_weights(tmp_path_factory, data):
    with served(tmp_path_factory.mktemp("headed")) as client:
        put_spaces(client, data)
        yield client, put_heads(client, data)


@pytest.fixture(scope="session")
def headed(headed_and_weights):
    """A client with the spaces and the heads h, m, coin and r, shared by the tests that only read."""
    return headed_and_weights[0]


@pytest.fixture(scope="session")
def weights(headed_and_weights):
    return headed_and_weights[1]


def put_points(client, name, ids, vectors, **fields):
    return client.put(
        f"/v1/collections/{name}/points", json={"ids": ids, "vectors": np.asarray(vectors).tolist(), **fields}
    )


@pytest.fixture
def stocked(spaces, data):
    """`spaces` with a collection `things` of b: 20 items that are no anchors, and their numbers as payloads."""
    spaces.put("/v1/collections/things", json={"space": "b"})
    payloads = [{"number": number} for number in range(OTHERS)]
    put_points(spaces, "things", data.new_ids, data.new_b, payloads=payloads)
    return spaces


@pytest.fixture
def assert_problem():
    """assert_problem(answer, status, code): an RFC 9457 body with all its members; returns it."""

    def check(answer, status, code):
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        body = answer.json()
        assert (answer.status_code, body["status"], body["code"]) == (status, status, code), body
        assert body["type"] == f"urn:anchorage:problem:{code}"
        assert body["instance"] == answer.request.url.path
        assert body["title"]
        assert body["detail"]
        return body

    return check


@pytest.fixture
def npy():
    """npy(array): the bytes that numpy.save writes."""

    def write(array, **options):
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(array), **options)
        return buffer.getvalue()

    return write


@pytest.fixture
def arrow():
    """arrow(**columns): the bytes of an Arrow stream with them."""

    def write(**columns):
        table = pa.table(columns)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return sink.getvalue().to_pybytes()

    return write


@pytest.fixture
def read_npy():
    return lambda answer: np.load(io.BytesIO(answer.content), allow_pickle=False)


@pytest.fixture
def read_arrow():
    return lambda answer: pa.ipc.open_stream(answer.content).read_all()
