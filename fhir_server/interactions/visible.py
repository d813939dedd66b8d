"""What a caller may see of resources that are named rather than searched for.

Includes, documents and whole records find resources by following references; none of them may lead past the rules
that narrow a search.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_server.errors import Forbidden
from fhir_server.interactions.context import Server
from fhir_server.search.query import Clause, Query, TokenValue
from fhir_server.security.access import check_access, narrow
from fhir_server.security.caller import Caller
from fhir_server.store import Reading, Record

STEP = 200
"""Ids that one search may name."""


async def visible(
    server: Server, caller: Caller, reading: Reading, type: str, ids: Sequence[str]
) -> Sequence[Record]:
    """The current versions of those of ``ids`` that are here and that ``caller`` may see; without a restriction on
    ``type`` they are read directly."""
    if type not in server.definitions.resource_types or not may_read(caller, type):
        return ()
    if not is_narrowed(caller, type):
        return await reading.read_many([(type, id) for id in ids])
    found: list[Record] = []
    for start in range(0, len(ids), STEP):
        found += await _search(server, caller, reading, type, ids[start : start + STEP])
    return found


def may_read(caller: Caller, type: str) -> bool:
    """True when ``caller`` may read resources of ``type`` at all."""
    try:
        check_access(caller, "read", type)
    except Forbidden:
        return False
    return True


def is_narrowed(caller: Caller, type: str) -> bool:
    """True when ``caller`` sees only some resources of ``type``."""
    everything = Query(type)
    return narrow(everything, caller) != everything


async def _search(
    server: Server, caller: Caller, reading: Reading, type: str, ids: Iterable[str]
) -> Sequence[Record]:
    values = tuple(TokenValue(None, id) for id in ids)
    query = Query(type, (Clause(server.parameters.parameter(type, "_id"), None, values),), count=len(values))
    return (await reading.search(narrow(query, caller))).records
