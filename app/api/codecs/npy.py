"""`application/x-npy`: the matrix alone, as NumPy saves it."""

import io
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.lib import format as npy

from app.api.codecs.base import Fields, matrix
from app.errors import InvalidVectors, MalformedBody

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class NpyCodec:
    """Other fields are query parameters on the way in and `Anchorage-…` headers on the way out."""

    media_type = "application/x-npy"

    def decode(self, body: bytes, query: Mapping[str, Any]) -> Fields:
        file = io.BytesIO(body)
        try:
            shape, fortran, dtype = HEADERS[npy.read_magic(file)](file)
        except (ValueError, KeyError) as error:
            raise MalformedBody(f"the body is not an .npy file as numpy.save writes it: {error}") from error
        if dtype.kind not in "fiu":
            raise InvalidVectors(f"vectors must be real numbers, got {dtype}", got=str(dtype))
        expected, got = prod(shape) * dtype.itemsize, len(body) - file.tell()
        if expected != got:  # looked at before any memory is taken
            raise MalformedBody(f"the .npy header promises {expected} bytes of numbers, {got} came")
        values = np.frombuffer(body, dtype, offset=file.tell()).reshape(shape, order="F" if fortran else "C")
        return {**query, "vectors": matrix(values)}

    def encode(self, fields: Fields) -> tuple[bytes, dict[str, str]]:
        buffer = io.BytesIO()
        np.save(buffer, fields["vectors"], allow_pickle=False)
        others = {name: value for name, value in fields.items() if isinstance(value, str | int)}
        return buffer.getvalue(), {f"Anchorage-{n.replace('_', '-').title()}": str(v) for n, v in others.items()}
