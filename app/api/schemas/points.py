"""Points over the wire."""

from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, StringConstraints, model_validator

from app.api.schemas.base import In, Name, Payload, RemovedOut, Vectors, check_ids
from app.api.schemas.collections import CollectionOut
from app.api.schemas.filters import FilterField, FilterIn
from app.service.filters import Filter
from app.store.rows import Id, Rows

Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Integer = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]


def of_one_type(ids: Any) -> Any:
    """ValueError unless they are all texts or all integers."""
    if isinstance(ids, list) and {*map(type, ids)} not in (set(), {str}, {int}):
        strange = [id_ for id_ in ids if type(id_) not in (str, int)]
        other = next(id_ for id_ in (*strange, *ids) if strange or type(id_) is not type(ids[0]))
        found = f"{other!r:.40}" if strange else f"{ids[0]!r:.40} and {other!r:.40}"
        raise ValueError(f"ids are all texts or all integers, got {found}")
    return ids


Ids = Annotated[
    Annotated[list[Text], Field(min_length=1)] | Annotated[list[Integer], Field(min_length=1)],
    BeforeValidator(of_one_type),
]
Parts = Annotated[
    list[Literal["payload", "vector", "origin"]],
    Field(alias="with", description="what points carry"),
]


class PointsIn(In):
    """Row i of `vectors` is the point `ids[i]` with `payloads[i]`.

    Vectors of another `space` are translated into the collection's, by `translator` or the best that reconstructs.
    """

    ids: Ids
    vectors: Vectors
    payloads: list[Payload | None] | None = None
    space: Name | None = None
    translator: Name | None = None
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


class DeleteIn(In):
    """Points by `ids`, or all that a `filter` matches; it has a condition, as has every filter within it."""

    ids: Ids | None = None
    filter: FilterField | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either `ids` or `filter`")
        if self.filter and self.filter.hollow:
            raise ValueError(
                "the filter, or one within it, has no condition: give it one or leave it out; "
                "to delete all points, delete the collection"
            )
        return self

    def which(self) -> list[Id] | Filter:
        return self.filter.clause() if self.filter else [*(self.ids or ())]


class GetIn(In):
    """Points by id."""

    ids: Ids
    with_: Parts = ["payload", "vector"]


class CountIn(In):
    """All points, or those that `filter` matches."""

    filter: FilterField = FilterIn()


class ListIn(In):
    """In the order of their ids, from behind `cursor`."""

    filter: FilterField = FilterIn()
    cursor: Annotated[Text | Integer | None, Field(description="`cursor` of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="points on a page")] = 100
    with_: Parts = ["payload"]


def encoded(payload: Payload | None, row: int) -> bytes:
    try:
        return b"" if payload is None else orjson.dumps(payload)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"the payload of row {row} cannot be stored: {error}") from error


class StepOut(BaseModel):
    """A translator as it was."""

    name: str
    version: int


class OriginOut(BaseModel):
    """The space that a vector was translated from, and the translators that did it, in order."""

    space: str
    translators: list[StepOut]


class WrittenOut(CollectionOut):
    """`origin` of the points written, null for native ones."""

    origin: OriginOut | None


class PointsRemovedOut(CollectionOut, RemovedOut):
    """The collection without them."""


class PointOut(BaseModel):
    """A stored point, with the parts asked for; `origin` is null for a native vector."""

    id: Id
    payload: Payload | None = None
    vector: list[float] | None = None
    origin: OriginOut | None = None


class PointsOut(BaseModel):
    """Those that are there, and the ids that are not."""

    points: list[PointOut]
    missing: list[Id]


class PointsPage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    points: list[PointOut]
    cursor: Id | None


class CountOut(BaseModel):
    """How many points there are, or match."""

    count: int
