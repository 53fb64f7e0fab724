"""What a codec is, and what every decoded matrix must be."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidVectors
from app.index import LONGEST, overlong

Fields = dict[str, Any]

HOLDERS = ("anchors", "candidates", "native")  # members that have `vectors` of their own, and some `ids`


class Codec(Protocol):
    """Fields to bytes and back. `vectors` is a float32 matrix on both sides."""

    media_type: str

    def decode(self, body: bytes, query: Mapping[str, Any]) -> Fields:
        """MalformedBody, InvalidVectors."""

    def encode(self, fields: Fields) -> tuple[bytes, dict[str, str]]:
        """The body, and the headers for what it cannot hold."""


def matrix(values: NDArray[Any]) -> NDArray[np.float32]:
    """(n, d) real numbers of any precision -> float32. InvalidVectors."""
    if values.dtype.kind not in "fiu":
        raise InvalidVectors(f"vectors must be real numbers, got {values.dtype}", got=str(values.dtype))
    check_shape(values.shape)
    with np.errstate(over="ignore"):
        out = np.array(values, np.float32, order="C")
    bad = overlong(out)
    if bad.any():
        row = int(bad.argmax())
        raise InvalidVectors(f"row {row} has NaN or an infinity, or is longer than {LONGEST:g}", row=row)
    return out


def check_shape(shape: Sequence[int]) -> None:
    if len(shape) != 2 or 0 in shape:
        raise InvalidVectors(
            f"vectors must be a matrix of at least one row and one column, got shape {list(shape)}",
            expected="(n, d)",
            got=list(shape),
        )
