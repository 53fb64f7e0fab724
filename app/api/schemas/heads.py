"""Heads and what they make of vectors, over the wire."""

from base64 import b64decode
from collections import Counter
from typing import Annotated, Any, Self

import torch
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    InstanceOf,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from app.api.codecs.json import array_of
from app.api.schemas.base import In, Name, ResourceOut, Vectors
from app.service.heads import HeadSpec
from app.store import Record
from models.heads import ACTIVATIONS, HEADS

ARRAY = {
    "anyOf": [
        {"type": "array", "description": "numbers, or arrays of them, any rank"},
        {
            "type": "object",
            "properties": {
                "base64": {"type": "string"},
                "dtype": {"enum": ["<f2", "<f4", "<f8"], "default": "<f4"},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            },
            "required": ["base64", "shape"],
        },
    ]
}
Array = Annotated[
    InstanceOf[torch.Tensor],
    BeforeValidator(lambda value: torch.from_numpy(array_of(value))),
    WithJsonSchema(ARRAY),
]
Base64 = Annotated[
    InstanceOf[bytes],
    BeforeValidator(lambda value: b64decode(value, validate=True)),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
Label = Annotated[str, StringConstraints(min_length=1, max_length=512)]
COMMON = ("kind", "space", "activation", "labels")


class HeadIn(In):
    """A decoder of the vectors of `space`. Which of the other fields it is made of, its `kind` says."""

    kind: Annotated[str, Field(json_schema_extra={"enum": list(HEADS)})]
    space: Name
    activation: Annotated[str, Field(json_schema_extra={"enum": list(ACTIVATIONS)})] = "none"
    labels: Annotated[list[Label] | None, Field(min_length=1, description="of the outputs of a classifier")] = None
    weight: Annotated[Array | None, Field(description="linear: (c, d)")] = None
    bias: Annotated[Array | None, Field(description="linear: (c,); zeros if left out")] = None
    model: Annotated[Base64 | None, Field(description="onnx: the file")] = None

    @model_validator(mode="after")
    def _labels_once(self) -> Self:
        label, times = Counter(self.labels or [""]).most_common(1)[0]
        if times > 1:
            raise ValueError(f"label {label!r} stands {times} times")
        return self

    def spec(self) -> HeadSpec:
        return HeadSpec(self.kind, self.space, self.activation, self.labels)

    def parts(self) -> dict[str, Any]:
        """What was given of the rest."""
        return {name: value for name, value in self if name not in COMMON and value is not None}


class StitchIn(In):
    """Vectors of `source` for `head`; by `translator`, or by the best way from `source` to the head's space."""

    source: Name
    head: Name
    vectors: Vectors
    translator: Name | None = None


class HeadOut(ResourceOut):
    """`shape` is that of the output for one vector."""

    kind: str
    space: str
    activation: str
    labels: list[str] | None
    dim: int
    shape: list[int]
    parameters: dict[str, JsonValue]

    @classmethod
    def of(cls, record: Record, **more: Any) -> Self:
        return super().of(record, kind=record.value["kind"], **more)


class HeadPage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    heads: list[HeadOut]
    cursor: str | None


class StitchOut(BaseModel):
    """Of a classifier the likeliest label of every row, and its probabilities; otherwise what the head gives.

    `probabilities` are `outputs` where the head has no activation. The translators are null where none was needed.
    """

    labels: list[str] | None = None
    probabilities: list[list[float]] | None = None
    outputs: list[Any] | None = None
    head: str
    head_version: int
    translator: str | None
    version: int | None
    path: list[str]
    stale: bool | None
