"""JSON bodies: numbers and base64, and the error for every matrix that is none."""

import math
import re
from base64 import b64encode

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.codecs import CODECS
from app.api.codecs.json import MEMBERS, to_base64
from app.errors import InvalidInput, InvalidVectors, MalformedBody
from tests.app.api.codecs.conftest import JSON, decoded, matrices, refused

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


def json_bytes(text):
    """A body whose vectors are `text`."""
    return f'{{"vectors": {text}}}'.encode()


# Round trips


@given(x=matrices())
def test_a_matrix_in_base64_comes_back_exactly(x):
    np.testing.assert_array_equal(decoded(JSON, orjson.dumps({"vectors": to_base64(x)})), x)


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


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(NAMES, JSONS, max_size=6))
def test_any_json_is_read_as_it_is(fields):
    assert repr(CODECS[JSON].decode(orjson.dumps(fields), {})) == repr(fields)


@pytest.mark.parametrize("inside", ["{}", '{"a": %s}', '{"a": [%s]}', '{"a": [[], {"b": %s}]}'])
def test_an_object_of_many_members_is_read_as_it_is(inside):
    many = {f"name {number}": [number, {"x": number / 7}] for number in range(2 * MEMBERS)}
    body = orjson.dumps(many) if inside == "{}" else inside.encode() % orjson.dumps(many)
    assert CODECS[JSON].decode(body, {}) == orjson.loads(body)


def test_a_name_that_ends_in_nul_is_another_name():
    fields = {"a": 1, "a\0": 2, "b": {"a\0b": 3, "a": [4]}}
    assert CODECS[JSON].decode(orjson.dumps(fields), {}) == fields


# Members that stand twice


TWICE = {
    "in the body": '{"k": 1, "k": 2}',
    "vectors": '{"vectors": [[1]], "vectors": [[1]]}',
    "in base64": '{"vectors": {"shape": [1, 1], "base64": "AAAAAA==", "shape": [1, 1]}}',
    "in anchors": '{"anchors": {"ids": ["a"], "ids": ["b"], "vectors": [[1]]}}',
    "in candidates": '{"candidates": {"vectors": [[1]], "vectors": [[2]]}}',
    "in options": '{"options": {"penalty": 1, "penalty": 2}}',
    "in a filter": '{"filter": {"must": [], "must": []}}',
    "in a condition": '{"filter": {"must": [{"key": "a", "key": "b", "exists": true}]}}',
    "in a match": '{"filter": {"should": [{"must_not": [{"key": "a", "match": {"value": 1, "value": 2}}]}]}}',
    "in tensors": '{"tensors": {"0.weight": [[1]], "0.weight": [[2]]}}',
    "in an array of tensors": '{"tensors": {"0.weight": {"base64": "", "shape": [0], "shape": [0]}}}',
    "in labels": '{"labels": {"a": "x", "b": "x", "a": "y"}}',
    "in an element": '{"a": [1, [2], {"b": [{"c": 1, "c": 1}]}]}',
    "in an element of rows": '{"a": [[1], [[{"c": 1, "c": 1}]]]}',
    "escaped": '{"a": {"b": 1, "\\u0062": 2}}',
    "among many": '{"labels": {' + ", ".join(f'"id {number % 999}": "x"' for number in range(1000)) + "}}",
}


@pytest.mark.parametrize("body", TWICE.values(), ids=TWICE)
def test_a_member_that_stands_twice_is_malformed_at_every_depth(body):
    error = refused(JSON, body.encode(), MalformedBody)
    assert re.fullmatch(r"the member '[\w .]+' stands twice in one JSON object", str(error))


def test_in_payloads_the_last_of_a_member_counts():
    body = b'{"payloads": [{"a": 1, "a": 2}, null, {"b": [{"c": 1, "c": {"d": 3, "d": 4}}]}]}'
    assert CODECS[JSON].decode(body, {})["payloads"] == [{"a": 2}, None, {"b": [{"c": {"d": 4}}]}]


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
    assert "_ERROR" not in str(refused(JSON, body, MalformedBody))  # simdjson's words


STRANGE = {
    b"NaN": "must be a finite number of double precision, got NaN",
    b"-Infinity": "must be a finite number of double precision, got -Infinity",
    b"1e400": "must be a finite number of double precision, got Infinity",
    b'"\\ud800"': "has half of a surrogate pair",
}
MARKS = pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])


@pytest.mark.parametrize(("value", "said"), STRANGE.items(), ids=lambda part: repr(part[:20]))
@MARKS
def test_what_other_parsers_read_is_refused_where_it_stands(value, said, mark):
    good = b'{"x": [0, 1.5, "", null, {}, true], "a/b": [1, {"c": %s}], "z": NaN}'
    error = refused(JSON, mark + good % value, MalformedBody)
    assert str(error) == f"the body is not JSON that is read here: /a~1b/1/c {said}"


BEYOND = [str(2**64), str(-(2**63) - 1), "1" + "0" * 30, "-" + "9" * 200, "7" * 5000]


@pytest.mark.parametrize("number", BEYOND, ids=lambda number: number[:20])
@MARKS
def test_a_whole_number_beyond_64_bits_is_named(number, mark):
    body = mark + b'{"x": [18446744073709551615, -9223372036854775808], "a": {"b": [true, %s]}}' % number.encode()
    error = refused(JSON, body, InvalidInput)
    message = f"must be a whole number within 64 bits, got {number[:40]}"
    assert (str(error), error.facts) == (
        f"/a/b/1: {message}",
        {"errors": [{"pointer": "/a/b/1", "message": message}]},
    )


@pytest.mark.parametrize(("body", "place"), [(b'{"\\ud800": 1e400}', "it"), (b'{"a": {"\\udfff": {}}}', "/a")])
def test_half_of_a_surrogate_pair_in_a_name_is_told_and_not_repeated(body, place):
    error = refused(JSON, body, MalformedBody)
    assert str(error) == f"the body is not JSON that is read here: {place} has half of a surrogate pair"


BROKEN = {
    b'{"a": 1,}': "line 1 column",
    b'{"a": "\xff"}': "not UTF-8: byte 7 is 0xff",
    '{"a": 1}'.encode("utf-16"): "not UTF-8: byte 0 is 0xff",
    b"[" * 100_000: "is nested too deeply",
    b"NaN": "it must be a finite number of double precision, got NaN",
}


@pytest.mark.parametrize(("body", "said"), BROKEN.items(), ids=lambda part: repr(part[:20]))
def test_what_no_parser_reads_is_told_where_that_is_known(body, said):
    assert said in str(refused(JSON, body, MalformedBody))


@pytest.mark.parametrize(
    ("other", "place"),
    [
        (b'"payloads": [{"a": NaN}]', "/payloads/0/a"),
        (b'"ids": ["\\ud800"]', "/ids/0"),
        (b'"ids": [' + b"9" * 30 + b"]", "/ids/0"),
    ],
)
def test_what_is_wrong_elsewhere_is_not_laid_on_the_vectors(other, place):
    error = refused(JSON, b'{"vectors": [[1, 2]], ' + other + b"}", (MalformedBody, InvalidInput))
    assert place in str(error)


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
