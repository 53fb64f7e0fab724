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
from safetensors import SafetensorError
from safetensors.torch import load

from app.api.codecs.json import array_of
from app.api.schemas.base import In, Name, ResourceOut, Vectors
from app.api.schemas.relative import CodesOut, HeadCodesIn
from app.onnx.head import OnnxHead
from app.service.heads import HeadSpec
from app.service.relative import RelativeSpec
from app.store import Record
from models.heads import ACTIVATIONS, HEADS
from models.layers import LAYERS

ARRAY = {
    "anyOf": [
        {"type": "array", "items": {}, "description": "numbers in nested lists, of any rank"},
        {
            "type": "object",
            "properties": {
                "base64": {"type": "string", "description": "the numbers, little-endian"},
                "dtype": {"enum": ["<f2", "<f4", "<f8"], "default": "<f4"},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            },
            "required": ["base64", "shape"],
        },
    ]
}


def tensor_of(value: Any) -> torch.Tensor:
    """ValueError."""
    return torch.from_numpy(array_of(value))


def bytes_of(value: Any) -> bytes:
    """ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"this is a file in base64, got {value!r:.40}")
    return b64decode(value, validate=True)


def tensors_of(value: Any) -> dict[str, torch.Tensor]:
    """From a safetensors file in base64, or from arrays by name. ValueError."""
    if isinstance(value, dict):
        return {name: tensor_of(array) for name, array in value.items()}
    if not isinstance(value, str):
        raise ValueError(f"tensors are a safetensors file in base64, or arrays by name, got {value!r:.40}")
    try:
        return {name: tensor.float() for name, tensor in load(b64decode(value, validate=True)).items()}
    except SafetensorError as error:
        raise ValueError(f"the text is not a safetensors file in base64: {error}") from error


Array = Annotated[InstanceOf[torch.Tensor], BeforeValidator(tensor_of), WithJsonSchema(ARRAY)]
Tensors = Annotated[
    InstanceOf[dict[str, torch.Tensor]],
    BeforeValidator(tensors_of),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "contentEncoding": "base64", "description": "a safetensors file"},
                {"type": "object", "additionalProperties": ARRAY},
            ]
        }
    ),
]
Base64 = Annotated[
    InstanceOf[bytes],
    BeforeValidator(bytes_of),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
Label = Annotated[str, StringConstraints(min_length=1, max_length=512)]
COMMON = ("kind", "space", "relative", "activation", "labels")


class HeadIn(In):
    """A decoder of the vectors of `space`, or of `relative` codes. What else it is made of, its `kind` says."""

    kind: Annotated[str, Field(json_schema_extra={"enum": [*HEADS, OnnxHead.kind]})]
    space: Name | None = None
    relative: HeadCodesIn | None = None
    activation: Annotated[str, Field(json_schema_extra={"enum": list(ACTIVATIONS)})] = "none"
    labels: Annotated[list[Label] | None, Field(min_length=1, description="of the outputs of a classifier")] = None
    weight: Annotated[Array | None, Field(description="linear: (c, d)")] = None
    bias: Annotated[Array | None, Field(description="linear: (c,); zeros if left out")] = None
    layers: Annotated[
        list[Annotated[str, Field(json_schema_extra={"enum": list(LAYERS)})]] | None,
        Field(min_length=1, max_length=64, description="mlp: in order, as the modules of a torch.nn.Sequential"),
    ] = None
    tensors: Annotated[
        Tensors | None, Field(description='mlp: its state dict, by the number of the layer: "0.weight"')
    ] = None
    model: Annotated[Base64 | None, Field(description="onnx: the file")] = None
    output: Annotated[str | None, Field(description="onnx: which of its outputs, if it has several")] = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.space is None) == (self.relative is None):
            raise ValueError(
                "give either the `space` of the head's vectors, or the `relative` codes that it takes"
            )
        label, times = Counter(self.labels or [""]).most_common(1)[0]
        if times > 1:
            raise ValueError(f"label {label!r} stands {times} times")
        return self

    def spec(self) -> HeadSpec:
        relative = self.relative.spec() if self.relative else None
        return HeadSpec(self.kind, self.space, relative, self.activation, self.labels)

    def parts(self) -> dict[str, Any]:
        """What was given of the rest."""
        return {name: value for name, value in self if name not in COMMON and value is not None}


class StitchIn(In):
    """Vectors of `source` for `head`; by `translator`, or by the best way from `source` to the head's space."""

    source: Name
    head: Name
    vectors: Vectors
    translator: Name | None = None
    top_k: Annotated[int | None, Field(ge=1, description="name so many of the likeliest labels of every row")] = (
        None
    )


class HeadOut(ResourceOut):
    """`shape` is that of the output for one vector."""

    kind: str
    space: str | None
    relative: CodesOut | None
    activation: str
    labels: list[str] | None
    dim: int
    shape: list[int]
    parameters: dict[str, JsonValue]

    @classmethod
    def of(cls, record: Record, **more: Any) -> Self:
        relative = record.value["relative"]
        codes = CodesOut.of(RelativeSpec(**relative)) if relative else None
        return super().of(record, kind=record.value["kind"], relative=codes, **more)


class HeadPage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    heads: list[HeadOut]
    cursor: str | None


class TopOut(BaseModel):
    """A label, and what the head gives for it."""

    label: str
    score: float


class StitchOut(BaseModel):
    """Of a classifier the likeliest label of every row and all probabilities, otherwise what the head gives.

    A classifier without activation has `outputs` in place of `probabilities`. The translators are null, and `path`
    is empty, where nothing had to be translated.
    """

    labels: list[str] | None = None
    probabilities: list[list[float]] | None = None
    outputs: list[Any] | None = None
    top: list[list[TopOut]] | None = None
    head: str
    head_version: int
    translator: str | None
    version: int | None
    path: list[str]
    stale: bool | None
