"""A real server as a process of its own, and a small HTTP client of it."""

import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2 as httpx
import numpy as np
from numpy.typing import NDArray

START_SECONDS = 60
ROWS_A_CALL = 2000

Vectors = NDArray[np.float32]


class ServerFailed(RuntimeError):
    """The server did not start; the message holds the end of its log."""


class Client:
    """What the demo asks of the service, over HTTP."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def ask(self, verb: str, path: str, /, **body: Any) -> Any:
        answer = self.http.request(verb, path, json=body or None)
        if answer.is_error:
            raise RuntimeError(f"{verb} {path}: {answer.text}")
        return answer.json()

    def put_space(self, name: str, ids: list[str], anchors: Vectors) -> None:
        anchors_body = {"ids": ids, "vectors": packed(anchors)}
        self.ask("PUT", f"/v1/spaces/{name}", dim=anchors.shape[1], anchors=anchors_body)

    def put_collection(self, name: str, space: str, ids: list[str], vectors: Vectors, payloads: list[Any]) -> None:
        self.ask("PUT", f"/v1/collections/{name}", space=space)
        for start in range(0, len(ids), ROWS_A_CALL):
            cut = slice(start, start + ROWS_A_CALL)
            batch = {"ids": ids[cut], "vectors": packed(vectors[cut]), "payloads": payloads[cut]}
            self.ask("PUT", f"/v1/collections/{name}/points", **batch)

    def search(self, collection: str, queries: Vectors, k: int, space: str | None = None) -> list[list[Any]]:
        """Per query its hits. Without `space` the queries pass for vectors of the collection's own."""
        body = {"vectors": packed(queries), "k": k} | ({"space": space} if space else {})
        results: list[list[Any]] = self.ask("POST", f"/v1/collections/{collection}/search", **body)["results"]
        return results


def packed(vectors: Vectors) -> dict[str, Any]:
    """The binary form of a matrix in JSON."""
    data = b64encode(np.ascontiguousarray(vectors, "<f4").tobytes()).decode()
    return {"base64": data, "dtype": "<f4", "shape": list(vectors.shape)}


@contextmanager
def running_server() -> Iterator[Client]:
    """Starts it on a free port with a store in a temporary folder; stops it at the end."""
    with TemporaryDirectory(prefix="anchorage-demo-") as folder:
        url, log = f"http://127.0.0.1:{(port := free_port())}", Path(folder) / "server.log"
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
        command += ["--host", "127.0.0.1", "--store", f"sqlite:///{folder}/demo.db"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ANCHORAGE_")}
        with (
            log.open("w") as output,
            subprocess.Popen(command, stdout=output, stderr=output, env=environment) as server,  # noqa: S603
        ):
            try:
                wait_until_ready(url, server, log)
                with httpx.Client(base_url=url, timeout=300, trust_env=False) as http:
                    yield Client(http)
            finally:
                server.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise ServerFailed(f"the server did not start:\n{log.read_text()[-2000:]}")
