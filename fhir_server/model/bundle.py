"""Bundles put together from bytes that are never parsed again.

Source: FHIR R4 bundle.html, http.html#transaction, http.html#history.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import orjson

SHORT = 512
"""Characters of a page's own address that is worth remembering: inboxes are polled by the same one."""

Links = Sequence[tuple[str, str]]
"""(relation, URL) pairs: self, next, …"""


def member(name: str, value: object) -> bytes:
    """One JSON member, ``"name":value``."""
    return b'"%b":%b' % (name.encode(), orjson.dumps(value))


def make_bundle(
    type: str,
    entries: Iterable[bytes],
    *,
    links: Links = (),
    total: int | None = None,
    id: str | None = None,
    updated: str | None = None,
    **more: object,
) -> bytes:
    """A Bundle of ready-made ``entries``. ``updated`` is an instant for meta.lastUpdated; ``more`` are further
    members, as a document's identifier and timestamp."""
    told = [] if id is None else [member("id", id)]
    if updated is not None:
        told.append(member("meta", {"lastUpdated": updated}))
    told.extend(member(name, value) for name, value in more.items())
    head = _head(type, links, total, told)
    items = list(entries)
    if not items:
        return b"{%b}" % head
    # One copy of what may be many megabytes: the frame goes into the first and the last entry.
    items[0] = b'{%b,"entry":[%b' % (head, items[0])
    items[-1] += b"]}"
    return b",".join(items)


def make_searchset(pieces: Sequence[bytes], *, links: Links, total: int | None) -> bytes:
    """A searchset of entries in ``pieces``, each of which begins with a comma: every byte is copied once."""
    head = _head("searchset", links, total)
    if not pieces:
        return b"{%b}" % head
    return b"".join([b'{%b,"entry":[' % head, pieces[0][1:], *pieces[1:], b"]}"])


def _head(type: str, links: Links, total: int | None, told: Sequence[bytes] = ()) -> bytes:
    """The members before ``entry``."""
    parts = [b'"resourceType":"Bundle"', *told, b'"type":"%b"' % type.encode()]
    if total is not None:
        parts.append(b'"total":%d' % total)
    if links:
        parts.append(_link_member(links))
    return b",".join(parts)


def _link_member(links: Links) -> bytes:
    if len(links) == 1 and len(links[0][1]) <= SHORT:
        return _one_link(*links[0])
    return member("link", [{"relation": name, "url": url} for name, url in links])


@lru_cache(maxsize=2048)
def _one_link(name: str, url: str) -> bytes:
    return member("link", [{"relation": name, "url": url}])


def plain_entry(full_url: str, content: bytes) -> bytes:
    """An entry of a collection or document."""
    return b'{"fullUrl":%b,"resource":%b}' % (orjson.dumps(full_url), content)


def history_entry(
    full_url: str, content: bytes, *, method: str, url: str, status: str, etag: str, updated: str
) -> bytes:
    """An entry of a history. ``content`` b"": the version is a deletion. ``url`` is relative to the base."""
    return b"{%b}" % b",".join(
        [
            member("fullUrl", full_url),
            *([b'"resource":%b' % content] if content else ()),
            member("request", {"method": method, "url": url}),
            member("response", {"status": status, "etag": etag, "lastModified": updated}),
        ]
    )


def response_entry(
    status: str,
    *,
    location: str | None = None,
    etag: str | None = None,
    updated: str | None = None,
    content: bytes = b"",
    outcome: bytes = b"",
    full_url: str | None = None,
) -> bytes:
    """An entry of a batch-response or transaction-response; ``outcome`` holds an OperationOutcome's bytes."""
    response = [member("status", status)]
    for name, value in (("location", location), ("etag", etag), ("lastModified", updated)):
        if value is not None:
            response.append(member(name, value))
    if outcome:
        response.append(b'"outcome":%b' % outcome)
    parts = [member("fullUrl", full_url)] if full_url is not None else []
    if content:
        parts.append(b'"resource":%b' % content)
    parts.append(b'"response":{%b}' % b",".join(response))
    return b"{%b}" % b",".join(parts)
