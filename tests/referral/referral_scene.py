"""A whole server with two hospitals and a patient; short words for what the parties of a referral do."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import orjson
from referral_cases import referral_task, service_request

from fhir_server.errors import FhirError
from fhir_server.interactions.context import Server
from fhir_server.interactions.create import create
from fhir_server.interactions.operations import invoke
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource
from fhir_server.referral.records import find
from fhir_server.security.caller import SYSTEM, Caller

Json = dict[str, Any]
H1 = Caller("his-h1", "Organization/h1")
H2 = Caller("his-h2", "Organization/h2")
H3 = Caller("his-h3", "Organization/h3")
PARTIES = {"H1": H1, "H2": H2, "H3": H3}


class Scene:
    """A server with both hospitals and a patient; short words for what the parties do."""

    def __init__(self, server: Server) -> None:
        self.server = server

    async def put(self, data: Json, caller: Caller = SYSTEM, if_match: str | None = None) -> Json:
        outcome = await update(self.server, caller, Resource.of(data), id=data["id"], if_match=if_match)
        assert outcome.record is not None
        return dict(orjson.loads(outcome.record.content))

    async def post(self, data: Json, caller: Caller = SYSTEM) -> Json:
        outcome = await create(self.server, caller, Resource.of(data))
        assert outcome.record is not None
        return dict(orjson.loads(outcome.record.content))

    async def read(self, address: str) -> Json:
        type, _, id = address.partition("/")
        record = await self.server.store.read(type, id)
        assert record is not None
        return dict(orjson.loads(record.content))

    async def find(self, type: str, **criteria: Any) -> list[Json]:
        raws = await find(self.server, self.server.store, type, **criteria)
        return [orjson.loads(raw) for raw in raws]

    async def do(
        self, caller: Caller, task: Json, op: str, *, if_match: str | None = "now", **parameters: Any
    ) -> Json:
        """Call ``$op``; values are given with their type: ``reason=("valueCode", "duplicate")``."""
        given = [
            {"name": name.replace("_", "-"), kind: value}
            for name, values in parameters.items()
            for kind, value in (values if isinstance(values, list) else [values])
        ]
        body = {"resourceType": "Parameters", "parameter": given} if given else None
        etag = (
            f'W/"{(await self.read("Task/" + task["id"]))["meta"]["versionId"]}"'
            if if_match == "now"
            else if_match
        )
        outcome = await invoke(self.server, caller, "instance", "Task", task["id"], op, body, if_match=etag)
        return dict(orjson.loads(outcome.record.content if outcome.record else outcome.resource or b"{}"))

    async def actions(self, caller: Caller, task: Json) -> dict[str, Json]:
        answer = await self.do(caller, task, "available-actions", if_match=None)
        actions: dict[str, Json] = {}
        for entry in answer["parameter"][1:]:
            parts: Json = {"missing": []}
            for part in entry["part"]:
                value = next(v for k, v in part.items() if k != "name")
                parts["missing"].append(value) if part["name"] == "missing" else parts.update(
                    {part["name"]: value}
                )
            actions[parts["operation"]] = parts
        return actions

    async def everything(self) -> list[tuple[str, str, int]]:
        """What is in the store, to show that nothing changed."""
        return [(r.type, r.id, r.version) for r in await self.server.store.changes(0, 10_000)]

    async def refused(self, doing: Awaitable[Any]) -> FhirError:
        """The error of what is done, which leaves the store as it was."""
        before = await self.everything()
        try:
            await doing
        except FhirError as error:
            assert await self.everything() == before
            return error
        raise AssertionError("it was not refused")

    async def referral(self, status: str = "requested", **changes: Any) -> Json:
        await self.put(service_request(status="draft" if status == "draft" else "active"), H2)
        task = referral_task(status, status, **changes)
        del task["id"], task["meta"]
        return await self.post(task, H2)
