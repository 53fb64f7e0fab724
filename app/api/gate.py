"""Who may come in: keys, and no more requests at once than the settings allow."""

import hashlib
import hmac
import re
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import problem_of, too_large
from app.errors import Busy, Forbidden, ServiceError, Unauthorized
from app.keys import SCOPES, Key
from app.settings import Settings

OPEN = re.compile(r"/|/livez|/readyz|/docs|/openapi\.json|/swagger/[^/]*")
COMPUTES = re.compile(
    r"/v1/(translate|stitch|relative|compare|spaces/[^/]+/disentanglement"
    r"|collections/[^/]+/(search|rerank|points/(get|list|count)))"
)


class Gate:
    """ASGI middleware. With keys, every route is closed unless OPEN says otherwise."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: list[Key]) -> None:
        self.app, self.keys = app, keys
        self.places = self.most = settings.max_requests
        self.longest = settings.max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or OPEN.fullmatch(scope["path"]):
            return await self.app(scope, receive, send)
        try:
            self.check_key(scope)
            self.check_length(scope)
            self.check_place()
        except ServiceError as error:
            return await problem_of(error, scope["path"])(scope, receive, send)
        self.places -= 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.places += 1

    def check_key(self, scope: Scope) -> None:
        """Unauthorized, Forbidden."""
        if not self.keys:
            return
        needed, key = scope_needed(scope["method"], scope["path"]), bearer(dict(scope["headers"]))
        if not key:
            raise Unauthorized("this server needs a key: send the header Authorization: Bearer <key>")
        digest = hashlib.sha256(key).hexdigest()
        found = [key.scope for key in self.keys if hmac.compare_digest(key.sha256, digest)]
        if not found:
            raise Unauthorized(
                "this server does not know the key: ask its operator for one, `anchorage key` makes it"
            )
        if max(map(SCOPES.index, found)) < SCOPES.index(needed):
            raise Forbidden(
                f"this request needs a key of scope {needed!r}, yours is {found[0]!r}", expected=needed
            )

    def check_length(self, scope: Scope) -> None:
        """Before a byte is read; a body without a length is stopped where it passes the limit."""
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.longest:
            raise too_large(self.longest)

    def check_place(self) -> None:
        if not self.places:
            raise Busy(f"{self.most} requests are in flight: try again in a moment", limit=self.most)


def scope_needed(method: str, path: str) -> str:
    reads = method in ("GET", "HEAD") or (method == "POST" and COMPUTES.fullmatch(path))
    return "read" if reads else "write"


def bearer(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""
