"""What goes over the wire. `…In` is a body, `…Out` an answer; the OpenAPI page is made of these."""

from collections import Counter
from typing import Annotated, Any, Literal, Self

import numpy as np
import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    InstanceOf,
    JsonValue,
    PrivateAttr,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from app.index import METRICS
from app.service.resources import etag_of
from app.store import Record
from app.store.rows import Rows
from models.comparison import MEASURES
from models.disentanglement import Disentanglement
from models.estimate import Report
from models.measures import OBJECTIVES
from models.registry import METHODS

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
Vectors = Annotated[InstanceOf[np.ndarray], WithJsonSchema({"anyOf": [NUMBERS, BINARY], "examples": [EXAMPLE]})]
Matrix = Annotated[InstanceOf[np.ndarray], WithJsonSchema(MATRIX)]  # of an answer, which may be empty


def as_list(value: Any) -> Any:
    """A query parameter that is given once is a list of one."""
    return [value] if isinstance(value, str) else value


class In(BaseModel):
    """Unknown fields are refused: a misspelt option must not be silently ignored."""

    model_config = ConfigDict(extra="forbid")


class IdsIn(In):
    """Ids; integers mean their decimal text."""

    ids: Annotated[list[Id], BeforeValidator(as_list), Field(min_length=1)]


class AnchorsIn(In):
    """Row i of `vectors` is the anchor `ids[i]`."""

    ids: Annotated[list[Id], BeforeValidator(as_list), Field(min_length=1)]
    vectors: Vectors

    @model_validator(mode="after")
    def _one_id_a_row(self) -> Self:
        check_ids(self.ids, len(self.vectors))
        return self

    def rows(self) -> Rows:
        return Rows(self.ids, self.vectors, [b""] * len(self.ids))


class SpaceIn(In):
    """The output space of one encoder configuration."""

    dim: Annotated[int, Field(ge=1)]
    fingerprint: Annotated[
        dict[str, Scalar],
        Field(description="what makes vectors comparable: model, revision, pooling, prompt, normalised, dtype"),
    ] = {}
    description: Annotated[str, Field(max_length=10_000)] = ""
    anchors: AnchorsIn | None = None


class TranslatorIn(In):
    """A directed map from `source` to `target`, fitted on the anchors they share."""

    source: Name
    target: Name
    method: Annotated[str, Field(json_schema_extra={"enum": ["auto", *METHODS]})] = "auto"
    objective: Annotated[str, Field(json_schema_extra={"enum": list(OBJECTIVES)})] = "retrieval"
    options: dict[str, JsonValue] = {}
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class TranslateIn(In):
    """Vectors of `source`; by `translator`, or by the best one from `source` to `target`."""

    source: Name | None = None
    target: Name | None = None
    translator: Name | None = None
    vectors: Vectors
    encoding_format: Literal["float", "base64"] = "float"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.translator is None) == (self.source is None or self.target is None):
            raise ValueError("give either `translator`, or both `source` and `target`")
        return self


class CompareIn(In):
    """Two spaces or more, and the measures to compare them by; all, if none are named."""

    spaces: Annotated[list[Name], Field(min_length=2)]
    measures: Annotated[
        list[Annotated[str, Field(json_schema_extra={"enum": list(MEASURES)})]], Field(min_length=1)
    ] = list(MEASURES)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        name, times = Counter(self.spaces).most_common(1)[0]
        if times > 1:
            raise ValueError(f"space {name!r} stands {times} times: name each space once")
        return self


class FactorsIn(In):
    """factors[name][id] is the value of a latent factor at the anchor `id`; every factor for the same anchors."""

    factors: Annotated[
        dict[
            Annotated[str, StringConstraints(min_length=1, max_length=128)],
            Annotated[
                dict[Annotated[str, StringConstraints(min_length=1, max_length=512)], FiniteFloat],
                Field(min_length=1),
            ],
        ],
        Field(
            min_length=1, json_schema_extra={"examples": [{"size": {"a": 0.5, "b": 1}, "hue": {"a": 0, "b": 2}}]}
        ),
    ]


class CollectionIn(In):
    """Stored points of one space."""

    space: Name
    metric: Annotated[str, Field(json_schema_extra={"enum": list(METRICS)})] = "cosine"


