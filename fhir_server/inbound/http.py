"""The HTTP door: ``POST /inbound/{his}``, and the quarantine for the integrators of that HIS.

The caller's organisation must be the one that runs the HIS. An HL7 v2 message is answered with its
acknowledgement, a table (CSV) with an OperationOutcome that has an issue per row. The status says the worst:
200 only when everything was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from fhir_server.errors import (
    FhirError,
    Forbidden,
    InvalidContent,
    Issue,
    NotFound,
    TooLarge,
    UnsupportedMedia,
    outcome,
)
from fhir_server.inbound import journal
from fhir_server.inbound.ack import acknowledge
from fhir_server.inbound.journal import Message
from fhir_server.inbound.receive import Receipt, discard, his_caller, quarantined, receive, replay
from fhir_server.interactions.context import Server
from fhir_server.mapping import His, Mappings, split
from fhir_server.mapping.readers.hl7v2 import MEDIA_TYPES
from fhir_server.mapping.recognise import looks_like_hl7, parse_content_type
from fhir_server.model.resource import Json, instant
from fhir_server.security.caller import Caller

Authenticate = Callable[[bytes | None], Awaitable[Caller]]
FHIR_JSON = "application/fhir+json"
HL7 = MEDIA_TYPES[2]
MAX_LISTED = 500


def router(
    server: Server, mappings: Callable[[], Mappings], authenticate: Authenticate, *, max_body: int
) -> APIRouter:
    """The routes below ``/inbound``.

    ``authenticate`` is given the Authorization header and raises Unauthenticated; ``max_body`` is in bytes. Errors
    are FhirErrors: the application that includes the router has a handler for them.
    """
    routes = APIRouter(prefix="/inbound", tags=["inbound"])
    door = HttpDoor(server, mappings, authenticate, max_body)
    routes.add_api_route("/{his}", door.post, methods=["POST"], summary="Send a message", openapi_extra=_BODY)
    routes.add_api_route("/{his}/quarantine", door.listing, methods=["GET"], summary="What waits for repair")
    routes.add_api_route(
        "/{his}/quarantine/replay", door.replay_all, methods=["POST"], summary="Try all again"
    )
    routes.add_api_route("/{his}/quarantine/{id}", door.raw, methods=["GET"], summary="A message as it came")
    routes.add_api_route("/{his}/quarantine/{id}/replay", door.replay, methods=["POST"], summary="Try again")
    routes.add_api_route("/{his}/quarantine/{id}/discard", door.discard, methods=["POST"], summary="Give up")
    return routes


class HttpDoor:
    """What the routes do."""

    def __init__(
        self, server: Server, mappings: Callable[[], Mappings], authenticate: Authenticate, max_body: int
    ) -> None:
        self._server = server
        self._mappings = mappings
        self._authenticate = authenticate
        self._max_body = max_body

    async def post(self, his: str, request: Request) -> Response:
        """Take a message: HL7 v2 (`x-application/hl7-v2+er7`) or a table (`text/csv`), in the charset it says."""
        caller = await self._admit(his, request)
        content_type = request.headers.get("content-type")
        raw = await self._body(request)
        peer = f"client:{caller.client}"
        if looks_like_hl7(raw, parse_content_type(content_type)[0]):
            receipt = await self._receive(his, raw, peer, content_type)
            return self._acknowledge(his, raw, receipt)
        rows = self._rows(his, raw, content_type)
        return _tell_rows([await self._receive(his, row, peer, content_type) for row in rows])

    async def listing(self, his: str, request: Request, code: str | None = None) -> Response:
        """The messages in quarantine with their reasons, oldest first; `code` only those with that reason."""
        await self._admit(his, request)
        messages, page = await journal.find(
            self._server.store, "quarantined", his=his, rule=code, count=MAX_LISTED, total=True
        )
        groups = Counter((reason.rule or reason.code, reason.text) for m in messages for reason in m.reasons)
        body = {
            "total": page.total,
            "groups": [{"code": c, "text": text, "messages": n} for (c, text), n in groups.most_common(20)],
            "messages": [_shown(message) for message in messages],
        }
        return Response(orjson.dumps(body), media_type="application/json")

    async def raw(self, his: str, id: str, request: Request) -> Response:
        """The bytes of one message as they came."""
        await self._admit(his, request)
        message = await self._message(his, id)
        raw = await journal.read_raw(self._server.store, message)
        return Response(raw, media_type="application/octet-stream")

    async def replay(self, his: str, id: str, request: Request) -> Response:
        """Try one message again with the mapping as it is now."""
        await self._admit(his, request)
        await self._message(his, id)
        return _tell_rows([await replay(self._server, self._mappings(), id)])

    async def replay_all(self, his: str, request: Request, code: str | None = None) -> Response:
        """Try all messages again, oldest first; `code` only those with that reason."""
        await self._admit(his, request)
        ids = await journal.find_ids(self._server.store, "quarantined", his=his, rule=code)
        receipts = [await replay(self._server, self._mappings(), id) for id in ids]
        return (
            _tell_rows(receipts)
            if receipts
            else _outcome(200, [Issue("information", "informational", "nothing waits")])
        )

    async def discard(self, his: str, id: str, request: Request) -> Response:
        """Give one message up. The body says why: `{"reason": "…"}`."""
        await self._admit(his, request)
        await self._message(his, id)
        await discard(self._server, id, _reason(await self._body(request)))
        return _done("the message was discarded")

    async def _admit(self, his: str, request: Request) -> Caller:
        """Raises Unauthenticated, NotFound for an unknown HIS, Forbidden for another organisation's."""
        caller = await self._authenticate(dict(request.scope["headers"]).get(b"authorization"))
        known = self._mappings().his.get(his)
        if known is None:
            raise NotFound(f"no HIS is called {his[:64]!r} here", rule="UNKNOWN_HIS")
        if not caller.system:
            await self._require_own(caller, known)
        return caller

    async def _require_own(self, caller: Caller, his: His) -> None:
        own = await his_caller(self._server, his)
        if caller.organization != own.organization:
            raise Forbidden(f"only the organisation that runs {his.key} may do this")

    async def _message(self, his: str, id: str) -> Message:
        """The quarantined message, when it is this HIS's. Raises NotFound or Conflict."""
        message = await quarantined(self._server, id)
        if message.his != his:
            raise NotFound(f"there is no message {id[:64]}")
        return message

    def _rows(self, his: str, raw: bytes, content_type: str | None) -> list[bytes]:
        """The rows of a table; a file that cannot be cut is one message, so that it is kept with its fault."""
        try:
            rows = split(self._mappings(), his, raw, content_type)
        except FhirError:
            return [raw]
        if not rows:
            raise InvalidContent("the table has no rows; the first line only names the columns")
        return rows

    async def _receive(self, his: str, raw: bytes, peer: str, content_type: str | None) -> Receipt:
        return await receive(self._server, self._mappings(), his, raw, peer=peer, content_type=content_type)

    def _acknowledge(self, his: str, raw: bytes, receipt: Receipt) -> Response:
        now = self._server.now().astimezone(self._server.timezone)
        codec = self._mappings().his[his].codec
        body = acknowledge(raw, receipt, now=now, new_id=self._server.new_id, default_codec=codec)
        return Response(body, receipt.http, media_type=HL7)

    async def _body(self, request: Request) -> bytes:
        """The body. Raises UnsupportedMedia when it is compressed, TooLarge over the limit."""
        if request.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedMedia("messages are taken uncompressed", headers={"Accept-Encoding": "identity"})
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self._max_body:
                raise TooLarge(f"the body is longer than {self._max_body} bytes")
            parts.append(part)
        return b"".join(parts)


