"""/v1/translators and /v1/translate."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.bodies import ALL, Body, answers, problems
from app.api.deps import Cursor, IfMatch, Limit, NamePath, ServicesDep, served, tagged
from app.api.query import StrictRoute
from app.api.schemas.translators import (
    FitOut,
    FitsOut,
    ReverseOut,
    TranslateIn,
    TranslateOut,
    TranslatorIn,
    TranslatorOut,
    TranslatorPage,
)
from app.service import Services
from app.service.purposes import RECONSTRUCTION
from app.store import Record

router = APIRouter(prefix="/v1", tags=["translators"], route_class=StrictRoute)
translator_body, translate_body = Body(TranslatorIn), Body(TranslateIn, ALL)


@router.put(
    "/translators/{translator}",
    openapi_extra=translator_body.openapi,
    responses={201: {"model": TranslatorOut}, **problems(400, 404, 409, 412, 413, 415)},
)
def put_translator(
    translator: NamePath,
    body: Annotated[TranslatorIn, Depends(translator_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> TranslatorOut:
    """Fit a translator and measure it on held-out anchors.

    The same again on unchanged anchors changes nothing; on changed anchors it is fitted anew, as a new version.
    """
    record, created = services.translators.put(translator, body.spec(), if_match)
    return tagged(out(record, services), response, created)


@router.get("/translators", responses=problems())
def list_translators(services: ServicesDep, cursor: Cursor = "", limit: Limit = 100) -> TranslatorPage:
    """Translators by name, with their reports."""
    records, following = services.translators.page(cursor, limit)
    return TranslatorPage(translators=[out(record, services) for record in records], cursor=following)


@router.get("/translators/{translator}", responses=problems(404))
def get_translator(translator: NamePath, services: ServicesDep, response: Response) -> TranslatorOut:
    """One translator, with its report."""
    return tagged(out(services.translators.get(translator), services), response)


@router.get("/fits", responses=problems())
async def list_fits(services: ServicesDep) -> FitsOut:  # async: it is to answer however busy the threads are
    """The translators that this server is fitting at the moment, and how far each is.

    A fit answers the call that asked for it, a PUT or a first use, when it is done; this is for who waits.
    """
    return FitsOut(fits=[FitOut.model_validate(fit) for fit in services.translators.fits.all()])


@router.delete("/translators/{translator}", status_code=204, responses=problems(404, 409, 412))
def delete_translator(translator: NamePath, services: ServicesDep, if_match: IfMatch = None) -> None:
    """Delete a translator."""
    services.translators.delete(translator, if_match)


@router.post(
    "/translate",
    response_class=Response,
    openapi_extra=translate_body.openapi,
    responses={**answers(TranslateOut, *ALL), **problems(400, 404, 406, 413, 415)},
)
def translate(
    body: Annotated[TranslateIn, Depends(translate_body)],
    request: Request,
) -> Response:
    """Carry vectors from one space to another. The first use of a pair of spaces fits its translator."""
    services, reply = served(request, *ALL, beside=["confidence"] if body.confidence else [])
    translators = services.translators
    if body.translator:
        route = translators.named(body.translator)
    else:
        source, target = body.source or "", body.target or ""
        services.spaces.check_width(source, body.vectors)  # before a first use, which takes seconds
        route = translators.between(source, target, RECONSTRUCTION)
    done = translators.translate(route, body.vectors, body.confidence)
    fields = {"vectors": done.vectors, "source": route.source, "target": route.target, **route.named}
    trust = {"confidence": done.confidence} if body.confidence else {}
    return reply({**fields, **trust}, base64=body.encoding_format == "base64")


def out(record: Record, services: Services) -> TranslatorOut:
    translators = services.translators
    reverse = translators.reverse_of(record)
    return TranslatorOut.of(
        record,
        **{**record.value["spec"], "anchors": record.value["spec"]["selection"]},
        stale=translators.is_stale(record),
        reverse=ReverseOut.beside(record, reverse) if reverse else None,
    )
