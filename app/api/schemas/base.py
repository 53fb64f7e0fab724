"""What bodies and answers are made of. `…In` is a body, `…Out` an answer; the OpenAPI page is made of these."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)

from app.service.resources import etag_of
from app.store import Record

NAME = "[a-z0-9][a-z0-9._-]{0,127}"
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Id = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    StringConstraints(min_length=1, max_length=512),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 512},
                {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
            ]
        }
    ),
]
Payload = dict[str, JsonValue]
Scalar = str | bool | int | float | None
MATRIX = {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "minItems": 1}}
NUMBERS = {**MATRIX, "minItems": 1}
BINARY = {
    "type": "object",
    "properties": {
        "base64": {"type": "string", "description": "the rows, little-endian"},
        "dtype": {"enum": ["<f2", "<f4", "<f8"], "default": "<f4"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2},
    },
    "required": ["base64", "shape"],
}
EXAMPLE = [[0.1, 0.2, 0.3]]
VECTORS = WithJsonSchema({"anyOf": [NUMBERS, BINARY], "examples": [EXAMPLE]})
Vectors = Annotated[InstanceOf[np.ndarray], VECTORS]
Matrix = Annotated[InstanceOf[np.ndarray], WithJsonSchema(MATRIX)]  # of an answer, which may be empty


class In(BaseModel):
    """Unknown fields are refused: a misspelt option must not be silently ignored."""

    model_config = ConfigDict(extra="forbid")


class IdsIn(In):
    """Ids of anchors; integers mean their decimal text."""

    ids: Annotated[list[Id], Field(min_length=1)]


def check_ids(ids: Sequence[str | int], rows: int) -> None:
    if len(ids) != rows:
        raise ValueError(f"there are {len(ids)} ids and {rows} vectors")
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise ValueError(f"id {twice!r} stands twice in one batch")


class ResourceOut(BaseModel):
    """What every stored resource carries; the ETag header repeats `etag`."""

    name: str
    version: int
    etag: str
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, record: Record, **more: Any) -> Self:
        """From the record, whose value holds the fields of the resource."""
        return cls(**{**record.value, **vars(record), "etag": etag_of(record), **more})


class RemovedOut(BaseModel):
    """`deleted` counts what went; `missing` are the ids that were not there, none of a filter."""

    deleted: int
    missing: list[str | int]


class DeletedOut(BaseModel):
    """`translators` are those that the service had fitted by itself, at a first use, and that went with it."""

    translators: list[str]


class ProblemOut(BaseModel):
    """RFC 9457. `code` is stable; `detail` says what was expected, what came and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
