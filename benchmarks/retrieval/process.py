"""A server in a process of its own, and a light HTTP client of it."""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from httptools import HttpResponseParser

PATIENCE = 600.0  # seconds for a start
AT_ONCE = 2**16  # bytes that are read
IDLE = 0.1  # of a core


class Process:
    """Started, measured, killed and started again; what it says goes to `log`."""

    def __init__(self, command: list[str], log: Path, answers: Callable[[], object]) -> None:
        self.command, self.log, self.answers = command, log, answers
        self.start()

    def start(self) -> None:
        """Until it answers."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANCHORAGE_")}
        with self.log.open("a") as output:
            self.popen = subprocess.Popen(self.command, stdout=output, stderr=output, env=environment)  # noqa: S603
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.popen.poll() is None:
            try:
                self.answers()
                return
            except (OSError, Refused):
                time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"{self.command[0]} does not answer: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> None:
        self.popen.terminate()
        self.popen.wait()

    def megabytes(self) -> float:
        """Resident."""
        pages = int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def rest(self) -> None:
        """Until it does nothing more behind the answers."""
        before, seconds = 0.0, IDLE + 1
        while seconds - before > IDLE:
            before = self.seconds()
            time.sleep(1)
            seconds = self.seconds()

    def seconds(self) -> float:
        """That it computed, so far."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Refused(RuntimeError):
    """An answer that is an error."""


class Answer:
    """What the parser tells of one."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.is_whole = False

    def on_body(self, part: bytes) -> None:
        self.parts.append(part)

    def on_message_complete(self) -> None:
        self.is_whole = True


class Http:
    """One connection that is kept; what is sent and what comes are bytes.

    Parsed in C: Python's own client would add a quarter of a millisecond of its own to what a server needs.
    """

    def __init__(self, port: int) -> None:
        self.address = "127.0.0.1", port
        self.socket: socket.socket | None = None

    def ask(self, verb: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        try:
            return self._ask(verb, path, body, kind)
        except OSError:  # servers close what was quiet for long
            self.socket = None
            return self._ask(verb, path, body, kind)

    def _ask(self, verb: str, path: str, body: bytes, kind: str) -> bytes:
        self.socket = self.socket or socket.create_connection(self.address, PATIENCE)
        head = (
            f"{verb} {path} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
        )
        self.socket.sendall("\r\n".join((*head, "", "")).encode() + body)
        parser = HttpResponseParser(answer := Answer())
        while not answer.is_whole:
            if not (data := self.socket.recv(AT_ONCE)):
                raise ConnectionResetError("the server has closed the connection")
            parser.feed_data(data)
        if parser.get_status_code() >= 400:
            raise Refused(f"{verb} {path}: {parser.get_status_code()} {b''.join(answer.parts)[:500]!r}")
        return b"".join(answer.parts)
