"""Items with what is true of them, over the wire."""

from typing import Annotated, Any, Self

import torch
from pydantic import BaseModel, BeforeValidator, Field, InstanceOf, WithJsonSchema, model_validator
from torch import Tensor

from app.api.schemas.arrays import ARRAY, tensor_of
from app.api.schemas.base import VECTORS, Id, In, Name, Vectors, check_ids
from app.api.schemas.relative import ChosenCodesIn
from app.service.examples import Truth
from models.measures import Estimate

Label = Id  # integers mean their decimal text
VALUES = {
    "anyOf": [*ARRAY["anyOf"], {"type": "object", "additionalProperties": {}, "description": "by anchor id"}],
}


def values_of(value: Any) -> dict[str, Any]:
    """`array` (n, ...), and the `ids` that an object has beside it. ValueError."""
    by_id = isinstance(value, dict) and not isinstance(value.get("base64"), str)
    array = tensor_of(list(value.values()) if by_id else value)
    if not array.ndim or not array.numel() or not array.isfinite().all():
        raise ValueError("values must be a list of finite numbers, or of arrays of them, at least one")
    return {"array": array, "ids": list(value) if by_id else None}


Values = Annotated[InstanceOf[dict[str, Any]], BeforeValidator(values_of), WithJsonSchema(VALUES)]


class ExamplesIn(In):
    """`labels` or `values`: by anchor id, or one for each of `vectors`, whose items may be named by `ids`."""

    labels: Annotated[
        dict[str, Label] | list[Label] | None, Field(min_length=1, description="by anchor id, or one a vector")
    ] = None
    values: Annotated[
        Values | None, Field(description="by anchor id, or one a vector: numbers, or arrays of them")
    ] = None
    ids: Annotated[list[Id] | None, Field(description="of the items whose vectors are given")] = None
    vectors: Annotated[Vectors | None, VECTORS] = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.labels is None) == (self.values is None):
            raise ValueError("give either `labels` or `values`: what is true of the items")
        if (self.vectors is None) == (self.named is None):
            raise ValueError("give what is true of the items by anchor id, or one for each of `vectors`")
        if self.vectors is None and self.ids is not None:
            raise ValueError("`ids` name the items of `vectors`, which are missing")
        if self.vectors is not None:
            self._check_rows(len(self.vectors))
        return self

    def _check_rows(self, rows: int) -> None:
        if (given := len(self.truth())) != rows:
            raise ValueError(f"there are {given} {'labels' if self.labels else 'values'} and {rows} vectors")
        if self.ids is not None:
            check_ids(self.ids, rows)

    @property
    def named(self) -> list[str] | None:
        """The anchor ids, where the truth comes by them."""
        if isinstance(self.labels, dict):
            return list(self.labels)
        ids: list[str] | None = self.values["ids"] if self.values else None
        return ids

    def truth(self) -> Truth:
        if self.labels is None:
            array: Tensor = self.values["array"] if self.values else torch.empty(0)
            return array
        return list(self.labels.values()) if isinstance(self.labels, dict) else self.labels


class FitIn(ExamplesIn):
    """A classifier of `labels`, or a regression of `values`; on `relative` codes, it serves every space."""

    space: Name
    relative: ChosenCodesIn | None = None


class NativeIn(In):
    """Row i is item i in the head's own space."""

    vectors: Vectors


class EvaluateIn(ExamplesIn):
    """Items of `source`; by `translator`, or by the best way from `source` to the head's space."""

    source: Name
    translator: Name | None = None
    native: Annotated[NativeIn | None, Field(description="the same items, one vector each")] = None

    @model_validator(mode="after")
    def _all_native(self) -> Self:
        if self.native and len(self.native.vectors) != len(self.truth()):
            raise ValueError(f"`native` has {len(self.native.vectors)} vectors for {len(self.truth())} items")
        return self


class FitOut(BaseModel):
    """What was measured on held-out items; `baseline` answers with the commonest label, or the mean."""

    space: str
    task: str
    items: int
    held_out: int
    folds: int
    penalty: float
    quality: dict[str, Estimate]
    baseline: dict[str, Estimate]
    warnings: list[str]


class EvaluationOut(BaseModel):
    """Figures of the same items, each with a 95 % interval; null where there is nothing to measure.

    `native`: in the head's own space. `stitched`: translated. `relative`: by relative codes of another space than
    the head was fitted in. `unstitched`: cut or padded with zeros to the head's width. `retention`: accuracy or R²
    of stitched or relative, as a share of native. Items that are anchors count in `cross_fitted`: each of them was
    translated by a map that was fitted without it.
    """

    space: str
    items: int
    native: dict[str, Estimate] | None
    stitched: dict[str, Estimate] | None
    relative: dict[str, Estimate] | None
    unstitched: dict[str, Estimate] | None
    retention: float | None
    path: list[str]
    cross_fitted: int
    warnings: list[str]
    at: str
