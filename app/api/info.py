"""/v1/info."""

from fastapi import APIRouter

from app.api.bodies import problems
from app.api.codecs import CODECS
from app.api.deps import ServicesDep
from app.api.query import StrictRoute
from app.service.info import Info, info

router = APIRouter(tags=["service"], route_class=StrictRoute)


@router.get("/v1/info", responses=problems())
def get_info(services: ServicesDep) -> Info:
    """Version, limits, methods and their options, device: what a client needs to know."""
    return info(services.settings, list(CODECS))
