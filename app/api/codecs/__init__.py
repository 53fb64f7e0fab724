"""Bodies by media type. One rule for all: a body is named fields, some of which are columns.

In JSON everything is a member of one object. A binary body holds the columns `ids`, `vectors` and
`payloads`; its other fields are query parameters on the way in, and headers or metadata on the way out.
"""

from collections.abc import Mapping

from app.api.codecs.arrow import ArrowCodec
from app.api.codecs.base import Codec
from app.api.codecs.json import JsonCodec
from app.api.codecs.npy import NpyCodec
from app.errors import NotAcceptable, UnsupportedMediaType

CODECS: Mapping[str, Codec] = {codec.media_type: codec for codec in (JsonCodec(), NpyCodec(), ArrowCodec())}


def reader(content_type: str | None) -> Codec:
    """No Content-Type means JSON. UnsupportedMediaType."""
    media_type = (content_type or "application/json").partition(";")[0].strip().lower()
    if media_type not in CODECS:
        raise UnsupportedMediaType(
            f"Content-Type must be one of {list(CODECS)}, got {media_type!r}",
            expected=list(CODECS),
            got=media_type,
        )
    return CODECS[media_type]


def writer(accept: str | None, offered: list[str]) -> Codec:
    """The codec that the client likes best among `offered`; NotAcceptable."""
    for wanted in preferences(accept or "*/*"):
        for media_type in offered:
            if wanted in (media_type, "*/*", f"{media_type.partition('/')[0]}/*"):
                return CODECS[media_type]
    raise NotAcceptable(f"Accept must allow one of {offered}, got {accept!r}", expected=offered, got=accept)


def preferences(accept: str) -> list[str]:
    """Media ranges of an Accept header, best first; those of weight 0 are left out (RFC 9110, 12.5.1)."""
    weighted = [(part.partition(";")[0].strip().lower(), weight(part)) for part in accept.split(",")]
    return [media for media, q in sorted(weighted, key=lambda pair: -pair[1]) if q > 0]


def weight(media_range: str) -> float:
    for parameter in media_range.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


__all__ = ["CODECS", "Codec", "reader", "writer"]
