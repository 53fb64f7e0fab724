"""`application/vnd.apache.arrow.stream`: one table with the columns id, vector, payload."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from app.api.codecs.base import Fields, matrix
from app.errors import InvalidVectors, MalformedBody

COLUMNS = {"id": "ids", "vector": "vectors", "payload": "payloads"}


class ArrowCodec:
    """Payloads are structs or JSON text. Other fields are query parameters in, schema metadata out."""

    media_type = "application/vnd.apache.arrow.stream"

    def decode(self, body: bytes, query: Mapping[str, Any]) -> Fields:
        try:
            with pa.ipc.open_stream(body) as stream:
                table = stream.read_all()
            table.validate(full=True)
        except (pa.ArrowException, OSError) as error:
            raise MalformedBody(f"the body is not an Arrow stream: {error}") from error
        unknown = sorted(set(table.column_names) - set(COLUMNS))
        if unknown or len(set(table.column_names)) < len(table.column_names):
            raise MalformedBody(f"the columns must be among {list(COLUMNS)}, each once, got {table.column_names}")
        read = {"id": ids_of, "vector": vectors_of, "payload": payloads_of}
        columns = {COLUMNS[name]: read[name](table[name].combine_chunks()) for name in table.column_names}
        return {**query, **columns}

    def encode(self, fields: Fields) -> tuple[bytes, dict[str, str]]:
        columns = hits(fields["results"]) if "results" in fields else rows(fields)
        others = {k: v for k, v in fields.items() if k not in (*COLUMNS.values(), "results")}
        table = pa.table(columns).replace_schema_metadata({k: orjson.dumps(v) for k, v in others.items()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return sink.getvalue().to_pybytes(), {}


def ids_of(column: pa.Array) -> list[Any]:
    return list(column.to_pylist())


def vectors_of(column: pa.Array) -> NDArray[np.float32]:
    """From fixed-size or plain lists of numbers. InvalidVectors for nulls and ragged rows."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or is_fixed(column)):
        raise InvalidVectors(f"column vector must hold lists of numbers, got {column.type}", got=str(column.type))
    if column.null_count or column.flatten().null_count:
        raise InvalidVectors("column vector has nulls: every row needs all its numbers")
    widths = column.value_lengths().to_numpy(zero_copy_only=False)
    if len(widths) and (widths != widths[0]).any():
        row = int((widths != widths[0]).argmax())
        raise InvalidVectors(f"row {row} has {widths[row]} numbers, row 0 has {widths[0]}", row=row)
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    return matrix(numbers.reshape(len(column), -1 if len(column) else 0))


def is_fixed(column: pa.Array) -> bool:
    return bool(pa.types.is_fixed_size_list(column.type))


def payloads_of(column: pa.Array) -> list[Any]:
    payloads = column.to_pylist()
    try:
        return [orjson.loads(payload) if isinstance(payload, str) else payload for payload in payloads]
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"column payload has text that is not JSON: {error}") from error


def rows(fields: Fields) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    if "ids" in fields:
        columns["id"] = pa.array(fields["ids"], pa.string())
    if "vectors" in fields:
        columns["vector"] = vector_column(fields["vectors"])
    if "payloads" in fields:
        columns["payload"] = pa.array([text(payload) for payload in fields["payloads"]], pa.string())
    return columns


def hits(results: list[list[dict[str, Any]]]) -> dict[str, pa.Array]:
    """One row per hit: the query's number, id, score, and what else was asked for."""
    flat = [hit for result in results for hit in result]
    columns = {
        "query": pa.array([number for number, result in enumerate(results) for _ in result], pa.int32()),
        "id": pa.array([hit["id"] for hit in flat], pa.string()),
        "score": pa.array([hit["score"] for hit in flat], pa.float32()),
    }
    if flat and "payload" in flat[0]:
        columns["payload"] = pa.array([text(hit["payload"]) for hit in flat], pa.string())
    if flat and "vector" in flat[0]:
        columns["vector"] = vector_column(np.stack([hit["vector"] for hit in flat]))
    return columns


def vector_column(vectors: NDArray[np.float32]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])


def text(payload: Any) -> str | None:
    return None if payload is None else orjson.dumps(payload).decode()
