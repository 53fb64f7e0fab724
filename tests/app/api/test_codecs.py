"""Every codec: round trips, and the error for every kind of matrix that is none."""

import io
import math
from base64 import b64encode
from contextlib import suppress

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.api.codecs import CODECS, reader, writer
from app.api.codecs.json import to_base64
from app.errors import InvalidVectors, MalformedBody, NotAcceptable, UnsupportedMediaType

JSON, NPY, ARROW = CODECS
FLOATS = {"min_value": -(2.0**50), "max_value": 2.0**50, "allow_nan": False}
unhurried = settings(deadline=None)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)


def matrices(width=32):
    return hnp.arrays(f"<f{width // 8}", SHAPES, elements=st.floats(**FLOATS, width=width))


def npy_bytes(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def arrow_bytes(**columns):
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def json_bytes(text):
    """A body whose vectors are `text`."""
    return f'{{"vectors": {text}}}'.encode()


def decoded(media_type, body):
    return CODECS[media_type].decode(body, {})["vectors"]


def refused(media_type, body, error=InvalidVectors):
    with pytest.raises(error) as caught:
        CODECS[media_type].decode(body, {})
    return caught.value


# Round trips


@pytest.mark.parametrize("media_type", CODECS)
@unhurried
@given(x=matrices())
def test_a_matrix_comes_back_exactly(media_type, x):
    body, _ = CODECS[media_type].encode({"vectors": x})
    got = decoded(media_type, body)
    assert (got.dtype, got.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(got, x)


@unhurried
@given(x=matrices())
def test_a_matrix_in_base64_comes_back_exactly(x):
    np.testing.assert_array_equal(decoded(JSON, orjson.dumps({"vectors": to_base64(x)})), x)


@unhurried
@given(x=matrices(64))
def test_double_precision_is_rounded_to_single(x):
    body = {"base64": b64encode(x.tobytes()).decode(), "dtype": "<f8", "shape": x.shape}
    np.testing.assert_array_equal(decoded(JSON, orjson.dumps({"vectors": body})), x.astype(np.float32))


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8", "<i4", "|i1", "<u8", "|u1", "<g"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_real_numbers_is_read(dtype, order):
    x = np.asarray(np.arange(6).reshape(2, 3), dtype, order=order)
    np.testing.assert_array_equal(decoded(NPY, npy_bytes(x)), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_npy_of_both_versions_is_read(version):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.eye(2), version=version)
    np.testing.assert_array_equal(decoded(NPY, buffer.getvalue()), np.eye(2))


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


@pytest.mark.parametrize("media_type", [NPY, ARROW])
def test_query_parameters_are_the_other_fields_of_a_binary_body(media_type):
    body, _ = CODECS[media_type].encode({"vectors": np.ones((1, 2), np.float32)})
    assert CODECS[media_type].decode(body, {"k": "3"})["k"] == "3"


def test_a_query_parameter_does_not_replace_a_column():
    assert CODECS[NPY].decode(npy_bytes(np.eye(2)), {"vectors": "no"})["vectors"].shape == (2, 2)


@pytest.mark.parametrize("dtype", [{}, {"dtype": "<f4"}])
def test_base64_means_single_precision_unless_told(dtype):
    body = {"base64": b64encode(np.ones((1, 2), "<f4").tobytes()).decode(), "shape": [1, 2], **dtype}
    assert decoded(JSON, orjson.dumps({"vectors": body})).tolist() == [[1, 1]]


@pytest.mark.parametrize("text", ["[[1, 2.5]]", " [ [ 1e0 , 25e-1 ] ] ", "[[1,\n2.5]]"])
def test_json_numbers_are_read_in_any_spelling(text):
    assert decoded(JSON, json_bytes(text)).tolist() == [[1, 2.5]]


def test_json_members_of_every_kind_are_read():
    body = b'{"a": {"b": [1, {"c": null}]}, "s": "\\u00e9[[", "vectors": [[1]], "t": true, '
    body += b'"anchors": {"vectors": [[2]]}}'
    fields = CODECS[JSON].decode(body, {})
    assert (fields["a"], fields["s"], fields["t"]) == ({"b": [1, {"c": None}]}, "é[[", True)
    assert (fields["vectors"].tolist(), fields["anchors"]["vectors"].tolist()) == ([[1]], [[2]])


# Bad rows of JSON


BAD_ROWS = {
    "NaN": "[3, NaN]",
    "an infinity": "[3, Infinity]",
    "a negative infinity": "[3, -Infinity]",
    "beyond double precision": "[3, 1e400]",
    "beyond single precision": "[3, 1e39]",
    "an integer beyond single precision": "[3, 1" + "0" * 39 + "]",
    "true": "[3, true]",
    "false": "[3, false]",
    "a string": '[3, "4"]',
    "an empty string": '[3, ""]',
    "null": "[3, null]",
    "a nested array": "[3, [4]]",
    "a nested array instead of two numbers": "[[3, 4]]",
    "an empty nested array": "[3, 4, []]",
    "an object": "[3, {}]",
    "too short": "[3]",
    "too long": "[3, 4, 5]",
    "empty": "[]",
    "no array but a number": "3",
    "no array but a string": '"34"',
    "no array but null": "null",
    "no array but an object": '{"0": 3, "1": 4}',
    "no array but true": "true",
}


@pytest.mark.parametrize("row", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_of_json_is_named(row):
    assert refused(JSON, json_bytes(f"[[1, 2], {row}, [5, 6]]")).facts["row"] == 1


FIRST_ROWS = {name: row for name, row in BAD_ROWS.items() if name not in ("too short", "too long", "empty")}


@pytest.mark.parametrize("row", FIRST_ROWS.values(), ids=FIRST_ROWS)
def test_a_bad_first_row_of_json_is_named(row):
    assert refused(JSON, json_bytes(f"[{row}, [1, 2]]")).facts["row"] == 0


def test_the_first_of_several_bad_rows_is_named():
    assert refused(JSON, json_bytes("[[1, 2], [1, 1e39], [1], [true, 1]]")).facts["row"] in (1, 2)


@pytest.mark.parametrize("text", ["[]", "[[]]", "[[], []]", "[1, 2]", "3", '"x"', "null", "true", "{}", "[[[1]]]"])
def test_json_that_is_no_matrix_is_refused(text):
    refused(JSON, json_bytes(text))


@pytest.mark.parametrize("text", ["[[1, NaN]]", "[[1, 1e400]]", "[[true]]", "[[1], [1, 2]]"])
def test_bad_vectors_within_anchors_are_named_too(text):
    assert "row" in refused(JSON, f'{{"dim": 1, "anchors": {{"vectors": {text}}}}}'.encode()).facts


@pytest.mark.parametrize("text", ["[[1, 2], [3, 4]]", "[[1e300]]"])
def test_text_like_arrays_in_other_members_changes_nothing(text):
    body = json_bytes(text)[:-1] + b', "s": "[[[[", "payloads": [{"a": [[[1]]]}]}'
    if "e300" in text:
        refused(JSON, body)
    else:
        assert decoded(JSON, body).tolist() == [[1, 2], [3, 4]]


@unhurried
@given(
    rows=st.lists(
        st.lists(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
            max_size=4,
        ),
        max_size=4,
    )
)
def test_json_rows_are_a_matrix_or_an_error(rows):
    body = json_bytes(orjson.dumps(rows, option=orjson.OPT_PASSTHROUGH_SUBCLASS).decode() if small(rows) else "[]")
    try:
        got = decoded(JSON, body)
    except InvalidVectors:
        assert not is_matrix(rows)
    else:
        assert is_matrix(rows)
        np.testing.assert_array_equal(got, np.array(rows, np.float64).astype(np.float32))


def small(rows):
    """Whether JSON can hold the integers."""
    return all(abs(v) < 2**63 for row in rows for v in row if type(v) is int) and all(
        abs(w) < 2**63 for row in rows for v in row if isinstance(v, list) for w in v
    )


def is_matrix(rows):
    numbers = all(type(v) in (int, float) and math.isfinite(v) for row in rows for v in row)
    return bool(
        small(rows)
        and numbers
        and len({len(row) for row in rows} - {0}) == 1
        and all(rows)
        and all(math.hypot(*row) <= 1e18 for row in rows)
    )


# Bad JSON


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"[]",
        b"[[1, 2]]",
        b"3",
        b'"x"',
        b"null",
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"vectors": [[1, 2}',
        b'{"vectors": [[01]]}',
        b'{"vectors": [[.5]]}',
        b'{"vectors": [[+1]]}',
        b'{"vectors": [[0x1]]}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a": NaN}',
        b'{"a": 1e400}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_json_that_cannot_be_read_is_malformed(body):
    refused(JSON, body, MalformedBody)


@pytest.mark.parametrize(
    "other", [b'"payloads": [{"a": NaN}]', b'"ids": ["\\ud800"]', b'"ids": [' + b"9" * 30 + b"]"]
)
def test_what_is_wrong_elsewhere_is_not_laid_on_the_vectors(other):
    refused(JSON, b'{"vectors": [[1, 2]], ' + other + b"}", MalformedBody)


@unhurried
@given(st.binary(max_size=60))
def test_any_bytes_are_an_error_and_no_crash(body):
    for media_type in CODECS:
        refused(media_type, body, (MalformedBody, InvalidVectors))


# Base64


def in_base64(**changes):
    body = {"base64": b64encode(np.ones((2, 3), "<f4").tobytes()).decode(), "dtype": "<f4", "shape": [2, 3]}
    return orjson.dumps({"vectors": {**body, **changes}})


@pytest.mark.parametrize(
    "shape",
    [
        [2, 4],
        [1, 3],
        [3, 3],
        [0, 0],
        [0, 3],
        [6],
        [1, 2, 3],
        [],
        [-2, -3],
        [2, -1],
        [2.0, 3.0],
        [True, 6],
        ["2", "3"],
        [None, 3],
        "2,3",
        None,
        6,
        [2**62, 2**62],
        [0, 2**63],
        {"0": 2, "1": 3},
    ],
    ids=str,
)
def test_base64_of_another_shape_is_refused(shape):
    refused(JSON, in_base64(shape=shape))


@pytest.mark.parametrize("shape", [[0, 3], [3, 0], [0, 0], [0, 2**63], [2**63, 0]], ids=str)
def test_base64_of_nothing_is_refused(shape):
    refused(JSON, in_base64(base64="", shape=shape))


@pytest.mark.parametrize(
    "dtype", [">f4", "<i4", "f4", "float32", "O", "<c8", "", None, 4, ["<f4"], {"a": 1}], ids=str
)
def test_base64_of_another_dtype_is_refused(dtype):
    refused(JSON, in_base64(dtype=dtype))


@pytest.mark.parametrize("dtype", ["<f2", "<f8"])
def test_base64_whose_length_does_not_fit_the_dtype_is_refused_with_both_lengths(dtype):
    facts = refused(JSON, in_base64(dtype=dtype)).facts
    assert (facts["expected"], facts["got"]) == (6 * int(dtype[2]), 24)


@pytest.mark.parametrize("text", ["", "AAAA", "A", "AAA", "!!!!", "AA AA", "é", "AAAA" * 20, None, 3, ["AAAA"]])
def test_base64_that_cannot_be_decoded_or_has_another_length_is_refused(text):
    refused(JSON, in_base64(base64=text))


@pytest.mark.parametrize("missing", ["base64", "shape"])
def test_base64_needs_text_and_shape(missing):
    body = orjson.loads(in_base64())["vectors"]
    del body[missing]
    refused(JSON, orjson.dumps({"vectors": body}))


# Bad rows in every binary form


def as_base64(x):
    body = {"base64": b64encode(x.astype("<f8").tobytes()).decode(), "dtype": "<f8", "shape": x.shape}
    return orjson.dumps({"vectors": body})


def as_arrow(x):
    return arrow_bytes(vector=pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1]))


BINARY = {"base64": (JSON, as_base64), "npy": (NPY, npy_bytes), "arrow": (ARROW, as_arrow)}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, -1e39, 1e300])
@pytest.mark.parametrize("form", BINARY)
def test_a_bad_row_of_a_binary_body_is_named(form, value):
    media_type, write = BINARY[form]
    x = np.ones((4, 3))
    x[2, 1] = value
    assert refused(media_type, write(x)).facts["row"] == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8"])
