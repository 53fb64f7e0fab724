"""Keys: who may do what."""

import re
from dataclasses import dataclass

from app.errors import ConfigurationError

SCOPES = ("read", "write", "admin")  # each includes those before it


@dataclass(frozen=True)
class Key:
    """Only the hash of a key is known here."""

    scope: str
    sha256: str

    @classmethod
    def parse(cls, text: str) -> "Key":
        scope, _, digest = text.partition(":")
        if scope not in SCOPES or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ConfigurationError(
                "ANCHORAGE_KEYS: a key is scope:sha256, as `anchorage key` prints, with a scope of "
                f"{list(SCOPES)}: got {text[:12]!r}…"
            )
        return cls(scope, digest)
