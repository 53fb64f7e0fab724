"""Query parameters: one that a route does not know is refused, as an unknown field of a body is."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api.bodies import JSON, Body
from app.api.codecs import reader
from app.errors import InvalidInput


async def check_query(request: Request) -> None:
    """A dependency of every route but the probes. InvalidInput, UnsupportedMediaType."""
    if not request.query_params:
        return
    known = known_to(request.scope["route"], request.headers.get("content-type"))
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        raise InvalidInput(
            f"unknown query parameters {unknown}: with this body, if any, the route takes {sorted(known)}",
            expected=sorted(known),
            got=unknown,
        )


def known_to(route: APIRoute, content_type: str | None) -> set[str]:
    """Its own, and the fields of its body where that is binary and cannot hold them."""
    parts = list(every(route.dependant))
    known = {parameter.alias for part in parts for parameter in part.query_params}
    bodies = [part.call for part in parts if isinstance(part.call, Body)]
    if bodies and reader(content_type).media_type != JSON:
        known |= {name for body in bodies for name in body.beside}
    return known


def every(dependant: Dependant) -> Iterator[Dependant]:
    """It, and all that it depends on."""
    yield dependant
    for part in dependant.dependencies:
        yield from every(part)
