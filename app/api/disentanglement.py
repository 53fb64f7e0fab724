"""/v1/spaces/{space}/disentanglement."""

from typing import Annotated

from fastapi import APIRouter, Depends

from app.api.bodies import Body, problems
from app.api.deps import NamePath, ServicesDep
from app.api.query import StrictRoute
from app.api.schemas.spaces import DisentanglementOut, FactorsIn
from app.service.disentanglement import disentangle

router = APIRouter(prefix="/v1/spaces", tags=["comparison"], route_class=StrictRoute)
factors_body = Body(FactorsIn)


@router.post(
    "/{space}/disentanglement", openapi_extra=factors_body.openapi, responses=problems(400, 404, 413, 415)
)
def disentangle_space(
    space: NamePath, body: Annotated[FactorsIn, Depends(factors_body)], services: ServicesDep
) -> DisentanglementOut:
    """How well each latent factor is read out of a space: where its decoder was trained, and beyond."""
    return DisentanglementOut(**vars(disentangle(services.spaces, space, body.factors)))