def test_a_bad_row_of_npy_is_named_in_every_precision(dtype, value):
    x = np.ones((4, 3), dtype)
    x[3, 0] = value
    assert refused(NPY, npy_bytes(x)).facts["row"] == 3


# Bad .npy


@pytest.mark.parametrize("shape", [(), (0,), (3,), (0, 3), (3, 0), (2, 3, 4), (1, 1, 1)], ids=str)
def test_npy_that_is_no_matrix_is_refused_with_its_shape(shape):
    assert refused(NPY, npy_bytes(np.zeros(shape, np.float32))).facts["got"] == list(shape)


@pytest.mark.parametrize("dtype", ["c8", "c16", "?", "S3", "U3", "M8[s]", "m8[s]", "V4"], ids=str)
def test_npy_of_no_real_numbers_is_refused(dtype):
    refused(NPY, npy_bytes(np.zeros((2, 3), dtype)))


def test_npy_of_structs_is_malformed():
    refused(NPY, npy_bytes(np.zeros((2, 3), [("a", "f4")])), MalformedBody)


class Trap:
    """Pickled, it would end the process on loading."""

    def __reduce__(self):
        return exit, (1,)


@pytest.mark.parametrize("value", [1, None, "x", Trap()], ids=["number", "none", "text", "trap"])
def test_npy_with_a_pickle_is_refused_unread(value):
    x = np.empty((1, 2), object)
    x[:] = value
    refused(NPY, npy_bytes(x, allow_pickle=True))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_is_malformed(save):
    buffer = io.BytesIO()
    save(buffer, np.eye(2))
    refused(NPY, buffer.getvalue(), MalformedBody)


