"""From an interaction's ``Outcome`` to status, headers and body.

The headers that never change are made once; a read costs a handful of tuples.
Source: FHIR R4 http.html (ETag, Last-Modified, Location, Prefer).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import msgspec
import orjson

from fhir_server.errors import FhirError, Issue, outcome
from fhir_server.interactions.context import Outcome
from fhir_server.rest.binary import ATTACHED, resource_form, unwrap
from fhir_server.rest.headers import PATCHES, http_date, parse_http_date
from fhir_server.rest.request import Request
from fhir_server.store import Record

HeaderList = list[tuple[bytes, bytes]]
Body = bytes | AsyncIterator[bytes]
Reply = tuple[int, HeaderList, Body]

NOSNIFF = (b"x-content-type-options", b"nosniff")
SAFE_HEADERS = (NOSNIFF, (b"cache-control", b"no-store"))
_JSON = ((b"content-type", b"application/fhir+json; charset=utf-8"), *SAFE_HEADERS)
_DONE = Issue("information", "informational", "done")


def reply_read(request: Request, result: Outcome) -> Reply:
    """One version of a resource, or 304 when the client has it already."""
    record = result.record
    if record is None:
        return reply_plain(request, result)
    if result.status == 304 or _is_known(request, record):
        return 304, [*SAFE_HEADERS, *_version_headers(record)], b""
    if request.type == "Binary" and not (request.query or request.asks_for_format):
        return _reply_binary(request, record)
    content = record.content if result.resource is None else result.resource
    return _sized(result.status, [*_JSON, *_version_headers(record)], _pretty(request, content))


def _reply_binary(request: Request, record: Record) -> Reply:
    """A Binary: its content, or the resource for who asks for that. Raises NotAcceptable."""
    content = unwrap(record.content)
    form = resource_form(request.header(b"accept"), content.kind)
    if form is not None:
        request.media = form
        return _sized(200, [*_JSON, *_version_headers(record)], _pretty(request, record.content))
    headers = [
        (b"content-type", content.header.encode()),
        *SAFE_HEADERS,
        *ATTACHED,
        *_version_headers(record),
    ]
    if content.security_reference:
        headers.append((b"x-security-context", content.security_reference.encode("latin-1", "replace")))
    return _sized(200, headers, content.bytes)


def reply_write(request: Request, result: Outcome) -> Reply:
    """What was written, in the form that ``Prefer: return`` asks for."""
    record = result.record
    if record is None or record.deleted:
        return reply_plain(request, result)
    headers: HeaderList = [*_JSON, *_version_headers(record), *_encoded(result)]
    location = f"{request.base}/{record.type}/{record.id}/_history/{record.version}"
    headers.append((b"location", location.encode()))
    answer = request.prefer.answer
    if answer == "minimal":
        return _sized(result.status, headers, b"")
    if answer == "OperationOutcome":
        body = orjson.dumps(outcome(result.issues or (_DONE,)))
    else:
        body = record.content if result.resource is None else result.resource
    return _sized(result.status, headers, _pretty(request, body))


def reply_delete(request: Request, result: Outcome) -> Reply:
    """204 with the deletion's version, or 200 with an OperationOutcome when that is preferred."""
    headers = _version_headers(result.record) if result.record else []
    if request.prefer.answer != "OperationOutcome":
        return result.status, [*SAFE_HEADERS, *headers], b""
    body = orjson.dumps(outcome(result.issues or (_DONE,)))
    return _sized(200, [*_JSON, *headers], _pretty(request, body))


def reply_plain(request: Request, result: Outcome) -> Reply:
    """A resource made for the answer, the version that an operation left, the issues, or nothing (204)."""
    headers: HeaderList = [*_JSON, *_encoded(result)]
    record = result.record
    if result.resource is not None:
        return _sized(result.status, headers, _pretty(request, result.resource))
    if result.stream is not None:
        return result.status, headers, result.stream
    if record is not None and not record.deleted:
        return _sized(result.status, [*headers, *_version_headers(record)], _pretty(request, record.content))
    if result.issues:
        return _sized(result.status, headers, _pretty(request, orjson.dumps(outcome(result.issues))))
    return 204, [*SAFE_HEADERS, *_encoded(result)], b""


def reply_options(methods: Collection[str]) -> Reply:
    """Which methods an address has, and which patches it takes."""
    allowed = ", ".join(sorted({*methods, "OPTIONS"}))
    headers: HeaderList = [*SAFE_HEADERS, (b"allow", allowed.encode())]
    if "PATCH" in methods:
        headers.append((b"accept-patch", PATCHES))
    return 204, headers, b""


def reply_error(error: FhirError) -> Reply:
    """The one shape of every error: an OperationOutcome with the class's status."""
    headers: HeaderList = [*_JSON]
    headers.extend(
        (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in error.headers.items()
    )
    return _sized(error.status, headers, orjson.dumps(error.outcome()))


def _sized(status: int, headers: HeaderList, body: bytes) -> Reply:
    headers.append((b"content-length", b"%d" % len(body)))
    return status, headers, body


def _version_headers(record: Record) -> HeaderList:
    return [
        (b"etag", b'W/"%d"' % record.version),
        (b"last-modified", http_date(record.updated // 1_000_000)),
    ]


def _encoded(result: Outcome) -> HeaderList:
    return [(name.lower().encode(), value.encode()) for name, value in result.headers.items()]


def _pretty(request: Request, body: bytes) -> bytes:
    # msgspec moves white space only: a decimal keeps its text.
    return msgspec.json.format(body, indent=2) if request.pretty and body else body


def _is_known(request: Request, record: Record) -> bool:
    since = request.headers.get(b"if-modified-since")
    if since is None or b"if-none-match" in request.headers:
        return False
    seconds = parse_http_date(since.decode("latin-1"))
    return seconds is not None and record.updated // 1_000_000 <= seconds
