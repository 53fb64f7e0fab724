"""`application/vnd.apache.arrow.stream`: one table with the columns id, vector, payload."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from app.api.codecs.base import Fields, matrix
from app.errors import InvalidInput, InvalidVectors, MalformedBody

OPTIONS = orjson.OPT_SERIALIZE_NUMPY
COLUMNS = {"id": "ids", "vector": "vectors", "payload": "payloads"}


class ArrowCodec:
    """Payloads are structs or JSON text. Other fields are query parameters in, schema metadata out."""

    media_type = "application/vnd.apache.arrow.stream"

    def decode(self, body: bytes, query: Mapping[str, Any]) -> Fields:
        try:
            check_messages(body)
            with pa.ipc.open_stream(body) as stream:
                table = stream.read_all()
            table.validate(full=True)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of names of columns
            raise MalformedBody(f"the body is not an Arrow stream: {error}") from error
        if table.num_rows > len(body):
            raise MalformedBody(f"{table.num_rows} rows cannot lie in a body of {len(body)} bytes")
        unknown = sorted(set(table.column_names) - set(COLUMNS))
        if unknown or len(set(table.column_names)) < len(table.column_names):
            raise MalformedBody(f"the columns must be among {list(COLUMNS)}, each once, got {table.column_names}")
        read = {"id": ids_of, "vector": vectors_of, "payload": payloads_of}
        columns = {COLUMNS[name]: read[name](table[name].combine_chunks()) for name in table.column_names}
        if twice := sorted(query.keys() & columns.keys()):
            raise InvalidInput(
                f"{twice} came as columns and as query parameters: give each in one place", got=twice
            )
        return {**query, **columns}

    def encode(self, fields: Fields) -> tuple[bytes, dict[str, str]]:
        tables = [name for name in TABLES if name in fields]
        columns = TABLES[tables[0]](fields[tables[0]]) if tables else rows(fields)
        inside = tables or WRITTEN
        others = {k: orjson.dumps(v, option=OPTIONS) for k, v in fields.items() if k not in inside}
        table = pa.table(columns).replace_schema_metadata(others)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return sink.getvalue().to_pybytes(), {}


def check_messages(body: bytes) -> None:
    """Compressed and dictionary-encoded columns could unfold to far more than the body's limit."""
    for message in pa.ipc.MessageReader.open_stream(body):
        if message.type == "dictionary" or (message.type == "record batch" and compressed(message)):
            raise MalformedBody("compressed or dictionary-encoded Arrow columns are not read: send them plain")


def compressed(message: pa.ipc.Message) -> bool:
    """Whether Message.header.compression is set (Arrow's Message.fbs: fields 2 and 3 of their tables)."""
    data = message.metadata.to_pybytes()
    header = field_of(data, int.from_bytes(data[:4], "little"), 2)
    table = header + int.from_bytes(data[header : header + 4], "little")
    return field_of(data, table, 3) > 0


def field_of(data: bytes, table: int, number: int) -> int:
    """Where a field of a flatbuffers table begins, 0 if it is not set; pyarrow has verified the offsets."""
    vtable = table - int.from_bytes(data[table : table + 4], "little", signed=True)
    slot = vtable + 4 + 2 * number
    inside = slot < vtable + int.from_bytes(data[vtable : vtable + 2], "little")
    offset = int.from_bytes(data[slot : slot + 2], "little") if inside else 0
    return table + offset if offset else 0


def ids_of(column: pa.Array) -> list[Any]:
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise MalformedBody(f"column id must hold texts or integers, got {kind}")
    return list(column.to_pylist())


