"""The yardstick: the smallest ASGI application, an answer of 1.5 kB from memory, on uvicorn as it comes.

``python -m fhir_server.cli.bench.bare PORT [gathered]``; ``gathered``: through ``rest.protocol``, as our server is.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from fhir_server.rest.protocol import GatheringProtocol

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


def serve(port: int, *, gathered: bool) -> None:
    """Run it on the loopback address until it is told to end."""
    uvicorn.run(
        app,
        port=port,
        loop="uvloop",
        http=GatheringProtocol if gathered else "httptools",
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
    )


if __name__ == "__main__":
    serve(int(sys.argv[1]), gathered="gathered" in sys.argv[2:])
