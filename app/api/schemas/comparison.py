"""Comparisons of spaces over the wire."""

from collections import Counter
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    Field,
    model_validator,
)

from app.api.schemas.base import In, Name
from models.comparison import MEASURES


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
    space does not vary. `warnings` name the pairs whose anchors may share their ids by chance only.
    """

    spaces: list[str]
    anchors: list[list[int]]
    measures: dict[str, list[list[float | None]]]
    profiles: list[ProfileOut]
    warnings: list[str]
