"""/v1/collections: stored points, searched from every space that reaches them."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Response

from app.api.bodies import ALL, ARROW, JSON, Answers, Body, Reply, answers, problems
from app.api.deps import Cursor, IfMatch, Limit, NamePath, ServicesDep, tagged
from app.api.schemas.base import IdsIn
from app.api.schemas.collections import (
    CollectionIn,
    CollectionOut,
    CollectionPage,
    PointsIn,
    PointsOut,
    SearchIn,
    SearchOut,
)
from app.service.live import Point
from app.service.routes import UNTRANSLATED

router = APIRouter(prefix="/v1/collections", tags=["collections"])
collection_body, points_body = Body(CollectionIn), Body(PointsIn, ALL)
ids_body, search_body = Body(IdsIn), Body(SearchIn, ALL)


@router.put(
    "/{collection}",
    openapi_extra=collection_body.openapi,
    responses={201: {"model": CollectionOut}, **problems(400, 404, 409, 412, 413, 415)},
)
def put_collection(
    collection: NamePath,
    body: Annotated[CollectionIn, Depends(collection_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> CollectionOut:
    """Create a collection of vectors of one space."""
    record, created = services.collections.put(collection, body.space, body.metric, if_match)
    return tagged(CollectionOut.of(record), response, created)


@router.get("", responses=problems())
def list_collections(services: ServicesDep, cursor: Cursor = "", limit: Limit = 100) -> CollectionPage:
    """Collections by name."""
    records, following = services.collections.page(cursor, limit)
    return CollectionPage(collections=[CollectionOut.of(record) for record in records], cursor=following)


@router.get("/{collection}", responses=problems(404))
def get_collection(collection: NamePath, services: ServicesDep, response: Response) -> CollectionOut:
    """One collection."""
    return tagged(CollectionOut.of(services.collections.get(collection)), response)


@router.delete("/{collection}", status_code=204, responses=problems(404, 409, 412))
def delete_collection(collection: NamePath, services: ServicesDep, if_match: IfMatch = None) -> None:
    """Delete a collection and its points."""
    services.collections.delete(collection, if_match)


@router.put(
    "/{collection}/points", openapi_extra=points_body.openapi, responses=problems(400, 404, 409, 412, 413, 415)
)
def put_points(
    collection: NamePath,
    body: Annotated[PointsIn, Depends(points_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> CollectionOut:
    """Upsert points: all or none; once answered they are durable, and the next search sees them."""
    record = services.collections.put_points(collection, body.rows(), if_match)
    return tagged(CollectionOut.of(record), response)


@router.post(
    "/{collection}/points/delete",
    openapi_extra=ids_body.openapi,
    responses=problems(400, 404, 409, 412, 413, 415),
)
def delete_points(
    collection: NamePath,
    body: Annotated[IdsIn, Depends(ids_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> CollectionOut:
    """Delete points; ids that are not there are passed over."""
    record = services.collections.delete_points(collection, body.ids, if_match)
    return tagged(CollectionOut.of(record), response)


@router.post(
    "/{collection}/points/get",
    response_class=Response,
    openapi_extra=ids_body.openapi,
    responses={**answers(PointsOut, JSON), **problems(400, 404, 406, 413, 415)},
)
def get_points(
    collection: NamePath,
    body: Annotated[IdsIn, Depends(ids_body)],
    services: ServicesDep,
    reply: Annotated[Reply, Depends(Answers(JSON))],
) -> Response:
    """Stored points by id."""
    points = services.collections.points(collection, body.ids)
    missing = sorted(set(body.ids) - {point.id for point in points})
    return reply({"points": [carried(point, ["payload", "vector"]) for point in points], "missing": missing})


@router.post(
    "/{collection}/search",
    response_class=Response,
    openapi_extra=search_body.openapi,
    responses={**answers(SearchOut, JSON, ARROW), **problems(400, 404, 406, 413, 415)},
)
def search(
    collection: NamePath,
    body: Annotated[SearchIn, Depends(search_body)],
    services: ServicesDep,
    reply: Annotated[Reply, Depends(Answers(JSON, ARROW))],
) -> Response:
    """The nearest points to each query; queries of another space are translated first."""
    found = services.collections.search(collection, body.vectors, body.k, body.space, body.translator)
    results = [[{**carried(point, body.with_), "score": score} for point, score in hits] for hits in found.hits]
    named = found.translation.route.named if found.translation else UNTRANSLATED
    return reply({"results": results, "score": found.score, **named})


def carried(point: Point, parts: list[Any]) -> dict[str, Any]:
    """The payload is passed on as the JSON it is stored as."""
    payload = orjson.Fragment(point.payload) if point.payload else None
    everything = {"payload": payload, "vector": point.vector}
    return {"id": point.id, **{part: everything[part] for part in parts}}
