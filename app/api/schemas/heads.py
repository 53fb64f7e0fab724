"""Heads and what they make of vectors, over the wire."""

from collections import Counter
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, JsonValue, model_validator

from app.api.schemas.arrays import Array, Base64, Tensors
from app.api.schemas.base import In, Name, ResourceOut, Vectors
from app.api.schemas.examples import EvaluationOut, FitOut, Label
from app.api.schemas.relative import CodesOut, HeadCodesIn
from app.service.heads import KINDS, HeadSpec
from app.service.relative import RelativeSpec
from app.store import Record
from models.heads import ACTIVATIONS
from models.layers import LAYERS

COMMON = ("kind", "space", "relative", "activation", "labels")


class HeadIn(In):
    """A decoder of the vectors of `space`, or of `relative` codes. What else it is made of, its `kind` says.

    With `labels` it answers labels, and `probabilities` after softmax or sigmoid, but `outputs` after none.
    """

    kind: Annotated[str, Field(json_schema_extra={"enum": list(KINDS)})]
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
    output: Annotated[str | None, Field(description="onnx: which of its outputs, only if it has several")] = None

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
    top_k: Annotated[int | None, Field(ge=1, description="so many of the likeliest labels of every row")] = None


class HeadOut(ResourceOut):
    """`shape` is that of the output for one vector. `fit` tells of a head that was fitted here.

    `evaluations` has the last one of each space; they leave its version as it is.
    """

    kind: str
    space: str | None
    relative: CodesOut | None
    activation: str
    labels: list[str] | None
    dim: int
    shape: list[int]
    parameters: dict[str, JsonValue]
    fit: FitOut | None
    evaluations: dict[str, EvaluationOut]

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
    is empty, where nothing had to be translated; `versions` are theirs, in the order of `path`.
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
    versions: list[int]
    stale: bool | None
