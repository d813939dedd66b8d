"""CORS: which web pages of other origins may call this server from a browser.

There only when ``FHIR_CORS_ORIGINS`` names origins. Tokens travel in ``Authorization``, so no cookie is ever allowed.
Source: Fetch Standard, CORS protocol.
"""

from __future__ import annotations

from collections.abc import Collection, MutableMapping
from typing import Any

from fhir_server.rest.body import Receive
from fhir_server.rest.front import Asgi, Send

ANY = "*"
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
SENT = (
    b"accept, authorization, content-encoding, content-type, if-match, if-modified-since, if-none-exist, "
    b"if-none-match, prefer, x-request-id, x-security-context"
)
"""Request headers that a page may set."""
EXPOSED = (
    b"content-disposition, content-location, etag, last-modified, location, retry-after, warning, www-authenticate, "
    b"x-request-id, x-security-context"
)
"""Answer headers that a page may read."""
SECONDS = b"86400"
"""How long a browser may remember the answer to a preflight."""


class Cors:
    """An ASGI application that lets pages of ``origins`` use the one behind it; ``*`` means any page."""

    def __init__(self, application: Asgi, origins: Collection[str]) -> None:
        self._application = application
        self._any = ANY in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a preflight, or pass the request on and add to its answer what the page may see."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is None or not (self._any or origin in self._origins):
            await self._application(scope, receive, send)
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _answer_preflight(send, self._permission(origin))
        else:
            allowed = [*self._permission(origin), (b"access-control-expose-headers", EXPOSED)]
            await self._application(scope, receive, _adding(send, allowed))

    def _permission(self, origin: bytes) -> list[tuple[bytes, bytes]]:
        return [(b"access-control-allow-origin", b"*" if self._any else origin), (b"vary", b"origin")]


async def _answer_preflight(send: Send, permission: list[tuple[bytes, bytes]]) -> None:
    headers = [
        *permission,
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", SENT),
        (b"access-control-max-age", SECONDS),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _adding(send: Send, more: list[tuple[bytes, bytes]]) -> Send:
    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return send_with_headers
