"""From domain errors to answers: one table, one body (RFC 9457)."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from anchors.errors import AnchorError
from app import errors
from app.api.validation import from_validation
from models.errors import DomainError, ModelError

STATUS: Mapping[type[DomainError], int] = {
    errors.MalformedBody: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.NotAcceptable: 406,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.BodyTooLarge: 413,
    errors.TooManyRows: 413,
    errors.UnsupportedMediaType: 415,
    errors.InvalidInput: 422,
    AnchorError: 422,
    ModelError: 422,
    errors.Busy: 503,
    errors.StoreUnavailable: 503,
    DomainError: 500,
}
HEADERS: Mapping[int | str, dict[str, str]] = {  # by status, or by code
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": "1"},
    "unsupported-encoding": {"Accept-Encoding": "identity"},  # RFC 9110, 15.5.16
}
MEDIA_TYPE = "application/problem+json"


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    app.add_exception_handler(DomainError, on_domain_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, partial(on_http_error, routers))
    app.add_exception_handler(Exception, on_any_error)


def status_of(error: DomainError) -> int:
    """That of the nearest class in the table."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def code_of(error: DomainError) -> str:
    """TooFewAnchors -> too-few-anchors."""
    return re.sub("(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()


def problem(status: int, code: str, detail: str, path: str, **facts: Any) -> JSONResponse:
    body = {
        "type": f"urn:anchorage:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "instance": quote(path),
    }
    return JSONResponse({**body, **facts, **body}, status, HEADERS.get(code, HEADERS.get(status)), MEDIA_TYPE)


def problem_of(error: DomainError, path: str) -> JSONResponse:
    return problem(status_of(error), code_of(error), str(error), path, **error.facts)


def too_large(limit: int) -> errors.BodyTooLarge:
    return errors.BodyTooLarge(
        f"a body may have at most {limit} bytes: send fewer rows a call, or let the operator raise "
        "ANCHORAGE_MAX_BODY_BYTES",
        limit=limit,
    )


async def on_domain_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, DomainError):
        raise error
    return problem_of(error, request.url.path)


async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    return problem_of(from_validation(list(error.errors())), request.url.path)


async def on_http_error(routers: Sequence[APIRouter], request: Request, error: Exception) -> JSONResponse:
    """The framework's own: no such route, no such method."""
    if not isinstance(error, HTTPException):
        raise error
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    detail = f"{request.method} {request.url.path}: {error.detail}; /docs lists every route"
    answer = problem(error.status_code, code, detail, request.url.path)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(sorted(methods_of(routers, request)))
    return answer


def methods_of(routers: Sequence[APIRouter], request: Request) -> set[str]:
    """Of every route of this path; the framework names those of the first."""
    matching = (
        route for router in routers for route in router.routes if route.matches(request.scope)[0] is not Match.NONE
    )
    return {method for route in matching for method in getattr(route, "methods", None) or ()}


async def on_any_error(request: Request, error: Exception) -> JSONResponse:
    """A defect of ours: logged by the server, not told to the client."""
    return problem(
        500, "internal-error", f"{type(error).__name__}: the server's log has the details", request.url.path
    )
