"""/v1/relative."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.bodies import ALL, Body, answers, problems
from app.api.deps import served
from app.api.query import StrictRoute
from app.api.schemas.relative import RelativeIn, RelativeOut
from app.api.schemas.translators import SelectionIn
from app.service.relative import RelativeSpec

router = APIRouter(prefix="/v1", tags=["heads"], route_class=StrictRoute)
relative_body = Body(RelativeIn, ALL)


@router.post(
    "/relative",
    response_class=Response,
    openapi_extra=relative_body.openapi,
    responses={**answers(RelativeOut, *ALL), **problems(400, 404, 406, 413, 415)},
)
def relative(
    body: Annotated[RelativeIn, Depends(relative_body)],
    request: Request,
) -> Response:
    """Describe vectors by how alike they are to anchors: a language that spaces share."""
    chosen = isinstance(body.anchors, SelectionIn)  # then the answer alone says which they are
    services, reply = served(request, *ALL, beside=["anchors"] if chosen else [])
    anchors = services.codes.chosen(body.space, body.choice())
    codes = services.codes.of(body.space, body.vectors, RelativeSpec(anchors, body.parameters()))
    fields = {"vectors": codes.numpy(), "space": body.space, "anchors": anchors}
    return reply(fields, base64=body.encoding_format == "base64")
