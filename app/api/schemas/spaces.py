"""Spaces and their anchors over the wire."""

from typing import Annotated, Self

from pydantic import (
    BaseModel,
    Field,
    FiniteFloat,
    StringConstraints,
    model_validator,
)

from app.api.schemas.base import Id, In, Matrix, RemovedOut, ResourceOut, Scalar, Vectors, check_ids
from app.store.rows import Rows
from models.disentanglement import Disentanglement


class AnchorsIn(In):
    """Row i of `vectors` is the anchor `ids[i]`."""

    ids: Annotated[list[Id], Field(min_length=1)]
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


class SpaceOut(ResourceOut):
    """`anchors` counts them, `anchors_version` their changes."""

    dim: int
    fingerprint: dict[str, Scalar]
    description: str
    anchors: int
    anchors_version: int


class AnchorsRemovedOut(SpaceOut, RemovedOut):
    """The space without them."""


class SpacePage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    spaces: list[SpaceOut]
    cursor: str | None


class AnchorsOut(BaseModel):
    """In the order of their ids; `cursor` starts the next page, null on the last."""

    ids: list[str]
    vectors: Matrix
    cursor: str | None


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
