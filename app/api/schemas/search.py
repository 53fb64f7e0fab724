"""Searches over the wire."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, FiniteFloat, model_validator

from app.api.schemas.base import In, Name, Vectors, check_ids
from app.api.schemas.filters import FilterField
from app.api.schemas.points import Ids, Parts, PointOut, StepOut
from app.service.search import Found, Query
from app.store.rows import Id


class SearchIn(In):
    """Queries from `space` (default: the collection's own), or translated by `translator`.

    `threshold` leaves out hits of a worse score: `calibrated_score` if `with` names it, otherwise `score`.
    """

    vectors: Vectors
    space: Name | None = None
    translator: Name | None = None
    k: Annotated[int, Field(description="results per query")] = 10
    filter: FilterField | None = None
    threshold: FiniteFloat | None = None
    with_: Annotated[
        list[Literal["payload", "vector", "origin", "calibrated_score", "confidence"]],
        Field(alias="with", description="what hits carry; confidence is one number for each query"),
    ] = ["payload"]
    explain: Annotated[bool, Field(description="say how the answer came about")] = False

    def query(self) -> Query:
        return Query(
            self.vectors,
            self.k,
            self.space,
            self.translator,
            self.filter.clause() if self.filter else None,
            self.threshold,
            "calibrated_score" in self.with_,
            "confidence" in self.with_,
        )


class CandidatesIn(In):
    """Row i of `vectors` is the item of the point `ids[i]`, embedded as the queries were."""

    ids: Ids
    vectors: Vectors

    @model_validator(mode="after")
    def _one_id_a_row(self) -> Self:
        check_ids(self.ids, len(self.vectors))
        return self


class RerankIn(In):
    """Queries and candidates, both native to `space` (default: the collection's own)."""

    vectors: Vectors
    candidates: CandidatesIn
    space: Name | None = None
    k: Annotated[int, Field(description="results per query")] = 10
    with_: Parts = ["payload"]


class HitOut(PointOut):
    """The larger the score the nearer, except for euclidean, where the smaller."""

    score: float
    calibrated_score: float | None = None


class StepExplained(StepOut):
    """A translator as it was."""

    method: str


class FilterExplained(BaseModel):
    """How many of the points it let pass."""

    matching: int
    points: int
    selectivity: float

    @classmethod
    def of(cls, matching: int | None, points: int) -> Self | None:
        if matching is None:
            return None
        return cls(matching=matching, points=points, selectivity=matching / points if points else 0.0)


class ExplainOut(BaseModel):
    """How an answer came about. `fetched` candidates of each query were scored exactly; `recall_at_10` is that of
    an approximate index on a sample of queries when it was built, translated anchors for a translator's score.

    `uncalibrated` says why there is no `calibrated_score`. `statistics` of all points are what the score of a
    translator needs: its first search waits for them. The first use of a filter's key reads its column before the
    milliseconds are counted.
    """

    translators: list[StepExplained]
    score: str
    uncalibrated: str | None
    index: str
    recall_at_10: float | None
    fetched: int
    filter: FilterExplained | None
    milliseconds: dict[str, float]

    @classmethod
    def of(cls, found: Found) -> Self:
        nearest, steps = found.nearest, found.translation.route.steps if found.translation else ()
        return cls(
            translators=[
                StepExplained(name=step.name, version=step.version, method=step.value["report"]["method"])
                for step in steps
            ],
            score=found.scale.name,
            uncalibrated=found.scale.uncalibrated,
            index=nearest.index,
            recall_at_10=nearest.recall_at_10,
            fetched=nearest.fetched,
            filter=FilterExplained.of(nearest.matching, nearest.points),
            milliseconds={
                "translate": 1000 * found.translate_seconds,
                "statistics": 1000 * nearest.prepare_seconds,
                "filter": 1000 * nearest.filter_seconds,
                "search": 1000 * nearest.search_seconds,
            },
        )


class SearchOut(BaseModel):
    """Per query its hits, nearest first; the translators that carried the queries over, if any did.

    `score` says what scores are: the metric, or how translated queries are compared (see the translator's report).
    `calibrated_score` is the cosine that a native query would have had, null where that is not known: see
    `explain`; for a translated query it never passes the highest between two held-out anchors. `confidence`, for
    each query: the expected cosine of its translation to the true vector, both seen from the mean of the target
    anchors; null without translation, and where `path` has several.
    """

    results: list[list[HitOut]]
    score: str
    translator: str | None
    version: int | None
    path: list[str]
    versions: list[int]
    stale: bool | None
    confidence: list[float] | None = None
    explain: ExplainOut | None = None


class RerankOut(BaseModel):
    """Per query its hits, nearest first by the collection's metric; and the candidates that are no points."""

    results: list[list[HitOut]]
    score: str
    missing: list[Id]
