"""``/fhir``: the raw ASGI application that takes every FHIR request from bytes to bytes.

It stands in front of FastAPI because routing, models and middleware there cost more than the store
does. One function, ``answer``, serves every row of the route table.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, MutableMapping
from difflib import get_close_matches
from logging import DEBUG
from string import ascii_letters, digits
from time import perf_counter
from typing import Any

import structlog

from fhir_server.errors import FhirError, InvalidContent, NotFound, NotSupported
from fhir_server.interactions.context import Server
from fhir_server.rest.body import ClientGone, Receive
from fhir_server.rest.bugs import bug, log_bug
from fhir_server.rest.media import JSON
from fhir_server.rest.metrics import RequestMetrics
from fhir_server.rest.reply import Reply, reply_error, reply_options
from fhir_server.rest.representation import represent
from fhir_server.rest.request import Request
from fhir_server.rest.request_id import RequestIds
from fhir_server.rest.routes import Route, shape_of, table
from fhir_server.rest.uri import split_path
from fhir_server.security.admission import Admission

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/fhir"
SLOW = 1.0
"""Requests that take longer (seconds) are logged at ``info`` even when they succeed."""
_HOST_CHARACTERS = (ascii_letters + digits + "-.:[]").encode()
MOST_BASES = 256


class Endpoint:
    """Everything below ``/fhir``.

    ``base_url`` None means that links are made from the request's own scheme and ``Host``.
    """

    def __init__(
        self,
        server: Server,
        admit: Admission,
        metrics: RequestMetrics,
        *,
        base_url: str | None,
        max_body: int,
    ) -> None:
        self._server = server
        self._admit = admit
        self._metrics = metrics
        self._base_url = base_url
        self._max_body = max_body
        self._routes = table()
        self._types = server.definitions.resource_types
        self._of_types: dict[bytes, tuple[list[str], Mapping[str, Route]]] = {}
        for path in [f"{PREFIX}/{type}".encode() for type in self._types]:
            self._of_types[path] = self._find(path)
        self._bases: dict[tuple[str, bytes], str] = {}
        self._request_ids = RequestIds()
        self._log = structlog.get_logger("fhir_server.rest").bind()
        self._log_all = self._log.is_enabled_for(DEBUG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        started = perf_counter()
        request = Request(self._server, scope, receive, self._max_body)
        request.request_id = self._request_ids(request.headers.get(b"x-request-id"))
        try:
            reply = await self.answer(request)
            if request.media is not JSON or b"accept-encoding" in request.headers:
                reply = await represent(request, reply)
        except FhirError as error:
            reply = await self._refuse(request, error)
        except ClientGone:
            return
        except Exception as error:
            log_bug(error, request.request_id, request.interaction)
            reply = await self._refuse(request, bug(request.request_id))
        status, headers, body = reply
        headers.append((b"x-request-id", request.request_id.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if request.method == "HEAD" or isinstance(body, bytes):
            await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})
        else:
            await self._stream(request, send, body)
        self._note(request, status, perf_counter() - started)

    async def _stream(self, request: Request, send: Send, pieces: AsyncIterator[bytes]) -> None:
        """Send a body piece by piece. What goes wrong on the way breaks the connection: half an answer must not look
        like a whole one."""
        try:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except Exception as error:
            log_bug(error, request.request_id, request.interaction)
            raise
        await send({"type": "http.response.body", "body": b""})

    async def _refuse(self, request: Request, error: FhirError) -> Reply:
        """The reply that tells ``error``, in the form that the client wanted."""
        request.settle_media()
        reply = reply_error(error)
        try:
            return await represent(request, reply)
        except FhirError:  # it quotes what XML cannot hold
            return reply

    async def answer(self, request: Request) -> Reply:
        """Find the route, find out who asks, call the interaction, form the reply. Raises FhirError."""
        segments, methods = self._find(request.path)
        route = methods.get(request.method)
        if route is None or not route.open:
            request.caller = await self._admit(request.headers.get(b"authorization"))
        if route is None:
            return _reply_otherwise(request.method, segments, methods)
        self._place(request, route, segments)
        request.base = self._base_url or self._base_of(request)
        request.read_query()
        return route.reply(request, await route.call(request))

    def _find(self, path: bytes) -> tuple[list[str], Mapping[str, Route]]:
        """The segments after ``/fhir`` and the rows that they lead to."""
        known = self._of_types.get(path)
        if known is not None:
            return known
        segments = split_path(path)[1:]
        return segments, self._routes.get(shape_of(segments), {})

    def _place(self, request: Request, route: Route, segments: list[str]) -> None:
        """Give the request what its path names. Raises NotFound for an unknown type."""
        request.interaction, request.pattern = route.interaction, route.path
        if segments:
            request.last = segments[-1]
        if route.typed:
            request.type = segments[0]
            if request.type not in self._types:
                raise _no_type(request.type, self._types)
        if len(segments) > 1:
            request.id = segments[1]

    def _base_of(self, request: Request) -> str:
        """``http://host:port/fhir`` as the client addressed it. Raises InvalidContent for a strange Host."""
        key = (request.scheme, request.headers.get(b"host", b""))
        base = self._bases.get(key)
        if base is None:
            base = _make_base(*key)
            if len(self._bases) >= MOST_BASES:
                self._bases.clear()
            self._bases[key] = base
        return base

    def _note(self, request: Request, status: int, seconds: float) -> None:
        self._metrics.observe(request.interaction, status, seconds)
        if status < 400 and seconds < SLOW and not self._log_all:
            return
        log = self._log.info if status >= 400 or seconds >= SLOW else self._log.debug
        log(
            "request",
            request_id=request.request_id,
            method=request.method,
            route=request.pattern,
            interaction=request.interaction,
            status=status,
            ms=round(seconds * 1000, 2),
        )


def _make_base(scheme: str, host: bytes) -> str:
    if not host or host.translate(None, _HOST_CHARACTERS):
        raise InvalidContent("the Host header is missing or malformed", expression="http.Host")
    return f"{scheme}://{host.decode('ascii')}{PREFIX}"


def _no_type(type: str, types: Collection[str]) -> NotFound:
    lower = {name.lower(): name for name in types}
    close = [lower[name] for name in get_close_matches(type.lower(), lower, n=1)]
    hint = f"; did you mean {close[0]}?" if close else ""
    return NotFound(f"there is no resource type {type[:64]!r}{hint}", code="not-supported")


def _reply_otherwise(method: str, segments: list[str], methods: Mapping[str, Route]) -> Reply:
    """What OPTIONS is told. Raises NotFound or NotSupported for all else that has no row."""
    if not methods:
        raise NotFound(f"there is no address {PREFIX}/{'/'.join(segments)[:200]}")
    if method == "OPTIONS":
        return reply_options(methods)
    allowed = ", ".join(sorted(methods))
    raise NotSupported(f"{method} is not possible here; allowed: {allowed}", headers={"Allow": allowed})
