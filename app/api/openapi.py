"""The OpenAPI page: the framework's own, with the bodies that our codecs read."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api.bodies import SCHEMAS
from app.api.schemas.base import In, ProblemOut

SECTIONS = ("spaces", "translators", "collections", "heads", "comparison", "service")  # as a reader needs them


def install(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def described(app: FastAPI) -> dict[str, Any]:
    page = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=[{"name": section} for section in SECTIONS],
    )
    inputs = [(model, "validation") for model in (*subclasses(In), ProblemOut)]
    _, definitions = models_json_schema(inputs, ref_template=SCHEMAS)  # type: ignore[arg-type]
    page["components"]["schemas"].update(definitions["$defs"])
    page["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    page["security"] = [{}, {"key": []}]  # servers without keys ask for none
    return page


def subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for sub in model.__subclasses__():
        yield sub
        yield from subclasses(sub)
