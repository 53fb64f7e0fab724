"""Bytes to fields and fields to bytes: what routes declare instead of parsing bodies themselves."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import orjson
from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ValidationError

from app.api.codecs import CODECS, Codec, reader, writer
from app.api.codecs.base import HOLDERS, Fields
from app.api.codecs.json import once, to_base64, whole
from app.api.codecs.npy import check_alone
from app.api.errors import MEDIA_TYPE, too_large
from app.api.schemas.base import ProblemOut
from app.api.validation import fields_of, from_validation
from app.errors import InvalidInput, MalformedBody, TooManyRows, UnsupportedEncoding, UnsupportedMediaType

JSON, NPY, ARROW = CODECS
ALL = (JSON, NPY, ARROW)
SCHEMAS = "#/components/schemas/{model}"  # where the OpenAPI page has them
BINARY_SCHEMA = {"type": "string", "format": "binary"}
IDENTITY = "identity"
INLINE_BYTES = 128 * 1024  # smaller bodies are decoded on the event loop: a thread costs more

Model = TypeVar("Model", bound=BaseModel)
Reply = Callable[..., Response]


class Body(Generic[Model]):
    """A dependency that reads the body into `model`, in any of `media_types`."""

    def __init__(self, model: type[Model], media_types: tuple[str, ...] = (JSON,)) -> None:
        self.model, self.media_types = model, media_types

    async def __call__(self, request: Request) -> Model:
        check_encoding(request.headers.get("content-encoding"))
        codec = reader(request.headers.get("content-type"))
        if codec.media_type not in self.media_types:
            raise UnsupportedMediaType(
                f"this route reads {list(self.media_types)}, got {codec.media_type!r}",
                expected=list(self.media_types),
                got=codec.media_type,
            )
        query = {name: self.given(name, request.query_params.getlist(name)) for name in request.query_params}
        settings = request.state.services.settings
        body = await read(request, settings.max_body_bytes)
        arguments = (codec, body, query, settings.max_rows)
        if len(body) <= INLINE_BYTES:
            return self.parsed(*arguments)
        return await run_in_threadpool(self.parsed, *arguments)

    def parsed(self, codec: Codec, body: bytes, query: Mapping[str, Any], max_rows: int) -> Model:
        """MalformedBody, InvalidVectors, TooManyRows, InvalidInput."""
        try:
            fields = codec.decode(body, query)
            for holder in (fields, *map(fields.get, HOLDERS)):
                check_rows(holder, max_rows)
            return self.model.model_validate(fields, strict=codec.media_type == JSON or None)
        except ValidationError as error:
            raise from_validation(error.errors(include_url=False), fields, self.model) from error
        except RecursionError as error:  # of Python's own, wherever something so deep is walked through or shown
            raise MalformedBody("the body is nested too deeply") from error

    def given(self, name: str, values: list[str]) -> Any:
        """A query parameter: of an object the JSON text; one that is given once is a list of one, if a list is
        expected.
        """
        if name in self.objects and len(values) == 1 and values[0].lstrip().startswith("{"):
            return object_of(name, values[0])
        return values if len(values) > 1 or name in self.lists else values[0]

    @cached_property
    def lists(self) -> set[str]:
        """The query parameters that are, or may be, lists."""
        return {name for name, schema in self._schemas.items() if is_list(schema)}

    @cached_property
    def objects(self) -> set[str]:
        """And those that are, or may be, objects."""
        return {name for name, schema in self._schemas.items() if is_object(schema)}

    @property
    def _schemas(self) -> dict[str, dict[str, Any]]:
        fields = self.model.model_json_schema(ref_template=SCHEMAS)["properties"]
        return {name: schema for name, schema in fields.items() if name in self.beside}

    @property
    def openapi(self) -> dict[str, Any]:
        """Binary bodies hold the columns of the model; its other fields are query parameters."""
        schema = {JSON: {"$ref": SCHEMAS.format(model=self.model.__name__)}}
        content = {media: {"schema": schema.get(media, BINARY_SCHEMA)} for media in self.media_types}
        described = {"requestBody": {"required": True, "content": content}}
        return described | ({"parameters": self.parameters()} if len(self.media_types) > 1 else {})

    @property
    def beside(self) -> set[str]:
        """The fields that a binary body cannot hold: they are query parameters."""
        return set(fields_of(self.model)) - {"vectors", "payloads"}

    def parameters(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "in": "query", "description": "of a binary body", **as_text(schema)}
            for name, schema in self._schemas.items()
        ]


def reply_to(request: Request, media_types: tuple[str, ...], beside: Sequence[str] = ()) -> Reply:
    """What writes fields in the one of `media_types` that the client likes best; `beside` the matrix there will be
    these. NotAcceptable.
    """
    codec = writer(request.headers.get("accept"), media_types)
    if codec.media_type == NPY:
        check_alone(beside)

    def reply(fields: Fields, base64: bool = False) -> Response:
        if base64 and codec.media_type == JSON:
            fields = {**fields, "vectors": to_base64(fields["vectors"])}
        body, headers = codec.encode(fields)
        return Response(body, media_type=codec.media_type, headers=headers)

    return reply


def is_list(schema: dict[str, Any]) -> bool:
    return any(part.get("type") == "array" for part in (schema, *schema.get("anyOf", ())))


def is_object(schema: dict[str, Any]) -> bool:
    return "$ref" in str(schema)


def as_text(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a query parameter: an object in it is JSON, in place of a list, if it may be one."""
    if not is_object(schema):
        return {"schema": schema}
    if not is_list(schema):
        return {"content": {JSON: {"schema": schema}}}
    parts = [part for part in schema["anyOf"] if not is_object(part)]
    return {"schema": {**schema, "anyOf": parts}, "description": "of a binary body; or the JSON text of an object"}


