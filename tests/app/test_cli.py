"""The `anchorage` command: what it prints, and what it exits with."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2 as httpx
import pytest
from typer.testing import CliRunner, Result

from app.api.gate import Gate
from app.cli import cli, is_loopback, main
from app.errors import Forbidden
from app.keys import Key
from app.service.info import without_secrets
from app.settings import Settings
from app.store import open_store
from tests.app.conftest import free_port

START_SECONDS = 60
Process = subprocess.CompletedProcess[str]
WIDE = {"COLUMNS": "200", "TERMINAL_WIDTH": "200"}  # nothing is wrapped
COMMANDS = {
    "serve": ("--host", "--port", "--store"),
    "demo": (),
    "doctor": ("--store",),
    "healthcheck": ("--url",),
    "key": ("scope",),
}


def environment(**settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANCHORAGE_")}
    return {**inherited, **WIDE, **{f"ANCHORAGE_{name.upper()}": value for name, value in settings.items()}}


def anchorage(folder: Path, *words: str, **settings: str) -> Process:
    command = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(
        command, cwd=folder, env=environment(**settings), capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def serving(folder: Path, at: int, /, *words: str, **settings: str) -> Iterator[httpx.Client]:
    """`anchorage serve`, once it is ready on the port `at`."""
    command = [sys.executable, "-m", "app.cli", "serve", *words]
    with (
        (folder / "server.log").open("w+") as log,
        subprocess.Popen(command, cwd=folder, env=environment(**settings), stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{at}", trust_env=False) as http,
    ):
        try:
            assert becomes_ready(http, process), (folder / "server.log").read_text()
            yield http
        finally:
            process.send_signal(signal.SIGKILL)


def becomes_ready(http: httpx.Client, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if http.get("/readyz").is_success:
                return True
        time.sleep(0.05)
    return False


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words, env=WIDE)


# help


def test_help_as_a_process(tmp_path: Path) -> None:
    done = anchorage(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_every_command(command: str) -> None:
    assert re.search(rf"^\W*{command}\s+[A-Z]", run("--help").output, re.MULTILINE)


def test_every_command_is_known_here() -> None:
    assert {command.callback.__name__ for command in cli.registered_commands} == {*COMMANDS}


@pytest.mark.parametrize(("command", "options"), COMMANDS.items(), ids=COMMANDS)
def test_help_of_a_command_lists_its_options(command: str, options: tuple[str, ...]) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert [option for option in (*options, "--help") if option not in done.output] == []


@pytest.mark.parametrize(
    ("command", "default"),
    [
        ("serve", "[ANCHORAGE_HOST, 127.0.0.1]"),
        ("serve", "[ANCHORAGE_PORT, 8080]"),
        ("doctor", "[ANCHORAGE_STORE, sqlite:///data/anchorage.db]"),
        ("healthcheck", "host and port of the settings"),
    ],
)
def test_help_says_what_holds_without_an_option(command: str, default: str) -> None:
    assert default in " ".join(run(command, "--help").output.split())


# faults of the configuration


REFUSED = {
    "open door": (("serve", "--host", "0.0.0.0"), {}, "anchorage key"),
    "limit": (("serve",), {"max_k": "many"}, "ANCHORAGE_MAX_K must be an integer, got 'many'"),
    "two": (
        ("serve", "--port", "x"),
        {"max_k": "0"},
        "--port must be an integer, got 'x'; ANCHORAGE_MAX_K must be",
    ),
    "key": (("serve",), {"keys": "read:abc"}, "ANCHORAGE_KEYS: a key is scope:sha256"),
    "scheme": (("serve", "--store", "mongodb://127.0.0.1"), {}, "ANCHORAGE_STORE: a store URL starts with"),
    "path": (("serve", "--store", "sqlite://"), {}, "sqlite:///"),
}


@pytest.fixture(scope="module", params=REFUSED.values(), ids=REFUSED)
def refused(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Process, str]:
    words, settings, hint = request.param
    return anchorage(tmp_path_factory.mktemp("refused"), *words, **settings), hint


def test_a_fault_of_the_configuration_exits_2(refused: tuple[Process, str]) -> None:
    assert refused[0].returncode == 2


def test_a_fault_of_the_configuration_is_one_message(refused: tuple[Process, str]) -> None:
    done, hint = refused
    assert hint in done.stderr
    assert re.fullmatch(r"anchorage: [^\n]+\n", done.stderr)


@pytest.mark.parametrize(
    ("words", "setting", "hint"),
    [
        ("serve", "ANCHORAGE_HOST=::", "loopback"),
        ("serve --port 65536", "", "--port must be 65535 or less, got '65536'"),
        ("serve --port eighty", "", "--port must be an integer, got 'eighty'"),
        ("serve --port 0", "ANCHORAGE_PORT=x ANCHORAGE_MAX_MODEL_SECONDS=0", "MODEL_SECONDS must be more than 0"),
        ("doctor", "ANCHORAGE_MAX_ROWS=0", "ANCHORAGE_MAX_ROWS must be 1 or more, got '0'"),
        ("healthcheck", "ANCHORAGE_PORT=-1", "ANCHORAGE_PORT must be 0 or more, got '-1'"),
        ("healthcheck", "ANCHORAGE_MAX_MODEL_SECONDS=long", "must be a number, got 'long'"),
        ("key root", "", "admin"),
    ],
)
def test_a_fault_is_found_before_anything_starts(
    words: str, setting: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["anchorage", *words.split()])
    for assignment in setting.split():
        monkeypatch.setenv(*assignment.split("="))
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert hint in said
    assert "Input should" not in said


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "")),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# doctor


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Process:
    folder = tmp_path_factory.mktemp("doctor")
    store = open_store(f"sqlite:///{folder}/fresh.db")
    store.position("space")
    store.close()
    return anchorage(folder, "doctor", "--store", f"sqlite:///{folder}/fresh.db", max_rows="12345")


def test_doctor_exits_0_on_a_fresh_store(fresh: Process) -> None:
    assert (fresh.returncode, fresh.stderr) == (0, "")


@pytest.mark.parametrize(
    "label", ["versions", "device", "index", "store", "saved indexes", "bind", "keys", "access log", "methods"]
)
def test_doctor_prints(fresh: Process, label: str) -> None:
    assert re.search(rf"^\s*{label} +\S", fresh.stdout, re.MULTILINE)


@pytest.mark.parametrize("limit", [name for name in Settings.model_fields if name.startswith("max_")])
def test_doctor_prints_every_limit(fresh: Process, limit: str) -> None:
    assert re.search(rf"^\s*{limit} +[\d,.]+\s*$", fresh.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "fact",
    ["12,345", "fresh.db", "0 spaces, 0 translators, 0 heads, 0 collections", "torch", "faiss", "all is well"],
)
def test_doctor_prints_the_facts(fresh: Process, fact: str) -> None:
    assert fact in fresh.stdout


def test_doctor_names_what_looks_like_a_setting(tmp_path: Path, fresh: Process) -> None:
    assert "no setting" not in fresh.stdout
    assert re.search(
        r"no setting +ANCHORAGE_STROE: is it misspelt", anchorage(tmp_path, "doctor", stroe="x").stdout
    )


def test_doctor_makes_no_store_that_is_not_there(tmp_path: Path) -> None:
    done = anchorage(tmp_path, "doctor")
    assert (done.returncode, done.stderr) == (0, "")
    said = " ".join(done.stdout.split())
    assert "there is no store yet: `anchorage serve` makes one" in said
    assert f"{tmp_path}/data/anchorage.db does not exist yet" in said
    assert list(tmp_path.iterdir()) == []


def test_doctor_exits_1_where_no_store_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    done = anchorage(tmp_path, "doctor")
    assert (done.returncode, done.stderr) == (1, "")
    assert "the SQLite store 'data/anchorage.db' cannot be made" in done.stdout


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Process:
    """With a Redis that is not there."""
    store = f"redis://:secret@127.0.0.1:{free_port()}/0"
    return anchorage(tmp_path_factory.mktemp("doctor"), "doctor", "--store", store)


def test_doctor_exits_1_without_redis(down: Process) -> None:
    assert (down.returncode, down.stderr) == (1, "")


@pytest.mark.parametrize("fact", ["the Redis store does not answer", "not well"])
def test_doctor_says_what_is_wrong(down: Process, fact: str) -> None:
    assert fact in down.stdout


def test_doctor_prints_no_password(down: Process) -> None:
    assert "secret" not in down.stdout


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@127.0.0.1:6379/0",
        "redis://me:secret@[::1]:6379",
        "redis://127.0.0.1?password=secret",
        "unix://me:secret@/tmp/redis.sock",
        "unix:///tmp/redis.sock?password=secret",
    ],
)
def test_no_secret_is_shown(url: str) -> None:
    assert "secret" not in without_secrets(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:secret@cache/0", "redis://cache/0"),
        ("unix://me:secret@/tmp/redis.sock", "unix:///tmp/redis.sock"),
        ("redis://:secret@[::1]:6379", "redis://[::1]:6379"),
        ("sqlite:////srv/anchorage.db", "sqlite:////srv/anchorage.db"),
    ],
)
def test_the_place_of_the_store_is_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_doctor_prints_what_redis_risks(tmp_path: Path, new_redis) -> None:
    redis = new_redis("--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
    done = anchorage(tmp_path, "doctor", "--store", redis.url)
    risks = ("appendonly is no", "appendfsync is everysec", "maxmemory-policy is allkeys-lru")
    assert [risk for risk in risks if risk not in done.stdout] == []
    assert done.returncode == 0, done.stdout


# keys


@pytest.fixture(scope="module", params=["read", "write", "admin"])
def made(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    """Its scope, its text, and the setting."""
    first, second = run("key", request.param).output.splitlines()
    assert first.startswith("Authorization: Bearer ")
    assert second.startswith("ANCHORAGE_KEYS=")
    return request.param, first.removeprefix("Authorization: Bearer "), second.removeprefix("ANCHORAGE_KEYS=")


def test_a_key_and_its_hash_belong_together(made: tuple[str, str, str]) -> None:
    scope, text, setting = made
    assert Key.parse(setting) == Key(scope, hashlib.sha256(text.encode()).hexdigest())


def test_the_gate_lets_a_made_key_in(made: tuple[str, str, str]) -> None:
    scope, text, setting = made
    gate = Gate(lambda *_: None, Settings(), [Key.parse(setting)])
    request = {
        "method": "PUT",
        "path": "/v1/spaces/a",
        "headers": [(b"authorization", b"Bearer " + text.encode())],
    }
    gate.check_key({**request, "method": "GET"})
    if scope == "read":
        with pytest.raises(Forbidden, match="write"):
            gate.check_key(request)
    else:
        gate.check_key(request)


def test_no_key_is_made_twice() -> None:
    assert run("key").output != run("key").output


# a server with keys, which may bind any address


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    folder, port = tmp_path_factory.mktemp("keyed"), free_port()
    texts = {scope: f"the-{scope}-key" for scope in ("read", "write")}
    keys = ",".join(f"{scope}:{hashlib.sha256(text.encode()).hexdigest()}" for scope, text in texts.items())
    words = ("--host", "0.0.0.0", "--port", str(port), "--store", f"sqlite:///{folder}/store.db")
    with serving(folder, port, *words, keys=keys) as http:
        yield http, {scope: f"Bearer {text}" for scope, text in texts.items()}


@pytest.mark.parametrize(
    ("scope", "method", "status"),
    [
        ("read", "GET", 200),
        ("read", "PUT", 403),
        ("write", "GET", 200),
        ("write", "PUT", 201),
        ("none", "GET", 401),
    ],
)
def test_with_keys_the_server_is_open_to_them_only(
    keyed: tuple[httpx.Client, dict[str, str]], scope: str, method: str, status: int
) -> None:
    http, keys = keyed
    path, body = {"GET": ("/v1/spaces", None), "PUT": ("/v1/spaces/a", {"dim": 3})}[method]
    answer = http.request(method, path, json=body, headers={"authorization": keys.get(scope, "Bearer wrong")})
    assert answer.status_code == status


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/openapi.json"])
def test_with_keys_some_pages_stay_open(keyed: tuple[httpx.Client, dict[str, str]], path: str) -> None:
    assert keyed[0].get(path).status_code == 200


# healthcheck


@pytest.mark.parametrize(
    ("url", "why"), [("http://127.0.0.1:{port}", "Connection refused"), ("no url", "unknown url type")]
)
def test_healthcheck_exits_1_when_nothing_listens(tmp_path: Path, url: str, why: str) -> None:
    url = url.format(port=free_port())
    done = anchorage(tmp_path, "healthcheck", "--url", url)
    assert (done.returncode, done.stderr) == (1, "")
    assert re.fullmatch(f"{url} is not ready: .*{why}.*\n", done.stdout)


@pytest.mark.parametrize(
    ("answered", "why"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", "it answered 502"),
        (b"HTTP/1.1 503 Busy\r\n\r\n[1]", "it answered 503"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "it answered 204"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6"),
        (b"", "Remote end closed connection without response"),
    ],
    ids=["gateway", "no reasons", "empty", "no HTTP", "closed"],
)
def test_healthcheck_says_what_another_server_answered(answered: bytes, why: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            link, _ = server.accept()
            with link:
                link.recv(1000)
                link.sendall(answered)

        answering = threading.Thread(target=answer)
        answering.start()
        done = run("healthcheck", "--url", url)
        answering.join()
    assert (done.exit_code, done.output) == (1, f"{url} is not ready: {why}\n")


def test_healthcheck_exits_0_when_the_server_is_ready(tmp_path: Path) -> None:
    port = free_port()
    settings = {"port": str(port), "store": f"sqlite:///{tmp_path}/store.db"}
    with serving(tmp_path, port, stroe="x", **settings):
        done = anchorage(tmp_path, "healthcheck", **settings)
    assert "ANCHORAGE_STROE is no setting: is it misspelt?" in (tmp_path / "server.log").read_text()
    assert (done.returncode, done.stdout) == (0, f"http://127.0.0.1:{port} is ready\n")


def test_healthcheck_exits_1_when_the_server_is_not_ready(new_redis, tmp_path: Path) -> None:
    redis, port = new_redis(), free_port()
    settings = {"port": str(port), "store": redis.url}
    with serving(tmp_path, port, **settings):
        redis.kill()
        done = anchorage(tmp_path, "healthcheck", **settings)
    assert (done.returncode, done.stderr) == (1, "")
    assert "is not ready: it answered 503, store: the Redis store does not answer" in done.stdout


def test_a_taken_port_exits_2_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = anchorage(tmp_path, "serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot be bound" in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_unknown_scope_exits_2_with_the_choices(tmp_path: Path) -> None:
    done = anchorage(tmp_path, "key", "everything")
    assert done.returncode == 2
    assert "['read', 'write', 'admin'], got 'everything'" in done.stderr
