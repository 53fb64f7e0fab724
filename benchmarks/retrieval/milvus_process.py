"""Run by the peers' Python: `milvus_process.py SOCKET FILE` answers (verb, arguments), one after the other."""

import sys
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

from pymilvus import DataType, MilvusClient

DIM, PARTS = 384, 100
GRAPH = {"M": 16, "efConstruction": 100}


class Collection:
    """Made, or found in the file."""

    def __init__(self, file: str) -> None:
        self.client, self.effort = MilvusClient(file), 10
        if not self.client.has_collection("bench"):
            schema = self.client.create_schema(auto_id=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
            schema.add_field("part", DataType.INT64)
            index = self.client.prepare_index_params()
            index.add_index("vector", index_type="HNSW", metric_type="COSINE", params=GRAPH)
            self.client.create_collection("bench", schema=schema, index_params=index)
        self.client.load_collection("bench")

    def write(self, ids: range, vectors: Any) -> None:
        points = zip(ids, vectors, strict=True)
        self.client.upsert("bench", [{"id": id_, "vector": row, "part": id_ % PARTS} for id_, row in points])

    def settle(self) -> None:
        self.client.flush("bench")
        self.client.load_collection("bench")

    def spend(self, effort: int) -> None:
        self.effort = effort

    def search(self, queries: Any, k: int, part: int | None) -> list[list[int]]:
        found = self.client.search(
            "bench",
            data=list(queries),
            limit=k,
            filter="" if part is None else f"part == {part}",
            search_params={"params": {"ef": self.effort}},
            output_fields=["id"],
        )
        return [[hit["id"] for hit in hits] for hits in found]

    def count(self) -> int:
        return int(self.client.query("bench", filter="", output_fields=["count(*)"])[0]["count(*)"])


def main() -> None:
    socket, file = sys.argv[1:]
    collection = Collection(file)
    Path(socket).unlink(missing_ok=True)  # of one that was killed
    with Listener(socket) as listener:
        while True:
            with listener.accept() as connection:
                answer(connection, collection)


def answer(connection: Any, collection: Collection) -> None:
    while True:
        try:
            verb, arguments = connection.recv()
        except EOFError:
            return
        connection.send(getattr(collection, verb)(*arguments))


if __name__ == "__main__":
    main()
