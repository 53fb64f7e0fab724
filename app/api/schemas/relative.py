"""Relative codes over the wire."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, FiniteFloat, model_validator

from app.api.schemas.base import Id, In, Name, Vectors, check_ids
from app.api.schemas.translators import SelectionIn
from app.service.pairing import Selection
from app.service.relative import RelativeSpec
from models.relative import CHOICES, OPTIONS, Relative
from models.similarities import SIMILARITIES

Ids = Annotated[list[Id], Field(min_length=1)]


def several(names: Any) -> Any:
    """One name is a list of one."""
    return [names] if isinstance(names, str) else names


def different(names: list[str]) -> list[str]:
    """One that is repeated adds work, and no invariance."""
    if len(set(names)) < len(names):
        raise ValueError(f"must be different from each other, got {names[: len(SIMILARITIES) + 1]}")
    return names


class CodesIn(In):
    """How vectors are compared with anchors. Several similarities make a product of their invariances."""

    similarity: Annotated[
        list[Annotated[str, Field(json_schema_extra={"enum": list(SIMILARITIES)})]],
        BeforeValidator(several),
        AfterValidator(different),
        Field(min_length=1, description="one name, or several different ones"),
    ] = ["cosine"]
    before: Annotated[str, Field(json_schema_extra={"enum": CHOICES["before"]}, description="of vectors")] = (
        "centred"
    )
    after: Annotated[str, Field(json_schema_extra={"enum": CHOICES["after"]}, description="of codes")] = "none"
    aggregation: Annotated[str, Field(json_schema_extra={"enum": CHOICES["aggregation"]})] = "concat"
    weights: Annotated[list[FiniteFloat], Field(description="of a weighted sum")] = []
    kept: Annotated[int | None, Field(ge=1, description="numbers that a sparse code keeps; all if left out")] = (
        None
    )
    power: Annotated[FiniteFloat, Field(description=OPTIONS["power"].meaning)] = OPTIONS["power"].default
    shrinkage: Annotated[FiniteFloat, Field(description=OPTIONS["shrinkage"].meaning)] = OPTIONS[
        "shrinkage"
    ].default
    penalty: Annotated[FiniteFloat, Field(description=OPTIONS["penalty"].meaning)] = OPTIONS["penalty"].default

    def parameters(self) -> dict[str, Any]:
        """Of `models.relative.Relative`."""
        names = {"similarities": "similarity"}
        return {name: getattr(self, names.get(name, name)) for name in Relative().parameters()}


class HeadCodesIn(CodesIn):
    """The codes that a relative head takes."""

    anchors: Ids

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        check_ids(self.anchors, len(self.anchors))
        return self

    def spec(self) -> RelativeSpec:
        return RelativeSpec(self.anchors, self.parameters())


class ChosenCodesIn(CodesIn):
    """By the anchors named here, or chosen by a selector; by all, if left out."""

    anchors: list[Id] | SelectionIn | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if isinstance(self.anchors, list):
            check_ids(self.anchors, len(self.anchors))
        return self

    def choice(self) -> list[str] | Selection | None:
        return Selection(**vars(self.anchors)) if isinstance(self.anchors, SelectionIn) else self.anchors


class RelativeIn(ChosenCodesIn):
    """Vectors of `space`."""

    space: Name
    vectors: Vectors
    encoding_format: Literal["float", "base64"] = "float"


class CodesOut(BaseModel):
    """As they were asked for, with every option."""

    similarity: list[str]
    before: str
    after: str
    aggregation: str
    weights: list[float]
    kept: int | None
    power: float
    shrinkage: float
    penalty: float
    anchors: list[str]

    @classmethod
    def of(cls, spec: RelativeSpec) -> Self:
        return cls(similarity=spec.parameters["similarities"], anchors=spec.anchors, **spec.parameters)


class RelativeOut(BaseModel):
    """Of each vector how alike it is to `anchors`, in their order: one similarity after the other, or summed."""

    vectors: Vectors
    space: str
    anchors: list[str]
