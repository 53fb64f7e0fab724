"""HTTP only: one router per noun, codecs, problem details, keys and limits."""

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

ROUTERS = (
    spaces.router,
    translators.router,
    collections.router,
    points.router,
    search.router,
    heads.router,
    relative.router,
    comparison.router,
    disentanglement.router,
    info.router,
)
PROBES = probes.router
