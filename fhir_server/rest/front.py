"""The first function every connection meets: ``/fhir`` goes to the raw endpoint, the rest to FastAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fhir_server.errors import FhirError, Throttled
from fhir_server.rest.bugs import log_bug
from fhir_server.rest.reply import NOSNIFF, reply_error
from fhir_server.rest.request_id import RequestIds

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


MOST_UNDER_WAY = 2_000
"""Requests to FHIR that are being answered; who comes when there are more is sent away at once (429)."""


class Front:
    """An ASGI application in front of two. Whatever FastAPI answers to GET it answers to HEAD."""

    def __init__(self, endpoint: Asgi, site: Asgi) -> None:
        self._endpoint = endpoint
        self._site = site
        self._request_ids = RequestIds()
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to whom it belongs."""
        path: str = scope["path"]
        if path.startswith("/fhir/") or path == "/fhir":
            await self._serve(scope, receive, send)
            return
        request_id = self._request_ids(dict(scope["headers"]).get(b"x-request-id"))
        scope["request_id"] = request_id
        answer = _with_headers(send, request_id)
        if scope["method"] == "HEAD":
            scope, answer = {**scope, "method": "GET"}, _without_body(answer)
        try:
            await self._site(scope, receive, answer)
        except Exception as error:  # answered already: FastAPI raises it again for the log
            log_bug(error, request_id, path)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand it to the endpoint, unless that has more to do already than it can do soon."""
        if self._under_way >= MOST_UNDER_WAY:
            await self._refuse(scope, send)
            return
        self._under_way += 1
        try:
            await self._endpoint(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _refuse(self, scope: Scope, send: Send) -> None:
        error = Throttled(
            f"{MOST_UNDER_WAY:,} requests are under way already: send again", headers={"Retry-After": "1"}
        )
        await send_refusal(self._request_ids, error, scope, send)


async def send_refusal(request_ids: RequestIds, error: FhirError, scope: Scope, send: Send) -> None:
    """Answer a request that nobody looks at any further."""
    status, headers, body = reply_error(error)
    request_id = request_ids(dict(scope["headers"]).get(b"x-request-id"))
    headers.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _with_headers(send: Send, request_id: str) -> Send:
    more = [NOSNIFF, (b"x-request-id", request_id.encode())]

    async def send_with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return send_with_headers


def _without_body(send: Send) -> Send:
    async def send_head(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return send_head
