"""Local numbers belong to the hospital that gave them: another hospital's write cannot take them away.

Every HIS sends the whole patient as it knows him, and a community shares one Patient per resident id. So a
write that leaves out ``http://cmc.example.org/sid/<USCC>/…`` identifiers of another organisation says
nothing about them; they stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fhir_server.errors import Issue
from fhir_server.interactions.context import Change
from fhir_server.model.exact import dumps_exact, loads_exact
from fhir_server.model.identifiers import USCC
from fhir_server.model.resource import Json, Resource
from fhir_server.store import Transaction

_LOCAL = re.compile(r"http://cmc\.example\.org/sid/([0-9A-Z]{18})/")


async def keep_local_numbers(change: Change) -> Sequence[Issue]:
    """Put back the local numbers of other organisations that an update of a Patient left out."""
    if change.before is None or change.after is None or change.caller.organization is None:
        return ()
    missing = _missing(change.before, change.after)
    if missing:
        own = await _uscc(change.transaction, change.caller.organization)
        foreign = [identifier for identifier in missing if _giver(identifier) != own]
        if foreign:
            kept: Any = loads_exact(change.raw)
            kept["identifier"] = [*kept.get("identifier", ()), *foreign]
            change.replace(Resource.parse(dumps_exact(kept)))
    return ()


def _missing(before: Json, after: Json) -> list[Json]:
    """The local numbers of ``before`` of whose system ``after`` says nothing."""
    said = {identifier.get("system") for identifier in after.get("identifier", ())}
    return [i for i in before.get("identifier", ()) if _giver(i) and i["system"] not in said]


def _giver(identifier: Json) -> str | None:
    """The USCC of the organisation that gave a local number; None for any other identifier."""
    match = _LOCAL.match(identifier.get("system") or "")
    return match[1] if match else None


async def _uscc(transaction: Transaction, organization: str) -> str | None:
    record = await transaction.read("Organization", organization.removeprefix("Organization/"))
    identifiers = (
        Resource.parse(record.content).data.get("identifier", ()) if record and record.content else ()
    )
    return next((i.get("value") for i in identifiers if i.get("system") == USCC), None)


RULES = {"Patient": (keep_local_numbers,)}
"""What happens on a write, by type."""
