"""Index values made before the turn to write: good only while what they were made by is in force."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.interactions.context import Server
from fhir_server.interactions.create import create
from fhir_server.interactions.lookups import parse_search
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM
from fhir_server.store import Transaction

PATIENT = {"resourceType": "Patient", "meta": {"versionId": "77"}, "name": [{"family": "Chapman"}]}


async def _found(server: Server, code: str, value: str) -> int:
    query = await parse_search(server, SYSTEM, server.store, "Patient", [(code, value)])
    return len((await server.store.search(query)).records)


def _add(server: Server, code: str, expression: str) -> None:
    server.parameters.add(SearchParameterDefinition(f"urn:{code}", code, ("Patient",), "string", expression))


async def test_a_parameter_that_comes_while_one_waits_for_the_turn_counts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = type(server.store.transaction()).__aenter__

    async def begin_late(self: Any) -> Transaction:
        _add(server, "mine", "Patient.name.family")
        entered: Transaction = await begin(self)
        return entered

    monkeypatch.setattr(type(server.store.transaction()), "__aenter__", begin_late)
    await create(server, SYSTEM, Resource.parse(orjson.dumps(PATIENT)))
    assert await _found(server, "mine", "Chapman") == 1


async def test_the_version_that_is_kept_is_indexed_and_not_the_one_that_was_sent(server: Server) -> None:
    _add(server, "numbered", "Patient.meta.versionId")
    made = (await create(server, SYSTEM, Resource.parse(orjson.dumps(PATIENT)))).record
    assert made is not None
    assert (await _found(server, "numbered", "77"), await _found(server, "numbered", "1")) == (0, 1)
    await update(server, SYSTEM, Resource.parse(orjson.dumps(PATIENT | {"id": made.id})), id=made.id)
    assert (await _found(server, "numbered", "1"), await _found(server, "numbered", "2")) == (0, 1)
