"""The only place that builds things."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TypedDict

from fastapi import FastAPI
from fastapi_swagger import patch_fastapi

from app.api import errors, openapi
from app.api.gate import Gate
from app.api.routers import ROUTERS
from app.keys import Key
from app.service import Services
from app.settings import Settings
from app.store import open_store

DESCRIPTION = (
    "Register latent spaces with their anchors; translate, search one model's vectors with another's, and run its "
    "heads on them."
)


class State(TypedDict):
    """What the lifespan hands to every request."""

    services: Services


def create_app(settings: Settings) -> FastAPI:
    """ConfigurationError. The store is not asked for anything before the lifespan begins."""
    services = Services.over(open_store(settings.store), settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        threading.Thread(target=services.load, name="load", daemon=True).start()
        yield State(services=services)
        services.close()

    app = FastAPI(
        title="Anchorage",
        version=version("anchorage"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Gate, settings=settings, keys=[Key.parse(text) for text in settings.keys])
    errors.install(app, ROUTERS)
    openapi.install(app)
    patch_fastapi(app)
    return app
