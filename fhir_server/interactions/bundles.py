"""Bundles made of stored bytes: what is kept is copied into the answer, never parsed.

``base`` is the server's address without a slash at its end.
Source: FHIR R4 bundle.html, http.html#paging.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import quote, urlencode

import orjson

from fhir_server.interactions.conditional import etag
from fhir_server.model.resource import instant
from fhir_server.store import Record

Pairs = Sequence[tuple[str, str]]
CURSOR = "_cursor"
"""The URL parameter of ``next`` links that says where a page begins."""


def bundle(
    kind: str, entries: Iterable[bytes], *, links: Sequence[tuple[str, str]] = (), total: int | None = None
) -> bytes:
    """A Bundle of type ``kind`` from ready-made ``entries``; ``links`` are (relation, url) pairs."""
    head = [b'{"resourceType":"Bundle","type":"%b"' % kind.encode()]
    if total is not None:
        head.append(b',"total":%d' % total)
    if links:
        shown = [{"relation": relation, "url": url} for relation, url in links]
        head.append(b',"link":' + orjson.dumps(shown))
    body = b",".join(entries)
    if body:
        head.append(b',"entry":[' + body + b"]")
    return b"".join((*head, b"}"))


def search_url(base: str, path: str, pairs: Pairs) -> str:
    """``base/path?name=value…``, values percent-encoded as far as a query needs it."""
    query = urlencode(pairs, quote_via=quote, safe=",:$/-._~")
    return f"{base}/{path}?{query}" if query else f"{base}/{path}"


def page_links(base: str, path: str, applied: Pairs, cursor: tuple[str, str] | None) -> list[tuple[str, str]]:
    """The ``self`` link, and the ``next`` one when ``cursor`` (parameter name and value) leads on."""
    links = [("self", search_url(base, path, applied))]
    if cursor is not None:
        rest = [pair for pair in applied if pair[0] != cursor[0]]
        links.append(("next", search_url(base, path, [*rest, cursor])))
    return links


def hit_entries(base: str, records: Iterable[Record], mode: str) -> list[bytes]:
    """Entries of a searchset: ``mode`` is match or include."""
    prefix = orjson.dumps(base)[:-1]
    tail = b',"search":{"mode":"%b"}}' % mode.encode()
    return [
        b'{"fullUrl":%b/%b/%b","resource":%b%b' % (prefix, r.type.encode(), r.id.encode(), r.content, tail)
        for r in records
    ]


def outcome_entry(outcome: bytes) -> bytes:
    """The searchset entry that tells what was ignored."""
    return b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome


def history_entry(base: str, record: Record) -> bytes:
    """One version in a history: what was asked for, what was answered and, unless deleted, the resource."""
    address = f"{record.type}/{record.id}"
    target = record.type if record.method == "POST" else address
    resource = b"" if record.deleted else b'"resource":%b,' % record.content
    request = orjson.dumps({"method": record.method, "url": target})
    response = orjson.dumps(response_of(record, _history_status(record)))
    full_url = orjson.dumps(f"{base}/{address}")
    return b'{"fullUrl":%b,%b"request":%b,"response":%b}' % (full_url, resource, request, response)


def _history_status(record: Record) -> int:
    if record.deleted:
        return 204
    return 201 if record.version == 1 else 200


def response_of(record: Record | None, status: int) -> dict[str, str]:
    """``Bundle.entry.response`` of an interaction that left ``record``."""
    response = {"status": f"{status} {HTTPStatus(status).phrase}"}
    if record is not None:
        response["etag"] = etag(record.version)
        response["lastModified"] = instant(record.updated)
    return response


def location(record: Record, base: str = "") -> str:
    """Where this version is: ``[base/]Patient/1/_history/3``."""
    path = f"{record.type}/{record.id}/_history/{record.version}"
    return f"{base}/{path}" if base else path