@pytest.mark.parametrize("cut", [0, 1, 5, 6, 8, 9, 10, 40, 127, 128, 129, 159])
def test_truncated_npy_is_malformed(cut):
    refused(NPY, npy_bytes(np.eye(2))[:cut], MalformedBody)


def test_npy_with_more_than_it_says_is_malformed():
    refused(NPY, npy_bytes(np.eye(2)) + b"\0", MalformedBody)


def npy_with(header, data=b"\0" * 16):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def npy_of(shape="(2, 2)", descr="'<f4'", fortran="False", **options):
    return npy_with(f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}", **options)


@pytest.mark.parametrize(
    "shape",
    [
        "(1, 2)",
        "(3, 2)",
        "(10**9, 10**9)",
        "(1000000000, 1000000000)",
        "(-2, -2)",
        "(-1, -4)",
        "(2, -2)",
        "(-1, 4)",
        "(2.0, 2.0)",
        "(True, 4)",
        "4",
        "None",
        "'22'",
        "[2, 2]",
        "(2, '2')",
        "(1, 1, -4)",
    ],
)
def test_npy_whose_header_lies_about_its_size_is_refused(shape):
    refused(NPY, npy_of(shape), (MalformedBody, InvalidVectors))


@pytest.mark.parametrize(
    "shape", ["(0, 4)", "(0, 99999999999999999999999)", "(4611686018427387904, 0)", "(0, -1)"]
)
def test_npy_of_nothing_is_refused(shape):
    refused(NPY, npy_of(shape, data=b""), (MalformedBody, InvalidVectors))


