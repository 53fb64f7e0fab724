"""milvus-lite, in a process of the peers' environment, asked over a socket: see milvus_process.py."""

from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from benchmarks.retrieval.points import Vectors
from benchmarks.retrieval.process import Process
from benchmarks.retrieval.system import Ids

PROGRAM = Path(__file__).with_name("milvus_process.py")


class Milvus:
    """HNSW with the numbers that Chroma takes."""

    name = "milvus-lite"
    efforts = (10, 20, 40, 80, 160, 320, 640)  # ef

    def __init__(self, folder: Path, peers: Path) -> None:
        self.socket = folder / "milvus.socket"
        command = [str(peers / "bin/python"), str(PROGRAM), str(self.socket), str(folder / "milvus.db")]
        self.connection: Connection | None = None
        self.process = Process(command, folder / "milvus.log", self.count)

    def write(self, ids: range, vectors: Vectors) -> None:
        self.ask("write", ids, vectors)

    def settle(self) -> None:
        self.ask("settle")
        self.process.rest()

    def spend(self, effort: int) -> None:
        self.ask("spend", effort)

    def search(self, queries: Vectors, k: int, part: int | None) -> Ids:
        found: Ids = self.ask("search", queries, k, part)
        return found

    @property
    def megabytes(self) -> float:
        return self.process.megabytes()

    def count(self) -> int:
        return int(self.ask("count"))

    def ask(self, verb: str, *arguments: Any) -> Any:
        try:
            self.connection = self.connection or Client(str(self.socket))
            self.connection.send((verb, arguments))
            return self.connection.recv()
        except (OSError, EOFError) as error:
            self.connection = None  # the next call makes another
            raise ConnectionError(f"milvus-lite is gone: {error}") from error
