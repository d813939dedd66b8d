"""A whole record: everything in the compartment of a patient or an encounter, and what is needed to read it.

*Members* are the resource itself and what refers to it by a parameter of the compartment. *Supporting* resources
are those that members refer to (practitioners, organisations, medications, Binaries …), and those that these refer
to in turn; what has itself a place in a patient's compartment is given, but not followed: it may be another's.

All of it is as it was at one moment, page after page. Nothing is held but the list of versions (some dozen bytes
each) and the names of supporting resources.
Source: FHIR R4 compartmentdefinition.html, patient-operation-everything.html.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import orjson

from fhir_server.interactions.context import Server
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.visible import is_narrowed, may_read, visible
from fhir_server.search.compartments import members
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import Clause, Query, ReferenceValue
from fhir_server.security.caller import Caller
from fhir_server.store import Record, Version

Key = tuple[str, str]
Named = tuple[bytes, bytes]
"""A type and an id, as they stand in a resource's bytes."""
Moment = tuple[int, int]
TOGETHER = 50
"""Resources that are read together."""
STEP = 50
"""Versions of a resource that are looked at together on the way back to a moment."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a record is wanted.

    ``compartment`` is the type of ``ids``. ``types``: only resources of these (None: of all); ``since``: only what was
    written at or after it; ``start`` and ``end``: only what happened in between, ``[start, end)``, as far as it says
    when (microseconds since 1970 UTC). ``base`` is the address of this server.
    """

    compartment: str
    ids: tuple[str, ...]
    types: frozenset[str] | None = None
    since: int | None = None
    start: int | None = None
    end: int | None = None
    base: str = ""

    def wants(self, record: Version | Record) -> bool:
        """True when it is of a type and a time that is asked for."""
        return (self.types is None or record.type in self.types) and (
            self.since is None or record.updated >= self.since
        )


@dataclass(slots=True)
class WholeRecord:
    """The record of a selection as ``caller`` may see it, at ``moment`` (None: now, set by ``members``)."""

    server: Server
    caller: Caller
    selection: Selection
    moment: Moment | None = None
    named: set[Named] = field(default_factory=set)
    _pace: Pace = field(default_factory=Pace)

    # ── members ───────────────────────────────────────────────────────────────

    async def members(self) -> list[Version]:
        """The versions of all members, in a lasting order: the resource itself, then by creation."""
        selection = self.selection
        found = await self.server.store.referring(list(_questions(self.server, selection)), self.moment)
        self.moment = found.moment
        own = {(selection.compartment, id) for id in selection.ids}
        versions = [version for version in found.versions if (version.type, version.id) not in own]
        first = [_own(record) for id in selection.ids if (record := await self._own_record(id))]
        return [*first, *await self._visible(versions)]

    async def _own_record(self, id: str) -> Record | None:
        type = self.selection.compartment
        return next(iter(await self._then(type, [id])), None)

    async def _visible(self, versions: Sequence[Version]) -> Sequence[Version]:
        """Those that the caller may see."""
        types = {version.type for version in versions}
        hidden = {type for type in types if not may_read(self.caller, type)}
        seen: dict[str, set[str]] = {}
        for type in types - hidden:
            if is_narrowed(self.caller, type):
                ids = [version.id for version in versions if version.type == type]
                found = await visible(self.server, self.caller, self.server.store, type, ids)
                seen[type] = {record.id for record in found}
        if not hidden and not seen:
            return versions
        return [v for v in versions if v.type not in hidden and (v.type not in seen or v.id in seen[v.type])]

    async def read(self, versions: Sequence[Version]) -> AsyncIterator[Record]:
        """The content of ``versions``, as far as it belongs to the time that is asked for; notes what they name."""
        selection, named = self.selection, self.named
        is_dated = selection.start is not None or selection.end is not None
        references = _references(selection.base)
        for start in range(0, len(versions), TOGETHER):
            for record in await self._contents(versions[start : start + TOGETHER]):
                if not is_dated or self._in_time(record):
                    named.update(references(record.content))
                    yield record
                await self._pace()

    async def _contents(self, versions: Sequence[Version]) -> list[Record]:
        """Read together what is current, one by one what has changed since the moment; what was purged is left out."""
        store = self.server.store
        keys = sorted((version.type, version.id) for version in versions)
        current = {(record.type, record.id): record for record in await store.read_many(keys)}
        found: list[Record] = []
        for version in versions:
            record = current.get((version.type, version.id))
            if record is None or record.version != version.version:
                record = await store.read_version(version.type, version.id, version.version)
            if record is not None:
                found.append(record)
        return found

    def _in_time(self, record: Record) -> bool:
        """True unless the first of the clinical dates that it has lies outside."""
        dates = self.server.extract(orjson.loads(record.content)).dates
        low, high = self.selection.start, self.selection.end
        for keys in self.server.parameters.primary_dates(record.type):
            found = [row for row in dates if row.key in keys]
            if found:
                return any(
                    (high is None or row.low < high) and (low is None or row.high > low) for row in found
                )
        return True

    # ── what supports them ────────────────────────────────────────────────────

    async def supporting(self, members: Sequence[Version]) -> AsyncIterator[Record]:
        """What the members that were read refer to, and what that refers to in turn, nearest first."""
        references = _references(self.selection.base)
        clinical = self.server.definitions.compartments["Patient"].keys()
        given: set[Key] = {(version.type, version.id) for version in members}
        wanted = _keys(self.named, given)
        while wanted:
            given.update(wanted)
            further: set[Named] = set()
            for type, ids in _by_type(wanted).items():
                for record in await self._then(type, ids):
                    if type not in clinical:
                        further.update(references(record.content))
                    yield record
                await self._pace()
            wanted = _keys(further, given)

    # ── then ──────────────────────────────────────────────────────────────────

    async def _then(self, type: str, ids: Sequence[str]) -> list[Record]:
        """Those of ``ids`` that were here at the moment, in the version that they had."""
        store = self.server.store
        current = {record.id: record for record in await visible(self.server, self.caller, store, type, ids)}
        found: list[Record] = []
        for id in ids:
            record = current.get(id) or await self._deleted(type, id)
            if record is not None and self.moment is not None and record.sequence > self.moment[0]:
                record = await self._before(type, id)
            if record is not None and not record.deleted:
                found.append(record)
        return found

    async def _deleted(self, type: str, id: str) -> Record | None:
        """The deletion of a resource that the caller might have seen."""
        known = type in self.server.definitions.resource_types and may_read(self.caller, type)
        if not known or is_narrowed(self.caller, type):
            return None
        return await self.server.store.read(type, id)

    async def _before(self, type: str, id: str) -> Record | None:
        """The version that was current at the moment."""
        assert self.moment is not None
        cursor: str | None = None
        while True:
            page = await self.server.store.history(type, id, count=STEP, cursor=cursor, total=False)
            for record in page.records:
                if record.sequence <= self.moment[0]:
                    return record
            cursor = page.next
            if cursor is None:
                return None


