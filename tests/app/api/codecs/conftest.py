"""Bodies in every format, and what becomes of them."""

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.api.codecs import CODECS
from app.errors import InvalidVectors

JSON, NPY, ARROW = CODECS
FLOATS = {"min_value": -(2.0**50), "max_value": 2.0**50, "allow_nan": False}
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


def decoded(media_type, body):
    return CODECS[media_type].decode(body, {})["vectors"]


def refused(media_type, body, error=InvalidVectors):
    with pytest.raises(error) as caught:
        CODECS[media_type].decode(body, {})
    return caught.value
