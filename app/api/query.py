"""Query parameters: one that a route does not know is refused, as an unknown field of a body is."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.api.bodies import JSON, Body
from app.api.codecs import reader
from app.errors import InvalidInput


class StrictRoute(APIRoute):
    """Of every router but the probes'. InvalidInput, UnsupportedMediaType."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        beside_json, beside_binary = known_to(self.dependant)

        async def checked(request: Request) -> Response:
            if request.query_params:
                binary = beside_binary and reader(request.headers.get("content-type")).media_type != JSON
                check_known([*request.query_params], beside_json | beside_binary if binary else beside_json)
            return await handle(request)

        return checked


def known_to(dependant: Dependant) -> tuple[set[str], set[str]]:
    """Its own parameters, and the fields of its body, which one that is binary cannot hold."""
    parts = list(every(dependant))
    known = {parameter.alias for part in parts for parameter in part.query_params}
    return known, {name for part in parts if isinstance(part.call, Body) for name in part.call.beside}


def every(dependant: Dependant) -> Iterator[Dependant]:
    """It, and all that it depends on."""
    yield dependant
    for part in dependant.dependencies:
        yield from every(part)


def check_known(given: list[str], known: set[str]) -> None:
    if unknown := sorted({*given} - known):
        takes = sorted(known)
        raise InvalidInput(
            f"unknown query parameters {unknown}: with this body, if any, the route takes {takes or 'none'}",
            expected=takes,
            got=unknown,
        )