def _own(record: Record) -> Version:
    return Version(0, record.type, record.id, record.version, record.updated, record.sequence)


def _keys(named: Iterable[Named], given: set[Key]) -> list[Key]:
    """What is named and not given yet."""
    keys = ((type.decode(), id.decode()) for type, id in named)
    return [key for key in keys if key not in given]


def _by_type(keys: Iterable[Key]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for type, id in keys:
        found.setdefault(type, []).append(id)
    return found


# ── the compartment ───────────────────────────────────────────────────────────


def _questions(server: Server, selection: Selection) -> Iterator[Query]:
    """For each type of the compartment: what refers to the selected ids."""
    values = tuple(ReferenceValue(selection.compartment, id) for id in selection.ids)
    for parameter in compartment_parameters(server, selection.compartment):
        yield Query(parameter.type, (Clause(parameter, None, values),))


def compartment_parameters(server: Server, compartment: str) -> Iterator[SearchParameter]:
    """For each type of ``compartment`` one reference parameter that reads the rows of all that put it there."""
    for type, codes in members(server.parameters, compartment).items():
        known = server.parameters.parameters(type)
        keys = {key for code in codes if code in known for key in known[code].keys}
        if keys:
            yield SearchParameter(
                type, f"compartment-{compartment}", "reference", "", "", tuple(sorted(keys))
            )


# ── references in bytes ───────────────────────────────────────────────────────


class _References:
    """Finds what a resource refers to on this server, without parsing it: References, and attachments in a Binary."""

    def __init__(self, base: str) -> None:
        slash = r"\\?/"
        here = f"(?:{slash.join(map(re.escape, base.split('/')))}{slash})?" if base else ""
        place = rf'\s*:\s*"{here}([A-Z][A-Za-z]{{1,63}}){slash}([A-Za-z0-9.\-]{{1,64}})(?=["/#\\])'
        self._reference = re.compile(f'"reference"{place}'.encode())
        self._attachment = re.compile(f'"url"{place}'.encode())

    def __call__(self, content: bytes) -> list[Named]:
        """The type and id of each reference, a slash written as JSON allows it."""
        found: list[Named] = self._reference.findall(content)
        if b"Binary" in content:
            found += [pair for pair in self._attachment.findall(content) if pair[0] == b"Binary"]
        return found


_references = lru_cache(maxsize=16)(_References)
