"""HTTP only: one router per noun, codecs, problem details, keys and limits."""

from app.api import collections, info, spaces, translators

ROUTERS = (spaces.router, translators.router, collections.router, info.router)