class PointsIn(In):
    """Row i of `vectors` is the point `ids[i]` with `payloads[i]`."""

    ids: Annotated[list[Id], BeforeValidator(as_list), Field(min_length=1)]
    vectors: Vectors
    payloads: list[Payload | None] | None = None
    _encoded: list[bytes] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _one_id_a_row(self) -> Self:
        check_ids(self.ids, len(self.vectors))
        payloads = self.payloads if self.payloads is not None else [None] * len(self.ids)
        if len(payloads) != len(self.ids):
            raise ValueError(f"there are {len(self.ids)} ids and {len(payloads)} payloads")
        self._encoded = [encoded(payload, row) for row, payload in enumerate(payloads)]
        return self

    def rows(self) -> Rows:
        return Rows(self.ids, self.vectors, self._encoded)


class SearchIn(In):
    """Queries from `space` (default: the collection's own), or translated by `translator`."""

    vectors: Vectors
    space: Name | None = None
    translator: Name | None = None
    k: Annotated[int, Field(description="results per query")] = 10
    with_: Annotated[
        list[Literal["payload", "vector"]],
        BeforeValidator(as_list),
        Field(alias="with", description="what hits carry"),
    ] = ["payload"]


def encoded(payload: Payload | None, row: int) -> bytes:
    try:
        return b"" if payload is None else orjson.dumps(payload)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"the payload of row {row} cannot be stored: {error}") from error


def check_ids(ids: list[str], rows: int) -> None:
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


class SpaceOut(ResourceOut):
    """`anchors` counts them; `anchors_version` is the version in which they last changed."""

    dim: int
    fingerprint: dict[str, Scalar]
    description: str
    anchors: int
    anchors_version: int


class TranslatorOut(ResourceOut):
    """`stale`: the anchors have changed since; PUT it again to fit it anew."""

    source: str
    target: str
    method: str
    objective: str
    options: dict[str, JsonValue]
    seed: int
    anchors: dict[str, int]
    stale: bool
    report: Report


class CollectionOut(ResourceOut):
    """`points` counts them."""

    space: str
    dim: int
    metric: str
    points: int


class SpacePage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    spaces: list[SpaceOut]
    cursor: str | None


class TranslatorPage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    translators: list[TranslatorOut]
    cursor: str | None


class CollectionPage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    collections: list[CollectionOut]
    cursor: str | None


class AnchorsOut(BaseModel):
    """In the order of their ids; `cursor` starts the next page, null on the last."""

    ids: list[str]
    vectors: Matrix
    cursor: str | None


class TranslateOut(BaseModel):
    """Vectors of the target space, and the translator that made them."""

    vectors: Vectors
    source: str
    target: str
    translator: str
    version: int
    stale: bool


class ProfileOut(BaseModel):
    """One space by itself; null where it does not vary."""

    space: str
    dim: int
    anchors: int
    participation_ratio: float | None
    spectrum: list[float]


class CompareOut(BaseModel):
    """Every matrix has a row and a column for each of `spaces`, in their order.

    `anchors` counts what a pair shares; at most 5000 are read. A figure is null where that is too few for it, or a
    space does not vary.
    """

    spaces: list[str]
    anchors: list[list[int]]
    measures: dict[str, list[list[float | None]]]
    profiles: list[ProfileOut]


class DisentanglementOut(BaseModel):
    """For each factor how well it is read out of the space; `anchors` counts those with values, at most 5000 read.

    `r2`: on random folds. `r2_quadrants`, `r2_conditions`: on combinations of all factors, or of the other
    factors, each left out of training in turn; 1 - MSE / Var with Var over all anchors, so predicting the mean of
    the training rows scores 0 in `r2` and `r2_conditions`, and less in `r2_quadrants`. `ccgp`: accuracy of high
    against low in a condition that was left out. `parallelism`: cosine of the directions from low to high between
    conditions. Null where a figure is not defined; `notes` say why.
    """

    space: str
    anchors: int
    factors: dict[str, Disentanglement]


class PointOut(BaseModel):
    """A stored point."""

    id: str
    vector: list[float]
    payload: Payload | None


class PointsOut(BaseModel):
    """Those that are there, and the ids that are not."""

    points: list[PointOut]
    missing: list[str]


class HitOut(BaseModel):
    """cosine, ip: the larger the score the nearer; euclidean: the smaller."""

    id: str
    score: float
    payload: Payload | None = None
    vector: list[float] | None = None


class SearchOut(BaseModel):
    """Per query its hits, nearest first; the translator that carried the queries over, if one did."""

    results: list[list[HitOut]]
    translator: str | None
    version: int | None
    stale: bool | None


class ProblemOut(BaseModel):
    """RFC 9457. `code` is stable; `detail` says what was expected, what came and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str
