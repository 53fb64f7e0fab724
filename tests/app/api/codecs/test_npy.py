"""`.npy` bodies: every header that NumPy writes, and what is no matrix of numbers."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.codecs import CODECS
from app.errors import InvalidVectors, MalformedBody
from tests.app.api.codecs.conftest import NPY, decoded, npy_bytes, refused

# Round trips


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


# Bad .npy


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8"])
def test_a_bad_row_of_npy_is_named_in_every_precision(dtype, value):
    x = np.ones((4, 3), dtype)
    x[3, 0] = value
    assert refused(NPY, npy_bytes(x)).facts["row"] == 3


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


@given(st.binary(min_size=1, max_size=80))
def test_npy_with_any_header_is_an_error_and_no_crash(header):
    body = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    refused(NPY, body, (MalformedBody, InvalidVectors))


def test_what_describes_an_answer_is_in_its_headers():
    fields = {"vectors": np.eye(2, dtype=np.float32), "path": ["a-b", "b-c"], "versions": [1, 12], "stale": False}
    headers = CODECS[NPY].encode({**fields, "translator": "a,b", "labels": ["x", "y"], "score": None})[1]
    assert headers == {
        "Anchorage-Path": "a-b,b-c",
        "Anchorage-Versions": "1,12",
        "Anchorage-Stale": "false",
        "Anchorage-Translator": "a%2Cb",
    }
