"""We, over HTTP: vectors as .npy and Arrow, hits as JSON."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import orjson
import pyarrow as pa

from app.demo.server import free_port
from benchmarks.retrieval.points import DIM, PARTS, Vectors
from benchmarks.retrieval.process import Http, Process
from benchmarks.retrieval.system import Ids

HERE = "/v1/collections/bench"


class Anchorage:
    """A process with a store of its own; its index sets the effort."""

    name = "Anchorage"
    efforts: Sequence[int] = ()

    def __init__(self, folder: Path, index: str) -> None:
        self.http = Http(port := free_port())
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
        command += ["--store", f"sqlite:///{folder}/anchorage.db"]
        self.process = Process(command, folder / "anchorage.log", lambda: self.http.ask("GET", "/readyz"))
        self.http.ask("PUT", "/v1/spaces/bench", orjson.dumps({"dim": DIM}))
        self.http.ask("PUT", HERE, orjson.dumps({"space": "bench", "index": index}))

    def write(self, ids: range, vectors: Vectors) -> None:
        rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIM)
        parts = pa.StructArray.from_arrays([pa.array([id_ % PARTS for id_ in ids])], ["part"])
        table = pa.table({"id": pa.array(ids, pa.int64()), "vector": rows, "payload": parts})
        with pa.ipc.new_stream(sink := io.BytesIO(), table.schema) as stream:
            stream.write_table(table)
        self.http.ask("PUT", f"{HERE}/points", sink.getvalue(), "application/vnd.apache.arrow.stream")

    def settle(self) -> None:
        self.search(np.ones((1, DIM), np.float32), 1, None)  # the first one takes in what was written last
        self.process.rest()

    def spend(self, effort: int) -> None:
        raise NotImplementedError(f"an index of ours takes {self.status['effort']}, not {effort}")

    def search(self, queries: Vectors, k: int, part: int | None) -> Ids:
        fields = {"k": k}
        if part is not None:
            fields |= {"filter": orjson.dumps({"must": [{"key": "part", "match": {"value": part}}]}).decode()}
        np.save(body := io.BytesIO(), queries)
        answer = self.http.ask("POST", f"{HERE}/search?{urlencode(fields)}", body.getvalue(), "application/x-npy")
        return [[hit["id"] for hit in hits] for hits in orjson.loads(answer)["results"]]

    @property
    def megabytes(self) -> float:
        return self.process.megabytes()

    def count(self) -> int:
        return int(orjson.loads(self.http.ask("POST", f"{HERE}/points/count", b"{}"))["count"])

    @property
    def status(self) -> dict[str, Any]:
        """Of the index."""
        found: dict[str, Any] = orjson.loads(self.http.ask("GET", HERE))["index_status"]
        return found
