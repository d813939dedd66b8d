"""What refers to a resource, whatever its type: one pass over the terms of its references, without any content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fhir_server.search.query import Query
from fhir_server.store import Referring, Version
from fhir_server.stores.mongo.conditions.parts import between
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.fields import AFTER, arm, reference_term
from fhir_server.stores.mongo.moment import moment_of
from fhir_server.stores.mongo.past import Past
from fhir_server.stores.mongo.view import View

_VERSION: Final = {"n": 1, "t": 1, "i": 1, "v": 1, "u": 1, "s": 1}


async def referring(view: View, queries: Sequence[Query], past: Past | None) -> Referring:
    """See ``store.Store.referring``. All calls of ``view`` see one state."""
    moment = past.moment if past else await moment_of(view)
    wanted = {"k": {"$in": list(dict.fromkeys(_wanted(queries)))}, **moment.unchanged.where}
    found = [_version(row) for row in await view.find("resource", wanted, projection=_VERSION)]
    if past is not None:
        changed = [row[-1] for query in queries for row in await past.matching(query)]
        old = {"_id": {"$in": changed}}
        found += [_version(row) for row in await view.find("history", old, projection=_VERSION)]
    return Referring(tuple(sorted(found, key=_number)), moment)


def _wanted(queries: Sequence[Query]) -> Iterator[str]:
    for query in queries:
        clause: Any = query.clauses[0]
        for value in clause.values:
            yield from (reference_term(key, value.id, value.type) for key in clause.parameter.keys)


def _version(row: Document) -> Version:
    """A document with the fields of ``_VERSION``; in ``history`` the sequence is its ``_id``."""
    return Version(row["n"], row["t"], row["i"], row["v"], row["u"], row.get("s") or row["_id"])


def _number(version: Version) -> int:
    return version.number


# ── terms ─────────────────────────────────────────────────────────────────────

AT_ONCE: Final = 8
"""Steps between two questions, so that few terms are few questions."""


async def terms(view: View, key: int, limit: int) -> list[tuple[str, str]]:
    """See ``store.Store.terms``."""
    found: list[tuple[str, str]] = []
    for low, high in ((f"{arm(key)}=", f"{arm(key)}={AFTER}"), (f"{arm(key)}:", f"{arm(key)}:{AFTER}")):
        async for term in _different(view, low, high, limit):
            found.append(_read(term))
        if found:
            break
    return found


async def _different(view: View, low: str, high: str, limit: int) -> Any:
    """The different terms in ``[low, high)``. From each to the next is one step in the index, however many have it."""
    last = low
    for _ in range(limit):
        wanted = (
            {"k": between(last, high)} if last == low else {"k": {"$elemMatch": {"$gt": last, "$lt": high}}}
        )
        rows = await view.find("resource", wanted, projection={"k": 1}, limit=1, hint="term")
        if not rows:
            return
        last = min(term for term in rows[0]["k"] if low <= term < high and (term > last or last == low))
        yield last


def _read(term: str) -> tuple[str, str]:
    """(code, system) of a token, (uri, "") of a uri."""
    if term[8] == ":":
        return term[9:], ""
    system, _, code = term[9:].partition("\n")
    return code, system
