"""Translators and translations over the wire."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from anchors import SELECTORS
from app.api.schemas.base import In, Name, ResourceOut, Vectors
from app.service.pairing import PAIRINGS, PROTOTYPES, Pairing, Selection
from app.service.translators import FittedReport, Spec
from app.store import Record
from models.objectives import OBJECTIVES
from models.registry import METHODS


class PairingIn(In):
    """How anchors are matched: by `ids`, by few shared ids and what they induce, or without any.

    The two last look at the anchors that are not shared, and at the points of the collections named here.
    """

    method: Annotated[str, Field(json_schema_extra={"enum": list(PAIRINGS)})] = "ids"
    source_collection: Name | None = None
    target_collection: Name | None = None


class SelectionIn(In):
    """Fit on `count` of the pairs, chosen by `selector`, or on so many prototypes: means of clusters of pairs."""

    selector: Annotated[str, Field(json_schema_extra={"enum": [*SELECTORS, PROTOTYPES]})]
    count: Annotated[int, Field(ge=2)]


class TranslatorIn(In):
    """A directed map from `source` to `target`, fitted on the anchors they share."""

    source: Name
    target: Name
    method: Annotated[str, Field(json_schema_extra={"enum": ["auto", *METHODS]})] = "auto"
    objective: Annotated[str, Field(json_schema_extra={"enum": list(OBJECTIVES)})] = "retrieval"
    head: Annotated[Name | None, Field(description="that is to agree, for the objective 'head'")] = None
    options: dict[str, JsonValue] = {}
    pairing: PairingIn = PairingIn()
    anchors: SelectionIn | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    def spec(self) -> Spec:
        return Spec(
            self.source,
            self.target,
            self.method,
            self.objective,
            self.options,
            Pairing(**vars(self.pairing)),
            Selection(**vars(self.anchors)) if self.anchors else None,
            self.seed,
            self.head,
        )


class TranslateIn(In):
    """Vectors of `source`; by `translator`, or by the best one from `source` to `target`."""

    source: Name | None = None
    target: Name | None = None
    translator: Name | None = None
    vectors: Vectors
    confidence: Annotated[bool, Field(description="say of every vector how far it may be trusted")] = False
    encoding_format: Literal["float", "base64"] = "float"

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.translator is None) == (self.source is None or self.target is None):
            raise ValueError("give either `translator`, or both `source` and `target`")
        return self


class ReverseOut(BaseModel):
    """The best translator of the opposite direction, and how much better this one is than it."""

    translator: str
    mrr: float
    r2: float

    @classmethod
    def beside(cls, record: Record, reverse: Record) -> Self:
        ours, theirs = (r.value["report"]["quality"] for r in (record, reverse))
        return cls(translator=reverse.name, **{k: ours[k]["mean"] - theirs[k]["mean"] for k in ("mrr", "r2")})


class TranslatorOut(ResourceOut):
    """`stale`: the anchors, or the head it was fitted for, have changed since; PUT it again to fit it anew."""

    source: str
    target: str
    method: str
    objective: str
    head: str | None = None
    options: dict[str, JsonValue]
    pairing: Pairing
    anchors: Selection | None
    seed: int
    anchor_versions: dict[str, int]
    stale: bool
    reverse: ReverseOut | None
    report: FittedReport


class TranslatorPage(BaseModel):
    """`cursor` starts the next page; null on the last."""

    translators: list[TranslatorOut]
    cursor: str | None


class FitOut(BaseModel):
    """A fit that is running: `done` of `total` steps of its `stage`, `seconds` after it began."""

    model_config = ConfigDict(from_attributes=True)

    translator: str
    source: str
    target: str
    stage: Annotated[
        str, Field(examples=["anchors", "left-out seeds", "induce", "restarts", "candidates", "report"])
    ]
    done: int
    total: int
    seconds: float


class FitsOut(BaseModel):
    """The oldest first."""

    fits: list[FitOut]


class TranslateOut(BaseModel):
    """Vectors of the target space, and the translators that made them, in order.

    `translator` and `version` are null where `path` has several; `versions` are in its order. `confidence`, on
    request: the expected cosine of each vector to the true one, both seen from the mean of the target anchors;
    null where `path` has several, as nobody has measured these as a whole.
    """

    vectors: Vectors
    source: str
    target: str
    translator: str | None
    version: int | None
    path: list[str]
    versions: list[int]
    stale: bool
    confidence: list[float] | None = None
