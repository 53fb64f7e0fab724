"""Every codec: round trips, the bad rows that any form may have, and which codec a request gets."""

from base64 import b64encode

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given

from app.api.codecs import CODECS, reader, writer
from app.errors import NotAcceptable, UnsupportedMediaType
from tests.app.api.codecs.conftest import (
    ARROW,
    JSON,
    NPY,
    arrow_bytes,
    decoded,
    matrices,
    npy_bytes,
    refused,
)

# Round trips


@pytest.mark.parametrize("media_type", CODECS)
@given(x=matrices())
def test_a_matrix_comes_back_exactly(media_type, x):
    body, _ = CODECS[media_type].encode({"vectors": x})
    got = decoded(media_type, body)
    assert (got.dtype, got.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(got, x)


@given(x=matrices(64))
def test_double_precision_is_rounded_to_single(x):
    body = {"base64": b64encode(x.tobytes()).decode(), "dtype": "<f8", "shape": x.shape}
    np.testing.assert_array_equal(decoded(JSON, orjson.dumps({"vectors": body})), x.astype(np.float32))


@pytest.mark.parametrize("media_type", [NPY, ARROW])
def test_query_parameters_are_the_other_fields_of_a_binary_body(media_type):
    body, _ = CODECS[media_type].encode({"vectors": np.ones((1, 2), np.float32)})
    assert CODECS[media_type].decode(body, {"k": "3"})["k"] == "3"


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
    assert writer(accept, (*CODECS,)).media_type == media_type


@pytest.mark.parametrize(
    "accept", ["text/html", "text/*", f"{JSON};q=0", "*/*;q=0", f"{NPY};q=x", ",", "nonsense"]
)
def test_an_accept_that_nothing_meets_is_refused(accept):
    with pytest.raises(NotAcceptable) as caught:
        writer(accept, (*CODECS,))
    assert caught.value.facts["expected"] == list(CODECS)


def test_only_what_is_offered_is_written():
    with pytest.raises(NotAcceptable):
        writer(NPY, (JSON, ARROW))
