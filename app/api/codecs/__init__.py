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
    """UnsupportedMediaType, also for none: a page of another origin can send a body without one unasked."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type not in CODECS:
        raise UnsupportedMediaType(
            f"Content-Type must be one of {list(CODECS)}, got {media_type!r}",
            expected=list(CODECS),
            got=media_type,
        )
    return CODECS[media_type]


def writer(accept: str | None, offered: tuple[str, ...]) -> Codec:
    """The codec that the client likes best among `offered`, the first of equals; NotAcceptable."""
    weights = dict(weighted(part) for part in (accept or "*/*").split(","))
    best = max(offered, key=lambda media_type: weight_of(media_type, weights))
    if not weight_of(best, weights):
        known = list(offered)
        raise NotAcceptable(f"Accept must allow one of {known}, got {accept!r}", expected=known, got=accept)
    return CODECS[best]


def weight_of(media_type: str, weights: Mapping[str, float]) -> float:
    """That of the most specific range that covers it (RFC 9110, 12.5.1); 0 for none."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((weights[covering] for covering in ranges if covering in weights), 0.0)


def weighted(part: str) -> tuple[str, float]:
    """`text/html;q=0.5` -> ("text/html", 0.5). What cannot be read weighs nothing."""
    media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
    try:
        return media_range, float(weights[0]) if weights else 1.0
    except ValueError:
        return media_range, 0.0


__all__ = ["CODECS", "Codec", "reader", "writer"]
