"""Arrow bodies: columns of any real numbers, payloads, and what is no matrix."""

import math

import numpy as np
import pyarrow as pa
import pytest

from app.api.codecs import CODECS
from app.api.codecs.arrow import COLUMNS
from app.errors import InvalidVectors, MalformedBody
from tests.app.api.codecs.conftest import ARROW, NPY, arrow_bytes, decoded, npy_bytes, refused

# Round trips

ROWS = [[1, 2], [3, 4]]
VECTOR_TYPES = [
    pa.list_(pa.float32()),
    pa.list_(pa.float64()),
    pa.large_list(pa.float32()),
    pa.list_(pa.float32(), 2),
    pa.list_(pa.int16()),
]


@pytest.mark.parametrize("kind", VECTOR_TYPES, ids=str)
def test_arrow_lists_of_any_real_numbers_are_read(kind):
    np.testing.assert_array_equal(decoded(ARROW, arrow_bytes(vector=pa.array(ROWS, kind))), ROWS)


def test_arrow_lists_of_half_precision_are_read():
    halves = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(4, dtype=np.float16)), 2)
    np.testing.assert_array_equal(decoded(ARROW, arrow_bytes(vector=halves)), [[0, 1], [2, 3]])


@pytest.mark.parametrize("kind", VECTOR_TYPES, ids=str)
def test_an_arrow_stream_of_several_batches_is_one_matrix(kind):
    table = pa.table({"id": list("pqr"), "vector": pa.array([[9, 9], [1, 2], [3, 4]], kind)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        for batch in (table.slice(1, 1), table.slice(2, 1)):
            stream.write_table(batch)
    fields = CODECS[ARROW].decode(sink.getvalue().to_pybytes(), {})
    assert fields["ids"] == ["q", "r"]
    np.testing.assert_array_equal(fields["vectors"], ROWS)


@pytest.mark.parametrize("payload", [{"a": 1}, {}, None, {"ü": [1, {"b": None}]}])
def test_arrow_payloads_come_back(payload):
    fields = {"ids": ["x"], "vectors": np.ones((1, 2), np.float32), "payloads": [payload]}
    body, _ = CODECS[ARROW].encode(fields)
    assert CODECS[ARROW].decode(body, {})["payloads"] == [payload]


def test_arrow_metadata_holds_the_other_fields():
    body, _ = CODECS[ARROW].encode({"vectors": np.ones((1, 2), np.float32), "version": 3, "cursor": None})
    metadata = pa.ipc.open_stream(body).schema.metadata
    assert metadata == {b"version": b"3", b"cursor": b"null"}


def test_a_query_parameter_does_not_replace_a_column():
    assert CODECS[NPY].decode(npy_bytes(np.eye(2)), {"vectors": "no"})["vectors"].shape == (2, 2)


# Bad Arrow


@pytest.mark.parametrize("cut", [0, 1, 4, 8, 100, 0.5, 0.9])
def test_a_truncated_arrow_stream_is_malformed(cut):
    body = arrow_bytes(id=list("ab"), vector=[[1.0, 2.0], [3.0, 4.0]])
    refused(ARROW, body[: int(cut * len(body)) if isinstance(cut, float) else cut], MalformedBody)


@pytest.mark.parametrize("name", [b"vector", b"payload", b"member"])
def test_an_arrow_name_that_is_no_utf8_is_malformed(name):
    body = arrow_bytes(vector=[[1.0, 2.0]], payload=[{"member": 1}])
    assert name in body
    refused(ARROW, body.replace(name, b"\xff" + name[1:]), MalformedBody)


@pytest.mark.parametrize("column", COLUMNS)
def test_an_arrow_column_of_another_type_may_have_any_name_within(column):
    body = arrow_bytes(**{column: [[{"member": 1}]]})
    refused(ARROW, body.replace(b"member", b"\xffember"), InvalidVectors if column == "vector" else MalformedBody)


def test_an_arrow_file_is_not_a_stream():
    table = pa.table({"vector": [[1.0]]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    refused(ARROW, sink.getvalue().to_pybytes(), MalformedBody)


@pytest.mark.parametrize("column", ["vectors", "ids", "Vector", ""])
def test_an_unknown_arrow_column_is_malformed(column):
    refused(ARROW, arrow_bytes(vector=[[1.0]], **{column: [1]}), MalformedBody)


def test_an_arrow_column_twice_is_malformed():
    table = pa.Table.from_arrays([pa.array([[1.0]])] * 2, names=["vector", "vector"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    refused(ARROW, sink.getvalue().to_pybytes(), MalformedBody)


BAD_VECTORS = {
    "a null row": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32())),
    "a null row of fixed size": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)),
    "a null number": pa.array([[1, 2], [1, None], [3, 4]], pa.list_(pa.float32())),
    "a null number of fixed size": pa.array([[1, 2], [1, None], [3, 4]], pa.list_(pa.float32(), 2)),
    "too short": pa.array([[1, 2], [1], [3, 4]], pa.list_(pa.float32())),
    "too long": pa.array([[1, 2], [1, 2, 3], [3, 4]], pa.list_(pa.float32())),
    "empty": pa.array([[1, 2], [], [3, 4]], pa.list_(pa.float32())),
    "NaN": pa.array([[1, 2], [1, math.nan], [3, 4]], pa.list_(pa.float32())),
}


@pytest.mark.parametrize("column", BAD_VECTORS.values(), ids=BAD_VECTORS)
def test_a_bad_arrow_row_is_named(column):
    assert refused(ARROW, arrow_bytes(vector=column)).facts["row"] == 1


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, 2.0]),
        pa.array(["1", "2"]),
        pa.array([None, None]),
        pa.array([["1"], ["2"]]),
        pa.array([[True], [False]]),
        pa.array([[[1.0]], [[2.0]]]),
        pa.array([[{"a": 1}]]),
        pa.array([b"1234"], pa.binary(4)),
        pa.array([], pa.list_(pa.float32())),
        pa.array([], pa.list_(pa.float32(), 3)),
        pa.array([[], []], pa.list_(pa.float32())),
        pa.array([[], []], pa.list_(pa.float32(), 0)),
        pa.array([[1]], pa.list_(pa.decimal128(5))),
        pa.array([[1]], pa.list_(pa.timestamp("s"))),
        pa.array([[1]], pa.list_(pa.duration("s"))),
        pa.array([[None]], pa.list_(pa.null())),
        pa.array([[b"1"]], pa.list_(pa.binary())),
    ],
    ids=lambda column: str(column.type),
)
def test_an_arrow_column_that_is_no_matrix_is_refused(column):
    refused(ARROW, arrow_bytes(vector=column))


@pytest.mark.parametrize(
    "payload",
    [
        pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["twice", "twice"]),
        pa.array([{"at": 1}], pa.struct({"at": pa.timestamp("ns")})),
    ],
    ids=["two of a name", "nanoseconds"],
)
def test_an_arrow_payload_that_python_cannot_hold_is_malformed(payload):
    refused(ARROW, arrow_bytes(vector=[[1.0]], payload=payload), MalformedBody)


def test_an_arrow_payload_that_is_no_json_is_malformed():
    refused(ARROW, arrow_bytes(vector=[[1.0]], payload=["{"]), MalformedBody)
