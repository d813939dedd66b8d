"""The last step of an answer: XML for who asks for it, the name of the form, compression.

Nothing here runs for a client that takes JSON as it is. Source: FHIR R4 http.html#mime-type; RFC 9110 §8.4, §12.
"""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import AsyncIterator, Callable

from fhir_server.definitions import Definitions
from fhir_server.formats import indent, to_xml
from fhir_server.rest.compression import ENCODINGS, choose_encoding, is_worth_compressing, packed
from fhir_server.rest.media import JSON
from fhir_server.rest.reply import HeaderList, Reply
from fhir_server.rest.request import LARGE, Request

_TYPE, _LENGTH = b"content-type", b"content-length"
_REPLACED = frozenset({_TYPE, _LENGTH})
_VARY = (b"vary", b"accept, accept-encoding")


async def represent(request: Request, reply: Reply) -> Reply:
    """``reply`` (JSON) in the form and the encoding that the client asked for. Raises InvalidContent."""
    status, headers, body = reply
    if not isinstance(body, bytes):
        return _represent_stream(request, status, headers, body)
    if not body:
        return reply
    kind, body = await _converted(request, dict(headers)[_TYPE], body)
    added: HeaderList = [_VARY]
    encoding = choose_encoding(request.headers.get(b"accept-encoding", b""))
    if encoding is not None and is_worth_compressing(kind, body):
        body = await _beside(body, ENCODINGS[encoding])
        added.append((b"content-encoding", encoding.encode()))
    kept = [pair for pair in headers if pair[0] not in _REPLACED]
    return status, [(_TYPE, kind), *kept, *added, (_LENGTH, b"%d" % len(body))], body


def _represent_stream(
    request: Request, status: int, headers: HeaderList, body: AsyncIterator[bytes]
) -> Reply:
    """A stream is JSON; it is packed as it comes."""
    encoding = choose_encoding(request.headers.get(b"accept-encoding", b""))
    if encoding is None:
        return status, [*headers, _VARY], body
    return status, [*headers, _VARY, (b"content-encoding", encoding.encode())], packed(body, encoding)


async def _converted(request: Request, kind: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Content-Type and body in the form that was asked for; content that is no resource stays as it is."""
    media = request.media or JSON
    if kind != JSON.content_type or media is JSON:
        return kind, body
    if media.is_xml:
        body = await _beside(body, _xml_maker(request.server.definitions, pretty=request.pretty))
    return media.content_type, body


def _xml_maker(definitions: Definitions, *, pretty: bool) -> Callable[[bytes], bytes]:
    def make(content: bytes) -> bytes:
        xml = to_xml(definitions, content)
        return indent(xml) if pretty else xml

    return make


async def _beside(body: bytes, work: Callable[[bytes], bytes]) -> bytes:
    """What ``work`` makes of ``body``: beside the event loop when it is large."""
    return work(body) if len(body) < LARGE else await to_thread(work, body)