def _tell_rows(receipts: list[Receipt]) -> Response:
    """One issue per row and reason; the status is the first that is not 200."""
    issues = [issue for number, receipt in enumerate(receipts, 1) for issue in _row_issues(number, receipt)]
    status = next((receipt.http for receipt in receipts if receipt.http != 200), 200)
    return _outcome(status, issues)


def _row_issues(number: int, receipt: Receipt) -> list[Issue]:
    if receipt.ack != "AA":
        return _placed(number, receipt)
    written = f": {', '.join(receipt.references)}" if receipt.references else ""
    text = f"row {number}: AA, {receipt.success}{written}"
    return [Issue("information", "informational", text, f"row[{number}]"), *_placed(number, receipt)]


def _placed(number: int, receipt: Receipt) -> list[Issue]:
    """The issues of one row, each saying which row it is about."""
    told = f"row {number}: {receipt.ack}"
    return [
        replace(issue, text=f"{told}, {issue.text}", expression=issue.expression or f"row[{number}]")
        for issue in receipt.issues
    ]


def _done(text: str) -> Response:
    return _outcome(200, [Issue("information", "informational", text)])


def _outcome(status: int, issues: list[Issue]) -> Response:
    return Response(orjson.dumps(outcome(issues)), status, media_type=FHIR_JSON)


def _shown(message: Message) -> Json:
    return {
        "id": message.id,
        "received": instant(message.received),
        "peer": message.peer,
        "kind": message.kind,
        "sender": message.sender,
        "control": message.control,
        "ack": message.ack,
        "attempts": message.attempts,
        "reasons": journal.reasons_as_json(message.reasons),
    }


def _reason(body: bytes) -> str:
    """Raises InvalidContent unless the body is ``{"reason": "…"}``."""
    try:
        data: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidContent('the body must be JSON: {"reason": "…"}') from error
    reason = data.get("reason") if isinstance(data, dict) else None
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidContent('say why in the body: {"reason": "…"}', expression="reason", code="required")
    return reason.strip()


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            HL7: {"schema": {"type": "string", "format": "binary"}},
            "text/csv": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
"""The bodies that Swagger offers."""
