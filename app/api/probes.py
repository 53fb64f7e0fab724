"""/livez, /readyz: asked by machines, which may add query parameters of their own."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.api.deps import ServicesDep

router = APIRouter(tags=["service"])


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
