"""`application/x-npy`: the matrix alone, as NumPy saves it."""

import io
import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0

from app.api.codecs.base import Fields, check_shape, matrix
from app.errors import InvalidVectors, MalformedBody, NotAcceptable

MAGIC = b"\x93NUMPY"
LENGTH_BYTES = {1: 2, 2: 4, 3: 4}  # of the header's length, by format version
BESIDE = ("confidence", "top")  # what a client asked for, and one matrix cannot hold
LISTS = ("path", "versions")  # short enough for a header
REAL = re.compile(r"[<>|=]?([iu][1248]|f(2|4|8|16))")


class NpyCodec:
    """Other fields are query parameters in and `Anchorage-…` headers out, where the first array is the body."""

    media_type = "application/x-npy"

    def decode(self, body: bytes, query: Mapping[str, Any]) -> Fields:
        header, data = split(body)
        dtype, shape = read(header, r"descr'\s*:\s*'([^']*)'"), read(header, r"shape'\s*:\s*\(([\d\s,]*)\)")
        if not REAL.fullmatch(dtype):
            raise InvalidVectors(f"vectors must be real numbers, got {dtype!r}", got=dtype)
        sizes = tuple(int(size) for size in shape.split(",") if size.strip())
        check_shape(sizes)
        expected = prod(sizes) * np.dtype(dtype).itemsize
        if expected != len(data):  # looked at before any memory is taken
            raise MalformedBody(f"the .npy header promises {expected} bytes of numbers, {len(data)} came")
        fortran = read(header, r"fortran_order'\s*:\s*(True|False)") == "True"
        values = np.frombuffer(data, dtype).reshape(sizes, order="F" if fortran else "C")
        return {**query, "vectors": matrix(values)}

    def encode(self, fields: Fields) -> tuple[bytes, dict[str, str]]:
        check_alone([name for name in BESIDE if name in fields])
        array = np.ascontiguousarray(next(value for value in fields.values() if isinstance(value, np.ndarray)))
        write_array_header_1_0(header := io.BytesIO(), header_data_from_array_1_0(array))
        others = {name: value for name, value in fields.items() if name in LISTS or isinstance(value, str | int)}
        return b"".join([header.getvalue(), array.data]), {
            header_name(name): in_header(value) for name, value in others.items()
        }


def check_alone(beside: Sequence[str]) -> None:
    """NotAcceptable."""
    if beside:
        raise NotAcceptable(
            f"an .npy answer holds one matrix: ask for JSON or Arrow to get {beside[0]!r} beside it"
        )


def split(body: bytes) -> tuple[str, memoryview]:
    """The header's text and the numbers behind it."""
    length_bytes = LENGTH_BYTES.get(body[6]) if body[:6] == MAGIC and len(body) > len(MAGIC) else None
    if length_bytes is None:
        raise MalformedBody("the body is not an .npy file as numpy.save writes it: it does not begin like one")
    start = 8 + length_bytes
    end = start + int.from_bytes(body[8:start], "little")
    header = body[start:end].decode("latin1").replace('"', "'")
    if not re.fullmatch(r"\{[^{}]*\}\s*", header):
        raise MalformedBody(f"the .npy header is not one dictionary: {header[:100]!r}")
    return header, memoryview(body)[end:]


def read(header: str, pattern: str) -> str:
    """One entry of the header; never evaluated, as it comes from outside."""
    found = re.search(pattern, header)
    if found is None:
        raise MalformedBody(f"the .npy header is not as numpy.save writes it: {header[:100]!r}")
    return found[1]


def in_header(value: Any) -> str:
    """A name or a number, or several of them."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(quote(str(part)) for part in (value if isinstance(value, list) else [value]))


def header_name(field: str) -> str:
    return f"Anchorage-{field.replace('_', '-').title()}"
