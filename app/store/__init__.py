"""Stores by URL scheme."""

from collections.abc import Callable, Mapping

from app.errors import ConfigurationError
from app.store.base import Key, Record, Store, Write
from app.store.redis import RedisStore
from app.store.sqlite import SqliteStore

STORES: Mapping[str, Callable[[str], Store]] = {
    "sqlite": SqliteStore,
    "redis": RedisStore,
    "rediss": RedisStore,
    "unix": RedisStore,
}


def open_store(url: str) -> Store:
    """ConfigurationError for an unknown scheme; a store that is down is found out by its first use."""
    scheme, separator, _ = url.partition("://")
    if scheme not in STORES or not separator:
        known = [f"{known}://" for known in STORES]
        raise ConfigurationError(f"ANCHORAGE_STORE: a store URL starts with one of {known}, got {scheme!r}")
    try:
        return STORES[scheme](url)
    except ValueError as error:
        raise ConfigurationError(f"ANCHORAGE_STORE: the {scheme} store URL cannot be read: {error}") from error


__all__ = ["STORES", "Key", "Record", "Store", "Write", "open_store"]
