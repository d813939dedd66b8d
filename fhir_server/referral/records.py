"""Reading what belongs to a referral inside its transaction, and editing resources without touching their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from fhir_server.interactions.context import Change, Server
from fhir_server.model.resource import Json, Resource
from fhir_server.referral import task
from fhir_server.search.query import Clause, Query, ReferenceValue, TokenValue
from fhir_server.store import Reading

LIMIT = 50
"""How many Tasks or Encounters of one referral or one waiting patient are looked at."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entries = msgspec.json.Decoder(list[msgspec.Raw])


class Added(list[Any]):
    """Entries to add at the end of a list, in ``edited``."""


def edited(raw: bytes, members: Mapping[str, Any]) -> Resource:
    """The resource ``raw`` with ``members`` set, removed (None) or added to (``Added``); all else keeps its bytes."""
    kept = _members.decode(raw)
    for name, value in members.items():
        if value is None:
            kept.pop(name, None)
        elif isinstance(value, Added):
            old = _entries.decode(kept[name]) if name in kept else []
            new = [msgspec.Raw(orjson.dumps(entry)) for entry in value]
            kept[name] = msgspec.Raw(msgspec.json.encode([*old, *new]))
        else:
            kept[name] = msgspec.Raw(orjson.dumps(value))
    return Resource.parse(msgspec.json.encode(kept))


async def read(change: Change, type: str, id: str | None) -> bytes | None:
    """The current JSON of a resource as the write sees it: stored, or on its way in the same Bundle."""
    record = await change.transaction.read(type, id) if id else None
    if record is not None and not record.deleted:
        return record.content
    waiting = change.pending.get((type, id or ""))
    return orjson.dumps(waiting) if waiting is not None else None


async def read_json(change: Change, type: str, id: str | None) -> Json | None:
    """As ``read``, parsed."""
    raw = await read(change, type, id)
    return orjson.loads(raw) if raw else None


async def read_reference(change: Change, text: str | None) -> bytes | None:
    """As ``read``, by a relative reference."""
    type, _, id = (text or "").partition("/")
    return await read(change, type, id) if id and "/" not in id else None


async def find(server: Server, reading: Reading, type: str, **criteria: str | Sequence[str]) -> list[bytes]:
    """The resources that match: ``focus="ServiceRequest/1"`` a reference, ``status=["a", "b"]`` codes."""
    clauses = tuple(_clause(server, type, code.replace("_", "-"), value) for code, value in criteria.items())
    page = await reading.search(Query(type, clauses=clauses, count=LIMIT))
    return [record.content for record in page.records]


def _clause(server: Server, type: str, code: str, value: str | Sequence[str]) -> Clause:
    parameter = server.parameters.parameter(type, code)
    if isinstance(value, str):
        target, _, id = value.partition("/")
        return Clause(parameter, None, (ReferenceValue(target, id),))
    return Clause(parameter, None, tuple(TokenValue(None, text) for text in value))


async def tasks_about(server: Server, reading: Reading, service_request_id: str) -> list[Json]:
    """The referral Tasks whose focus is the ServiceRequest."""
    found = await find(server, reading, "Task", focus=f"ServiceRequest/{service_request_id}")
    return [data for raw in found if task.is_coordination(data := orjson.loads(raw))]


async def children_of(server: Server, reading: Reading, task_id: str, code: str) -> list[Json]:
    """The child Tasks of one kind."""
    found = await find(server, reading, "Task", part_of=f"Task/{task_id}")
    return [data for raw in found if task.child_code(data := orjson.loads(raw)) == code]


async def encounters_of(
    server: Server, reading: Reading, service_request_id: str, owner: str | None
) -> list[bytes]:
    """The Encounters at the receiving organisation ``owner`` that are based on the ServiceRequest."""
    found = await find(server, reading, "Encounter", based_on=f"ServiceRequest/{service_request_id}")
    return [raw for raw in found if task.reference(orjson.loads(raw).get("serviceProvider")) == owner]
