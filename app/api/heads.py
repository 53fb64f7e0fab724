"""/v1/heads and /v1/stitch."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.bodies import ALL, Body, answers, problems
from app.api.deps import Cursor, IfMatch, Limit, NamePath, ServicesDep, served, tagged
from app.api.query import StrictRoute
from app.api.schemas.base import DeletedOut
from app.api.schemas.examples import EvaluateIn, EvaluationOut, FitIn
from app.api.schemas.heads import HeadIn, HeadOut, HeadPage, StitchIn, StitchOut
from app.service import Services
from app.service.examples import examples
from app.service.relative import RelativeSpec
from app.store import Record

router = APIRouter(prefix="/v1", tags=["heads"], route_class=StrictRoute)
head_body, stitch_body = Body(HeadIn), Body(StitchIn, ALL)
fit_body, evaluate_body = Body(FitIn), Body(EvaluateIn)


def shown(head: Record, services: Services) -> HeadOut:
    return HeadOut.of(head, evaluations=services.heads.evaluations(head))


@router.put(
    "/heads/{head}",
    openapi_extra=head_body.openapi,
    responses={201: {"model": HeadOut}, **problems(400, 404, 409, 412, 413, 415)},
)
def put_head(
    head: NamePath,
    body: Annotated[HeadIn, Depends(head_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> HeadOut:
    """Create or replace a head: a decoder of the vectors of a space."""
    record, created = services.heads.put(head, body.spec(), body.parts(), if_match)
    return tagged(shown(record, services), response, created)


@router.get("/heads", responses=problems())
def list_heads(services: ServicesDep, cursor: Cursor = "", limit: Limit = 100) -> HeadPage:
    """Heads by name."""
    records, following = services.heads.page(cursor, limit)
    evaluations = services.heads.evaluations_of(records, cursor)
    heads = [HeadOut.of(record, evaluations=last) for record, last in zip(records, evaluations, strict=True)]
    return HeadPage(heads=heads, cursor=following)


@router.get("/heads/{head}", responses=problems(404))
def get_head(head: NamePath, services: ServicesDep, response: Response) -> HeadOut:
    """One head."""
    return tagged(shown(services.heads.get(head), services), response)


@router.delete("/heads/{head}", responses=problems(404, 409, 412))
def delete_head(head: NamePath, services: ServicesDep, if_match: IfMatch = None) -> DeletedOut:
    """Delete a head, and the translators that first stitches to it have fitted.

    409 while translators that somebody has put rest on it.
    """
    along = services.heads.delete(head, if_match)
    return DeletedOut(translators=[translator.name for translator in along])


@router.post(
    "/heads/{head}/fit",
    openapi_extra=fit_body.openapi,
    responses={201: {"model": HeadOut}, **problems(400, 404, 409, 412, 413, 415)},
)
def fit_head(
    head: NamePath,
    body: Annotated[FitIn, Depends(fit_body)],
    services: ServicesDep,
    response: Response,
    if_match: IfMatch = None,
) -> HeadOut:
    """Create or replace a head by one that is fitted here, with its held-out figures."""
    items = examples(services.spaces, body.space, body.truth(), body.named or body.ids, body.vectors)
    relative = None
    if body.relative:
        anchors = services.codes.chosen(body.space, body.relative.choice())
        relative = RelativeSpec(anchors, body.relative.parameters())
    record, created = services.fitting.fit(head, items, relative, if_match)
    return tagged(shown(record, services), response, created)


@router.post(
    "/heads/{head}/evaluate",
    openapi_extra=evaluate_body.openapi,
    responses=problems(400, 404, 409, 413, 415),
)
def evaluate_head(
    head: NamePath, body: Annotated[EvaluateIn, Depends(evaluate_body)], services: ServicesDep
) -> EvaluationOut:
    """How good a head is on labelled vectors of any space; the last figures of each are shown with the head."""
    items = examples(services.spaces, body.source, body.truth(), body.named or body.ids, body.vectors)
    if body.native:
        items = replace(items, native=body.native.vectors)
    return EvaluationOut(**vars(services.evaluations.evaluate(head, items, body.translator)))


@router.post(
    "/stitch",
    response_class=Response,
    openapi_extra=stitch_body.openapi,
    responses={**answers(StitchOut, *ALL), **problems(400, 404, 406, 413, 415)},
)
def stitch(
    body: Annotated[StitchIn, Depends(stitch_body)],
    request: Request,
) -> Response:
    """Run a head on the vectors of any space that reaches its own."""
    services, reply = served(request, *ALL, beside=["top"] if body.top_k else [])
    done = services.stitching.stitch(body.source, body.head, body.vectors, body.translator)
    top = {"top": done.top(body.top_k)} if body.top_k else {}
    return reply({**done.answers, **top, **done.named})
