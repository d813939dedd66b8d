"""Answers as Bundles, made of stored bytes: what is kept is copied into the answer, never parsed.

``base`` is the server's address without a slash at its end.
Source: FHIR R4 search.html#return, http.html#history, http.html#paging.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import quote

import orjson

from fhir_server.errors import Issue, outcome
from fhir_server.interactions.conditional import etag
from fhir_server.model import bundle
from fhir_server.model.resource import instant
from fhir_server.store import Record

Pairs = Sequence[tuple[str, str]]
CURSOR = "_cursor"
"""The URL parameter of ``next`` links that says where a page begins."""


def search_url(base: str, path: str, pairs: Pairs) -> str:
    """``base/path?name=value…``, values percent-encoded as far as a query needs it."""
    if sum([len(name) + len(value) for name, value in pairs]) <= SHORT:
        return _short_url(base, path, tuple(pairs))
    return _url(base, path, pairs)


def _url(base: str, path: str, pairs: Pairs) -> str:
    address = f"{base}/{path}" if path else base
    query = "&".join([f"{_quote(name)}={_quote(value)}" for name, value in pairs])
    return f"{address}?{query}" if query else address


SHORT = 256
"""Characters of names and values that are worth remembering; longer ones must not fill the memory."""


def _quote(text: str) -> str:
    return quote(text, safe=",:$/-._~")


_short_url = lru_cache(maxsize=4096)(_url)


def page_links(base: str, path: str, applied: Pairs, cursor: str | None) -> list[tuple[str, str]]:
    """The ``self`` link, and the ``next`` one when ``cursor`` leads on."""
    links = [("self", search_url(base, path, applied))]
    if cursor is not None:
        rest = [pair for pair in applied if pair[0] != CURSOR]
        links.append(("next", search_url(base, path, [*rest, (CURSOR, cursor)])))
    return links


def hit_entries(base: str, records: Iterable[Record], mode: str) -> list[bytes]:
    """Entries for ``bundle.make_searchset``, in pieces; ``mode`` is match or include.

    Types and ids need no escaping, so the address is escaped once for all entries.
    """
    begin, end = _frame(base, mode)
    pieces: list[bytes] = []
    for record in records:
        pieces += (f'{begin}{record.type}/{record.id}","resource":'.encode(), record.content, end)
    return pieces


@lru_cache(maxsize=256)
def _frame(base: str, mode: str) -> tuple[str, bytes]:
    """What stands before the address of an entry, and after its resource."""
    return f',{{"fullUrl":{orjson.dumps(base)[:-1].decode()}/', b',"search":{"mode":"%b"}}' % mode.encode()


def outcome_entry(outcome: bytes) -> bytes:
    """The searchset entry that tells something of the search itself; it is a piece like those of ``hit_entries``."""
    return b',{"resource":%b,"search":{"mode":"outcome"}}' % outcome


def ignored_entry(ignored: Pairs) -> bytes:
    """The searchset entry that tells which parameters lenient handling left out."""
    told = "was ignored: there is no such search parameter here"
    issues = [Issue("warning", "not-supported", f"{name} {told}", f"http.{name}") for name, _ in ignored]
    return outcome_entry(orjson.dumps(outcome(issues)))


def version_entry(base: str, record: Record, *, is_new: bool) -> bytes:
    """One version in a history: what was asked for, what was answered and, unless deleted, the resource.

    ``is_new``: there was no resource before it.
    """
    address = f"{record.type}/{record.id}"
    return bundle.history_entry(
        f"{base}/{address}",
        record.content,
        method=record.method,
        url=record.type if record.method == "POST" else address,
        status=status_text(204 if record.deleted else 201 if is_new else 200),
        etag=etag(record.version),
        updated=instant(record.updated),
    )


def status_text(status: int) -> str:
    """``201 Created``."""
    return f"{status} {HTTPStatus(status).phrase}"


def location(record: Record) -> str:
    """Where this version is, relative to the base: ``Patient/1/_history/3``."""
    return f"{record.type}/{record.id}/_history/{record.version}"
