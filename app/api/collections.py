"""/v1/collections: stored points of one space."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.api.bodies import Body, problems
from app.api.deps import Cursor, IfMatch, Limit, NamePath, ServicesDep, tagged
from app.api.query import StrictRoute
from app.api.schemas.collections import CollectionIn, CollectionOut, CollectionPage
from app.service import Services
from app.store import Record

router = APIRouter(prefix="/v1/collections", tags=["collections"], route_class=StrictRoute)
collection_body = Body(CollectionIn)


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
    """Create a collection of vectors of one space. Its index may be changed under points."""
    record, created = services.collections.put(collection, body.space, body.metric, if_match, body.index)
    return tagged(out(record, services), response, created)


@router.get("", responses=problems())
def list_collections(services: ServicesDep, cursor: Cursor = "", limit: Limit = 100) -> CollectionPage:
    """Collections by name."""
    records, following = services.collections.page(cursor, limit)
    return CollectionPage(collections=[out(record, services) for record in records], cursor=following)


@router.get("/{collection}", responses=problems(404))
def get_collection(collection: NamePath, services: ServicesDep, response: Response) -> CollectionOut:
    """One collection."""
    return tagged(out(services.collections.get(collection), services), response)


@router.delete("/{collection}", status_code=204, responses=problems(404, 409, 412))
def delete_collection(collection: NamePath, services: ServicesDep, if_match: IfMatch = None) -> None:
    """Delete a collection and its points."""
    services.collections.delete(collection, if_match)


def out(record: Record, services: Services) -> CollectionOut:
    return CollectionOut.of(record, index_status=services.collections.index_status(record.name))
