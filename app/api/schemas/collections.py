"""Collections, points and searches over the wire."""

from typing import Annotated, Literal, Self

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    model_validator,
)

from app.api.schemas.base import Id, In, Name, Payload, ResourceOut, Vectors, as_list, check_ids
from app.index import METRICS
from app.store.rows import Rows


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


class CollectionOut(ResourceOut):
    """`points` counts them."""

    space: str
    dim: int
    metric: str
    points: int


class CollectionPage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    collections: list[CollectionOut]
    cursor: str | None


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
    """The larger the score the nearer, except for euclidean, where the smaller."""

    id: str
    score: float
    payload: Payload | None = None
    vector: list[float] | None = None


class SearchOut(BaseModel):
    """Per query its hits, nearest first; the translators that carried the queries over, if any did.

    `score` says what scores are: the metric, or how translated queries are compared (see the translator's report).
    """

    results: list[list[HitOut]]
    score: str
    translator: str | None
    version: int | None
    path: list[str]
    versions: list[int]
    stale: bool | None
