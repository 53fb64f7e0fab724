"""/v1/spaces: spaces and their anchors."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from app.api.bodies import ALL, Body, answers, problems
from app.api.deps import Cursor, IfMatch, Limit, NamePath, ServicesDep, served, tagged
from app.api.query import StrictRoute
from app.api.schemas.base import DeletedOut, IdsIn
from app.api.schemas.spaces import AnchorsIn, AnchorsOut, AnchorsRemovedOut, SpaceIn, SpaceOut, SpacePage
from app.service.spaces import Space

router = APIRouter(prefix="/v1/spaces", tags=["spaces"], route_class=StrictRoute)
space_body, anchors_body, ids_body = Body(SpaceIn), Body(AnchorsIn, ALL), Body(IdsIn)


@router.put(
    "/{space}",
    openapi_extra=space_body.openapi,
    responses={201: {"model": SpaceOut}, **problems(400, 409, 412, 413, 415)},
)
def put_space(
    space: NamePath,
    body: Annotated[SpaceIn, Depends(space_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> SpaceOut:
    """Create a space, or change its description. Inline anchors are upserted."""
    wanted = Space(body.dim, body.fingerprint, body.description)
    record, created = services.spaces.put(space, wanted, body.anchors.rows() if body.anchors else None, if_match)
    return tagged(SpaceOut.of(record), response, created)


@router.get("", responses=problems())
def list_spaces(services: ServicesDep, cursor: Cursor = "", limit: Limit = 100) -> SpacePage:
    """Spaces by name."""
    records, following = services.spaces.page(cursor, limit)
    return SpacePage(spaces=[SpaceOut.of(record) for record in records], cursor=following)


@router.get("/{space}", responses=problems(404))
def get_space(space: NamePath, services: ServicesDep, response: Response) -> SpaceOut:
    """One space."""
    return tagged(SpaceOut.of(services.spaces.get(space)), response)


@router.delete("/{space}", responses=problems(404, 409, 412))
def delete_space(space: NamePath, services: ServicesDep, if_match: IfMatch = None) -> DeletedOut:
    """Delete a space, its anchors, and the translators that first uses of it have fitted.

    409 while heads, collections, or translators that somebody has put rest on it.
    """
    along = services.spaces.delete(space, if_match)
    return DeletedOut(translators=[translator.name for translator in along])


@router.put("/{space}/anchors", openapi_extra=anchors_body.openapi, responses=problems(400, 404, 412, 413, 415))
def put_anchors(
    space: NamePath,
    body: Annotated[AnchorsIn, Depends(anchors_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> SpaceOut:
    """Upsert anchors: an id that is there gets the new vector."""
    return tagged(SpaceOut.of(services.spaces.put_anchors(space, body.rows(), if_match)), response)


@router.get(
    "/{space}/anchors", response_class=Response, responses={**answers(AnchorsOut, *ALL), **problems(404, 406)}
)
def get_anchors(
    space: NamePath,
    request: Request,
    ids: Annotated[list[str] | None, Query(alias="id", description="only these, in this order")] = None,
    cursor: Cursor = "",
    limit: Annotated[int, Query(ge=1, le=100_000, description="anchors on a page")] = 1000,
) -> Response:
    """Anchors by id, in pages; as an Arrow stream or .npy with a large limit, the whole set."""
    services, reply = served(request, *ALL)
    if ids:
        anchors, following = services.spaces.anchors_with(space, ids), None
    else:
        anchors, following = services.spaces.anchors_page(space, cursor, limit)
    return reply({"ids": anchors.ids, "vectors": anchors.vectors, "cursor": following})


@router.post(
    "/{space}/anchors/delete", openapi_extra=ids_body.openapi, responses=problems(400, 404, 412, 413, 415)
)
def delete_anchors(
    space: NamePath,
    body: Annotated[IdsIn, Depends(ids_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> AnchorsRemovedOut:
    """Delete anchors; ids that are not there are passed over, and named."""
    record, deleted, missing = services.spaces.delete_anchors(space, body.ids, if_match)
    return tagged(AnchorsRemovedOut.of(record, deleted=deleted, missing=missing), response)
