"""Bundles put together from bytes that are never parsed again.

Source: FHIR R4 bundle.html, http.html#transaction, http.html#history.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

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
    parts = [b'"resourceType":"Bundle"']
    if id is not None:
        parts.append(member("id", id))
    if updated is not None:
        parts.append(member("meta", {"lastUpdated": updated}))
    parts.extend(member(name, value) for name, value in more.items())
    parts.append(member("type", type))
    if total is not None:
        parts.append(b'"total":%d' % total)
    if links:
        parts.append(member("link", [{"relation": name, "url": url} for name, url in links]))
    head = b",".join(parts)
    items = list(entries)
    if not items:
        return b"{%b}" % head
    # One copy of what may be many megabytes: the frame goes into the first and the last entry.
    items[0] = b'{%b,"entry":[%b' % (head, items[0])
    items[-1] += b"]}"
    return b",".join(items)


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
