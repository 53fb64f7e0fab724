"""/v1/collections/{collection}/search and /rerank."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from app.api.bodies import ALL, ARROW, JSON, Body, answers, problems
from app.api.codecs.base import Fields
from app.api.deps import NamePath, served
from app.api.points import fields_of
from app.api.query import StrictRoute
from app.api.schemas.search import ExplainOut, RerankIn, RerankOut, SearchIn, SearchOut
from app.service import Services
from app.service.outputs import check_bytes
from app.service.routes import UNTRANSLATED
from app.service.search import Hit

router = APIRouter(prefix="/v1/collections/{collection}", tags=["collections"], route_class=StrictRoute)
search_body, rerank_body = Body(SearchIn, ALL), Body(RerankIn)


@router.post(
    "/search",
    response_class=Response,
    openapi_extra=search_body.openapi,
    responses={**answers(SearchOut, JSON, ARROW), **problems(400, 404, 406, 413, 415)},
)
def search(
    collection: NamePath,
    body: Annotated[SearchIn, Depends(search_body)],
    request: Request,
) -> Response:
    """The nearest points to each query; queries of another space are translated first."""
    services, reply = served(request, JSON, ARROW)
    found = services.search.search(collection, body.query())
    translation = found.translation
    fields: Fields = {"results": carrying(found.hits, body.with_, services), "score": found.scale.name}
    fields |= translation.route.named if translation else UNTRANSLATED
    if "confidence" in body.with_:
        fields["confidence"] = translation.confidence if translation else None
    if body.explain:
        fields["explain"] = ExplainOut.of(found).model_dump()
    return reply(fields)


@router.post(
    "/rerank",
    response_class=Response,
    openapi_extra=rerank_body.openapi,
    responses={**answers(RerankOut, JSON, ARROW), **problems(400, 404, 406, 413, 415)},
)
def rerank(
    collection: NamePath,
    body: Annotated[RerankIn, Depends(rerank_body)],
    request: Request,
) -> Response:
    """Order points that a search found by native vectors of their items, which the caller has embedded anew.

    Each query is compared with every candidate by the collection's metric, in their own space.
    """
    services, reply = served(request, JSON, ARROW)
    candidates = body.candidates
    found = services.search.rerank(
        collection, body.vectors, body.space, candidates.ids, candidates.vectors, body.k
    )
    results = carrying(found.hits, body.with_, services)
    return reply({"results": results, "score": found.metric, "missing": found.missing})


def carrying(
    results: Sequence[Sequence[Hit]], parts: Sequence[str], services: Services
) -> list[list[dict[str, Any]]]:
    """Hits with what was asked for. OverLimit."""
    stored = [part for part in parts if part in ("payload", "vector", "origin")]
    check_bytes((hit.point for hits in results for hit in hits), stored, services.settings.max_answer_bytes)
    calibrated = "calibrated_score" in parts
    return [[scored(hit, stored, calibrated) for hit in hits] for hits in results]


def scored(hit: Hit, stored: Sequence[str], calibrated: bool) -> dict[str, Any]:
    fields = fields_of(hit.point, stored)
    fields["score"] = hit.score
    if calibrated:
        fields["calibrated_score"] = hit.calibrated_score
    return fields