def vectors_of(column: pa.Array) -> NDArray[np.float32]:
    """From fixed-size or plain lists of numbers. InvalidVectors for nulls and ragged rows."""
    lists = pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or is_fixed(column)
    if not lists or not is_number(column.type.value_type):
        raise InvalidVectors(f"column vector must hold lists of numbers, got {column.type}", got=str(column.type))
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise InvalidVectors(f"row {row} is null: every row needs a vector", row=row)
    widths = column.value_lengths().to_numpy(zero_copy_only=False)
    if column.flatten().null_count:
        row = int(np.searchsorted(widths.cumsum(), column.flatten().is_null().index(True).as_py(), side="right"))
        raise InvalidVectors(f"row {row} has a null among its numbers", row=row)
    if len(widths) and (widths != widths[0]).any():
        row = int((widths != widths[0]).argmax())
        raise InvalidVectors(f"row {row} has {widths[row]} numbers, row 0 has {widths[0]}", row=row)
    numbers = column.flatten().to_numpy(zero_copy_only=False)
    return matrix(numbers.reshape(len(column), -1 if len(column) else 0))


def is_fixed(column: pa.Array) -> bool:
    return bool(pa.types.is_fixed_size_list(column.type))


def is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def payloads_of(column: pa.Array) -> list[Any]:
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_struct(kind)):
        raise MalformedBody(f"column payload must hold structs or JSON texts, got {kind}")
    try:
        payloads = column.to_pylist()
    except (OverflowError, ValueError) as error:
        raise MalformedBody(f"column payload holds what JSON cannot say: {error}") from error
    return [payload_of(payload, row) for row, payload in enumerate(payloads)]


def payload_of(payload: Any, row: int) -> Any:
    try:
        if not isinstance(payload, str):
            json.dumps(payload, allow_nan=False)  # a struct may hold what JSON cannot say
            return payload
        return orjson.loads(payload)
    except (ValueError, TypeError) as error:
        raise MalformedBody(f"row {row}: its payload is not JSON: {error}", row=row) from error


def rows(fields: Fields) -> dict[str, pa.Array]:
    """One row a vector."""
    there = {field: column for field, column in WRITTEN.items() if fields.get(field) is not None}
    return {name: write(fields[field]) for field, (name, write) in there.items()}


def hits(results: list[list[dict[str, Any]]]) -> dict[str, pa.Array]:
    """One row per hit: the query's number, and what it carries."""
    numbers = [number for number, result in enumerate(results) for _ in result]
    flat = [hit for result in results for hit in result]
    return {"query": pa.array(numbers, pa.int32()), **points(flat, ("id", "score"))}


def points(found: list[dict[str, Any]], at_least: Sequence[str] = ("id",)) -> dict[str, pa.Array]:
    """One row each; all carry the same."""
    names = [name for name in VALUES if name in (found[0] if found else at_least)]
    return {name: VALUES[name]([point[name] for point in found]) for name in names}


def id_column(ids: list[str] | list[int]) -> pa.Array:
    return pa.array(ids, None if ids else pa.string())


def texts(values: list[Any]) -> pa.Array:
    """JSON."""
    return pa.array([text(value) for value in values], pa.string())


def numbers(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.float32())


def vector_column(vectors: Any) -> pa.Array:
    """Rows (n, d) of equal width."""
    vectors = np.asarray(vectors, np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])


def tensor_column(outputs: NDArray[np.float32]) -> pa.Array:
    """outputs (n, ...): vectors where there is one more axis, else fixed-shape tensors."""
    if outputs.ndim == 2:
        return vector_column(outputs)
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(outputs))


def text_column(texts: list[str | None]) -> pa.Array:
    return pa.array(texts, pa.string())


def text(payload: Any) -> str | None:
    return None if payload is None else orjson.dumps(payload).decode()


VALUES: Mapping[str, Callable[[list[Any]], pa.Array]] = {  # what a hit or a point carries
    "id": id_column,
    "score": numbers,
    "calibrated_score": numbers,
    "payload": texts,
    "vector": vector_column,
    "origin": texts,
}
TABLES: Mapping[str, Callable[..., dict[str, pa.Array]]] = {"results": hits, "points": points}
WRITTEN: Mapping[str, tuple[str, Callable[[Any], pa.Array]]] = {  # other fields that are columns, and their names
    "ids": ("id", id_column),
    "vectors": ("vector", vector_column),
    "payloads": ("payload", texts),
    "confidence": ("confidence", numbers),
    "labels": ("label", text_column),
    "probabilities": ("probabilities", tensor_column),
    "outputs": ("output", tensor_column),
    "top": ("top", pa.array),
}
