"""/v1/compare."""

from typing import Annotated

from fastapi import APIRouter, Depends

from app.api.bodies import Body, problems
from app.api.deps import ServicesDep
from app.api.query import StrictRoute
from app.api.schemas.comparison import CompareIn, CompareOut
from app.service.comparison import compare

router = APIRouter(prefix="/v1", tags=["comparison"], route_class=StrictRoute)
compare_body = Body(CompareIn)


@router.post("/compare", openapi_extra=compare_body.openapi, responses=problems(400, 404, 413, 415))
def compare_spaces(body: Annotated[CompareIn, Depends(compare_body)], services: ServicesDep) -> CompareOut:
    """How alike spaces are, over the anchors that each pair shares; and what shape each has by itself."""
    return CompareOut(**vars(compare(services.spaces, body.spaces, body.measures)))
