"""The OpenAPI page: the framework's own, with the bodies that our codecs read."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from app.api.bodies import SCHEMAS
from app.api.schemas.base import In, ProblemOut


def install(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def described(app: FastAPI) -> dict[str, Any]:
    page = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    inputs = [(model, "validation") for model in (*In.__subclasses__(), ProblemOut)]
    _, definitions = models_json_schema(inputs, ref_template=SCHEMAS)  # type: ignore[arg-type]
    page["components"]["schemas"].update(definitions["$defs"])
    page["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    page["security"] = [{}, {"key": []}]  # servers without keys ask for none
    return page
