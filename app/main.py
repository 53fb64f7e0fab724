"""The only place that builds things."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TypedDict

from fastapi import FastAPI
from fastapi_swagger import patch_fastapi

from app.api import ROUTERS, errors, openapi
from app.api.gate import Gate
from app.service import Services
from app.settings import Settings
from app.store import open_store

DESCRIPTION = (
    "Register latent spaces with their anchors; translate, and search one model's vectors with another's."
)
logger = logging.getLogger("anchorage")


class State(TypedDict):
    """What the lifespan hands to every request."""

    services: Services


def create_app(settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        services = Services.over(open_store(settings.store), settings)
        threading.Thread(target=services.load, name="load", daemon=True).start()
        yield State(services=services)
        services.store.close()

    app = FastAPI(
        title="Anchorage",
        version=version("anchorage"),
        description=DESCRIPTION,
        lifespan=lifespan,
        max_body_size=settings.max_body_bytes,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Gate, settings=settings)
    errors.install(app)
    openapi.install(app)
    patch_fastapi(app)
    return app
