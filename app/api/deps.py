"""What routes are given."""

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Path, Query, Request, Response

from app.api.bodies import Reply, reply_to
from app.api.schemas.base import NAME, ResourceOut
from app.service import Services


async def services(request: Request) -> Services:  # async, or it would cost a thread
    found: Services = request.state.services
    return found


def served(request: Request, *media_types: str, beside: Sequence[str] = ()) -> tuple[Services, Reply]:
    """For what is called with every query, instead of dependencies: each takes FastAPI .1 ms. NotAcceptable."""
    return request.state.services, reply_to(request, media_types, beside)


ServicesDep = Annotated[Services, Depends(services)]
NamePath = Annotated[str, Path(pattern=f"^{NAME}$")]
IfMatch = Annotated[str | None, Header(description="write only if this is still the ETag; 412 otherwise")]
Cursor = Annotated[str, Query(description="`cursor` of the page before")]
Limit = Annotated[int, Query(ge=1, le=1000, description="items on a page")]

Resource = TypeVar("Resource", bound=ResourceOut)


def tagged(resource: Resource, response: Response, created: bool = False) -> Resource:
    """The resource, with its ETag, and 201 if it is new."""
    response.headers["ETag"] = resource.etag
    if created:
        response.status_code = 201
    return resource
