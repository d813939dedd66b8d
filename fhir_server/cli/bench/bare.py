"""The yardstick: the smallest ASGI application, an answer of 1.5 kB from memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

BODY = b'{"resourceType":"Basic","text":"' + b"x" * 1466 + b'"}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/fhir+json"), (b"content-length", b"%d" % len(BODY))],
}
_REPLY = {"type": "http.response.body", "body": BODY}


async def app(
    scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Answer every request with the same bytes."""
    await send(_START)
    await send(_REPLY)