@pytest.mark.parametrize(
    "descr",
    ["()", "''", "None", "3", "'zz'", "'<f3'", "['<f4', '<f4']", "('<f4', (2,))", "'<f4,<f4'", "'|O'", "{}"],
)
def test_npy_of_a_dtype_that_is_none_is_refused(descr):
    refused(NPY, npy_of(descr=descr), (MalformedBody, InvalidVectors))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{",
        "(",
        "[]",
        "{}",
        "{'descr': '<f4'}",
        "{'descr': '''",
        "  x\n y",
        "{1: 2, 'a': 3}",
        "{1: 2}",
        "{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 2)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)} + {}",
        "__import__('os').abort()",
        "{[]: 1}",
        "{{}}",
        "(" * 300,
        "-" * 9000 + "1",
        "\0",
        "é",
        " " * 20_000,
    ],
    ids=lambda header: repr(header[:30]),
)
def test_npy_with_a_header_that_is_none_is_malformed(header):
    refused(NPY, npy_with(header), MalformedBody)


@pytest.mark.filterwarnings("ignore:Reading `.npy`")
def test_npy_with_a_header_of_python_2_is_read_or_malformed():
    body = npy_of("(2L, 2L)")
    with suppress(MalformedBody):
        assert decoded(NPY, body).shape == (2, 2)


