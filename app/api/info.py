"""/v1/info, /livez, /readyz."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.api.bodies import problems
from app.api.codecs import CODECS
from app.api.deps import ServicesDep
from app.service.info import Info, info

router = APIRouter(tags=["service"])


@router.get("/v1/info", responses=problems())
def get_info(services: ServicesDep) -> Info:
    """Version, limits, methods and their options, device: what a client needs to know."""
    return info(services.settings, list(CODECS))


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers, however busy its threads are."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "not ready; `checks` says why"}})
def readyz(services: ServicesDep) -> JSONResponse:
    """The store answers and the collections are loaded; `warnings` are of what works, and not as it should."""
    checks = services.checks()
    ready = all(check == "ok" for check in checks.values())
    status = "ok" if ready else "unavailable"
    body: dict[str, Any] = {"status": status, "checks": checks, "warnings": services.warnings}
    return JSONResponse(body, 200 if ready else 503)
