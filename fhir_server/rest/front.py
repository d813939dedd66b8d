"""The first function every connection meets: ``/fhir`` goes to the raw endpoint, the rest to FastAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fhir_server.rest.reply import NOSNIFF

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class Front:
    """An ASGI application in front of two."""

    def __init__(self, endpoint: Asgi, site: Asgi) -> None:
        self._endpoint = endpoint
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to whom it belongs."""
        if scope["type"] != "http":
            await self._site(scope, receive, send)
            return
        path: str = scope["path"]
        if path.startswith("/fhir/") or path == "/fhir":
            await self._endpoint(scope, receive, send)
            return
        await self._site(scope, receive, _with_safe_headers(send))


def _with_safe_headers(send: Send) -> Send:
    async def send_safely(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], NOSNIFF]}
        await send(message)

    return send_safely
