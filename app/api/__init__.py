"""HTTP only: one router per noun, codecs, problem details, keys and limits."""

from app.api import collections, comparison, disentanglement, heads, info, spaces, translators

ROUTERS = (
    spaces.router,
    translators.router,
    collections.router,
    heads.router,
    comparison.router,
    disentanglement.router,
    info.router,
)
