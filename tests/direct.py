"""A client without sockets and without an HTTP library: thousands of questions take seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

Json = dict[str, Any]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(slots=True)
class Client:
    """Asks the application directly: without sockets thousands of questions take seconds."""

    asgi: Asgi
    token: str
    asked: int = 0

    async def __call__(
        self,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        kind: str = "application/fhir+json",
        if_match: str = "",
    ) -> tuple[int, Json]:
        """Status and body (as JSON, {} when there is none). ``path`` and ``query`` go out as they are."""
        headers = [
            (b"host", b"fhir.test"),
            (b"accept", b"application/fhir+json"),
            (b"authorization", f"Bearer {self.token}".encode()),
        ]
        if if_match:
            headers.append((b"if-match", if_match.encode()))
        if body:
            headers += [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "scheme": "http",
            "headers": headers,
            "query_string": query.encode("latin-1"),
        }
        sent: list[Json] = []

        async def receive() -> Json:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Json) -> None:
            sent.append(message)

        await self.asgi(scope, receive, send)
        self.asked += 1
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], orjson.loads(content) if content else {}
