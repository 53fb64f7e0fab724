"""All routers."""

from app.api import (
    collections,
    comparison,
    disentanglement,
    heads,
    info,
    points,
    probes,
    relative,
    search,
    spaces,
    translators,
)

ROUTERS = (  # tried in this order: what is called most stands first
    search.router,
    translators.router,
    spaces.router,
    collections.router,
    points.router,
    heads.router,
    relative.router,
    comparison.router,
    disentanglement.router,
    info.router,
    probes.router,
)