@unhurried
@given(st.binary(min_size=1, max_size=80))
def test_npy_with_any_header_is_an_error_and_no_crash(header):
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    refused(NPY, body, (MalformedBody, InvalidVectors))


# Bad Arrow


@pytest.mark.parametrize("cut", [0, 1, 4, 8, 100, 0.5, 0.9])
def test_a_truncated_arrow_stream_is_malformed(cut):
    body = arrow_bytes(id=list("ab"), vector=[[1.0, 2.0], [3.0, 4.0]])
    refused(ARROW, body[: int(cut * len(body)) if isinstance(cut, float) else cut], MalformedBody)


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


# Content-Type and Accept


@pytest.mark.parametrize(
    ("content_type", "media_type"),
    [
        ("application/json; charset=utf-8", JSON),
        ("Application/X-NPY", NPY),
        (f" {ARROW} ;x=1", ARROW),
    ],
)
def test_content_type_chooses_the_reader(content_type, media_type):
    assert reader(content_type).media_type == media_type


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/*", "*/*", "json", "application/octet-stream"]
)
def test_another_content_type_is_not_supported(content_type):
    with pytest.raises(UnsupportedMediaType) as caught:
        reader(content_type)
    assert caught.value.facts["expected"] == list(CODECS)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (NPY, NPY),
        (NPY.upper(), NPY),
        (f"text/html, {ARROW}", ARROW),
        (f"{JSON};q=0.5, {NPY}", NPY),
        (f"{JSON};q=0.5, {NPY};q=0.4", JSON),
        (f"{JSON};q=0, {NPY};q=0.001", NPY),
        (f"*/*;q=0.1, {ARROW}", ARROW),
        (f"text/html, {NPY};q=0.9, */*;q=0.8", NPY),
        (f"{NPY} ; q=1.0 , {JSON} ; q=0.9", NPY),
        (f"{NPY};v=1;q=0.2, {ARROW};q=0.3", ARROW),
        (f"{NPY};Q=0.2, {ARROW};Q=0.3", ARROW),
        (f"*/*, {JSON};q=0", NPY),
        (f"{JSON};q=0.1, */*", NPY),
        (f"application/*;q=0.5, {JSON};q=0.1", NPY),
    ],
)
def test_accept_chooses_the_writer(accept, media_type):
    assert writer(accept, list(CODECS)).media_type == media_type


@pytest.mark.parametrize(
    "accept", ["text/html", "text/*", f"{JSON};q=0", "*/*;q=0", f"{NPY};q=x", ",", "nonsense"]
)
def test_an_accept_that_nothing_meets_is_refused(accept):
    with pytest.raises(NotAcceptable) as caught:
        writer(accept, list(CODECS))
    assert caught.value.facts["expected"] == list(CODECS)


def test_only_what_is_offered_is_written():
    with pytest.raises(NotAcceptable):
        writer(NPY, [JSON, ARROW])