def object_of(name: str, text: str) -> Any:
    """InvalidInput; MalformedBody for a member that stands twice, or what is nested too deeply."""
    try:
        orjson.loads(text)  # stricter than Python's own parser, which shows every member
        return json.loads(text, object_pairs_hook=once, parse_int=whole)
    except RecursionError as error:
        raise MalformedBody(f"/{name}: it is nested too deeply") from error
    except ValueError as error:
        fault = f"is an object, in a query parameter JSON: {error}"
        raise InvalidInput(f"/{name}: {fault}", errors=[{"pointer": f"/{name}", "message": fault}]) from error


async def read(request: Request, limit: int) -> bytes:
    """The body, no more than `limit` of which is ever held. BodyTooLarge."""
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
    return b"".join(chunks)


def check_encoding(coding: str | None) -> None:
    """UnsupportedEncoding: what a few bytes unfold to has no limit."""
    if (coding or IDENTITY).strip().lower() != IDENTITY:
        raise UnsupportedEncoding(
            f"a body is read as it is sent, got Content-Encoding {coding!r}: leave the header out, or make it "
            f"{IDENTITY!r}, and send the body uncompressed",
            expected=[IDENTITY],
            got=coding,
        )


def check_rows(fields: Any, limit: int) -> None:
    """Of whatever holds ids or vectors; what is no such thing is the model's business."""
    columns = [fields.get(name) for name in ("ids", "vectors")] if isinstance(fields, dict) else []
    rows = max((len(column) for column in columns if isinstance(column, list | np.ndarray)), default=0)
    if rows > limit:
        raise TooManyRows(f"one call takes at most {limit} rows, got {rows}: send several", limit=limit, got=rows)


def answers(model: type[BaseModel], *media_types: str) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: the answer in each of its media types."""
    return {
        200: {
            "model": model,
            "content": {media: {"schema": BINARY_SCHEMA} for media in media_types if media != JSON},
        }
    }


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: these, and what every route may answer."""
    schema: Mapping[str, Any] = {"schema": {"$ref": SCHEMAS.format(model=ProblemOut.__name__)}}
    return {
        status: {"content": {MEDIA_TYPE: schema}, "description": "problem"}
        for status in sorted({401, 403, 422, 503, *statuses})
    }
