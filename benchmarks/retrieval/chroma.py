"""Chroma's own server, over its HTTP API."""

from base64 import b64encode
from pathlib import Path

import numpy as np
import orjson

from app.demo.server import free_port
from benchmarks.retrieval.points import DIM, PARTS, Vectors
from benchmarks.retrieval.process import Http, Process
from benchmarks.retrieval.system import Ids

COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"


class Chroma:
    """HNSW with its own numbers."""

    name = "Chroma"
    efforts = (10, 20, 50, 100, 200, 400, 800)  # ef_search; 100 is its default

    def __init__(self, folder: Path, peers: Path) -> None:
        self.http = Http(port := free_port())
        command = [str(peers / "bin/chroma"), "run", "--path", str(folder / "chroma")]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        self.process = Process(command, folder / "chroma.log", lambda: self.http.ask("GET", "/api/v2/heartbeat"))
        wanted = {"name": "bench", "configuration": {"hnsw": {"space": "cosine"}}}
        self.here = f"{COLLECTIONS}/{orjson.loads(self.http.ask('POST', COLLECTIONS, orjson.dumps(wanted)))['id']}"

    def write(self, ids: range, vectors: Vectors) -> None:
        body = {
            "ids": [str(id_) for id_ in ids],
            "embeddings": [b64encode(row.tobytes()).decode() for row in vectors],
            "metadatas": [{"part": id_ % PARTS} for id_ in ids],
        }
        self.http.ask("POST", f"{self.here}/upsert", orjson.dumps(body))

    def settle(self) -> None:
        self.search(np.ones((1, DIM), np.float32), 1, None)  # the first one takes in what was written last
        self.process.rest()

    def spend(self, effort: int) -> None:
        """It reads the number when it opens the collection."""
        self.http.ask("PUT", self.here, orjson.dumps({"new_configuration": {"hnsw": {"ef_search": effort}}}))
        self.process.stop()
        self.process.start()

    def search(self, queries: Vectors, k: int, part: int | None) -> Ids:
        body = {"query_embeddings": queries, "n_results": k, "include": ["distances"]}
        if part is not None:
            body["where"] = {"part": part}
        answer = self.http.ask("POST", f"{self.here}/query", orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))
        return [[int(id_) for id_ in ids] for ids in orjson.loads(answer)["ids"]]

    @property
    def megabytes(self) -> float:
        return self.process.megabytes()

    def count(self) -> int:
        return int(self.http.ask("GET", f"{self.here}/count"))
