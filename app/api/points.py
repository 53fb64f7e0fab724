"""/v1/collections/{collection}/points: written, read, counted and deleted, by id or by filter."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response

from app.api.bodies import ALL, ARROW, JSON, Body, answers, problems
from app.api.collections import out
from app.api.deps import IfMatch, NamePath, ServicesDep, served, tagged
from app.api.query import StrictRoute
from app.api.schemas.points import (
    CountIn,
    CountOut,
    DeleteIn,
    GetIn,
    ListIn,
    PointsIn,
    PointsOut,
    PointsPage,
    PointsRemovedOut,
    WrittenOut,
)
from app.service import Services
from app.service.live import Point
from app.service.outputs import check_bytes

router = APIRouter(prefix="/v1/collections/{collection}/points", tags=["collections"], route_class=StrictRoute)
points_body, delete_body = Body(PointsIn, ALL), Body(DeleteIn)
get_body, list_body, count_body = Body(GetIn), Body(ListIn), Body(CountIn)

READ = problems(400, 404, 406, 413, 415)
WRITE = problems(400, 404, 409, 412, 413, 415)


@router.put("", openapi_extra=points_body.openapi, responses=WRITE)
def put_points(
    collection: NamePath,
    body: Annotated[PointsIn, Depends(points_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> WrittenOut:
    """Upsert points: all or none; once answered they are durable, and the next search sees them."""
    record, origin = services.collections.put_points(
        collection, body.rows(), if_match, body.space, body.translator
    )
    return tagged(WrittenOut(**vars(out(record, services)), origin=origin), response)


@router.post("/delete", openapi_extra=delete_body.openapi, responses=WRITE)
def delete_points(
    collection: NamePath,
    body: Annotated[DeleteIn, Depends(delete_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> PointsRemovedOut:
    """Delete points by id or by filter; ids that are not there are passed over, and named."""
    record, deleted, missing = services.collections.delete_points(collection, body.which(), if_match)
    left = vars(out(record, services))
    return tagged(PointsRemovedOut(**left, deleted=deleted, missing=missing), response)


@router.post(
    "/get",
    response_class=Response,
    openapi_extra=get_body.openapi,
    responses={**answers(PointsOut, JSON, ARROW), **READ},
)
def get_points(
    collection: NamePath,
    body: Annotated[GetIn, Depends(get_body)],
    request: Request,
) -> Response:
    """Stored points by id."""
    services, reply = served(request, JSON, ARROW)
    points = services.collections.points(collection, body.ids)
    missing = sorted({*body.ids} - {point.id for point in points})
    return reply({"points": carried(points, body.with_, services), "missing": missing})


@router.post(
    "/list",
    response_class=Response,
    openapi_extra=list_body.openapi,
    responses={**answers(PointsPage, JSON, ARROW), **READ},
)
def list_points(
    collection: NamePath,
    body: Annotated[ListIn, Depends(list_body)],
    request: Request,
) -> Response:
    """Points by id, all or those that match a filter, a page at a time."""
    services, reply = served(request, JSON, ARROW)
    points, following = services.collections.page_points(collection, body.cursor, body.limit, body.filter.clause())
    return reply({"points": carried(points, body.with_, services), "cursor": following})


@router.post("/count", openapi_extra=count_body.openapi, responses=problems(400, 404, 413, 415))
def count_points(
    collection: NamePath, body: Annotated[CountIn, Depends(count_body)], services: ServicesDep
) -> CountOut:
    """How many points there are, or match a filter."""
    return CountOut(count=services.collections.count(collection, body.filter.clause()))


def carried(points: Sequence[Point], parts: Sequence[str], services: Services) -> list[dict[str, Any]]:
    """The points with the parts asked for. OverLimit."""
    check_bytes(points, parts, services.settings.max_answer_bytes)
    return [fields_of(point, parts) for point in points]


def fields_of(point: Point, parts: Sequence[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": point.id}
    for part in parts:
        fields[part] = ENCODED[part](point)
    return fields


ENCODED: Mapping[str, Callable[[Point], Any]] = {  # JSON is passed on as it is stored
    "payload": lambda point: orjson.Fragment(point.payload or b"null"),
    "vector": lambda point: point.vector,
    "origin": lambda point: orjson.Fragment(point.origin or b"null"),
}
