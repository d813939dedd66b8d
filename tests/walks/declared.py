"""Walks what the CapabilityStatement declares: interactions, parameters, includes and operations, as a client would.

Each function takes the statement of one resource type (or of the system) and gives back what did not work, so that a
test can also show that a false declaration is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson
from direct import Client

from fhir_server.definitions import Definitions
from fhir_server.interactions.context import Server
from fhir_server.rest.openapi.examples import ID, example
from fhir_server.rest.openapi.operations import operation_paths

Json = dict[str, Any]
COPY = "copy"
"""The id of the resource of each type that may be changed and deleted; ``ID`` is that of the one which stays."""

VALUES = {
    "token": "example",
    "string": "示例",
    "date": "2026-03-02",
    "number": "1",
    "quantity": "1",
    "uri": "http://cmc.example.org/fhir/example",
    "special": "30.0|118.0|10|km",
}
"""A value that fits each type of parameter; references and composites are made of the definition."""

CONTROLS = {
    "_contained": "both",
    "_containedType": "contained",
    "_count": "1",
    "_elements": "meta",
    "_explain": "true",
    "_filter": f"_id eq {ID}",
    "_has": ID,
    "_include": "*:*",
    "_list": ID,
    "_revinclude": "List:item",
    "_sort": "-_lastUpdated",
    "_summary": "data",
    "_total": "accurate",
    "_type": "Patient,Task",
}
"""A value for each parameter that has no definition."""
NAMES = {"_has": "_has:List:item:_id"}
"""What stands in the address for a name that is no whole one."""
TRIED = ("Patient", "Observation", "Questionnaire")
"""The types that controls are tried on, besides the whole system."""


@dataclass(slots=True)
class Walk:
    """One server, asked for what it declares; ``faults`` says what did not work."""

    client: Client
    server: Server
    bodies: dict[str, bytes] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def definitions(self) -> Definitions:
        """R4's facts."""
        return self.server.definitions

    def body(self, type: str, id: str | None = None) -> bytes:
        """The example of ``type``, with an id when it is given."""
        data = example(self.definitions, type)
        return orjson.dumps({"resourceType": type, "id": id, **data} if id else data)

    async def prepare(self) -> None:
        """Keep the example of every type under both ids."""
        for type in sorted(self.definitions.resource_types):
            for id in (ID, COPY):
                await self.expect({201}, "PUT", f"/fhir/{type}/{id}", body=self.body(type, id))

    async def expect(
        self,
        statuses: set[int],
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        kind: str = "application/fhir+json",
        if_match: str = "",
    ) -> Json:
        """The answer, when its status is one of ``statuses``; else a fault is noted."""
        status, answer = await self.client(method, path, query, body, kind, if_match)
        if status not in statuses:
            self.faults.append(f"{method} {path}?{query} {status}: {_told(answer)}")
        return answer

    async def change(self, method: str, path: str, query: str = "", **body: Any) -> None:
        """A write on the copy of a type, with its version: some types are written by two sides and demand it."""
        version = await self.version(path.split("/")[2])
        await self.expect({200}, method, path, query, if_match=version, **body)

    async def version(self, type: str) -> str:
        """The ETag of the copy, which is made again when it is gone."""
        status, answer = await self.client("GET", f"/fhir/{type}/{COPY}")
        if status != 200:
            answer = await self.expect({201}, "PUT", f"/fhir/{type}/{COPY}", body=self.body(type, COPY))
        return f'W/"{answer.get("meta", {}).get("versionId")}"'

    async def found(self, path: str, query: str, *names: str) -> None:
        """A search that must be answered by a searchset whose self link holds every one of ``names``."""
        answer = await self.expect({200}, "GET", path, query)
        links = {link["relation"]: link["url"] for link in answer.get("link", ())}
        missing = [name for name in names if f"{quote(name, safe=':*')}=" not in links.get("self", "")]
        if answer.get("type") == "searchset" and missing:
            self.faults.append(f"GET {path}?{query}: {missing} did not take effect")

    # ── interactions ──────────────────────────────────────────────────────────

    async def interactions(self, statement: Json) -> None:
        """Every interaction of a resource type, and its conditional forms."""
        type = statement["type"]
        for item in statement["interaction"]:
            perform = INTERACTIONS.get(item["code"])
            if perform is None:
                self.faults.append(f"{type}: nobody knows how to {item['code']}")
            else:
                await perform(self, type)
        for flag, perform in CONDITIONALS.items():
            if statement.get(flag) not in {False, None, "not-supported"}:
                await perform(self, type)

    async def parameters(self, statement: Json) -> None:
        """Every search parameter of a resource type, with a value that fits its type."""
        path = f"/fhir/{statement['type']}"
        for item in statement["searchParam"]:
            value = quote(await self.value(item))
            await self.found(path, f"{item['name']}={value}", item["name"])

    async def value(self, item: Json) -> str:
        """A value that fits the declared parameter; what it depends on is read from its definition."""
        if item["type"] in VALUES:
            return VALUES[item["type"]]
        definition = await self.definition(item["definition"])
        if item["type"] == "reference":
            return f"{definition.get('target', ['Patient'])[0]}/{ID}"
        parts = [await self.definition(part["definition"]) for part in definition.get("component", ())]
        return "$".join([await self.value({**part, "definition": part["url"]}) for part in parts])

    async def definition(self, url: str) -> Json:
        """The SearchParameter with this canonical, which the server must have."""
        id = url.rpartition("/")[2]
        answer = await self.expect({200}, "GET", f"/fhir/SearchParameter/{id}")
        if answer.get("url") != url:
            self.faults.append(f"SearchParameter/{id} is not {url}")
        return answer

    async def control(self, code: str) -> None:
        """A parameter without a definition, on the system and on types."""
        if code not in CONTROLS:
            self.faults.append(f"nobody knows what {code} is given")
            return
        name, value = NAMES.get(code, code), quote(CONTROLS[code])
        for path in ("/fhir", *(() if code == "_type" else [f"/fhir/{type}" for type in TRIED])):
            types = "&_type=Patient,Questionnaire" if path == "/fhir" and code != "_type" else ""
            await self.found(path, f"{name}={value}{types}", name)

    async def includes(self, statement: Json) -> None:
        """Every include and reverse include of a resource type."""
        path = f"/fhir/{statement['type']}"
        for member, name in (("searchInclude", "_include"), ("searchRevInclude", "_revinclude")):
            for value in statement.get(member, ()):
                await self.found(path, f"_id={ID}&{name}={value}", name)

    # ── operations ────────────────────────────────────────────────────────────

    async def operations(self, statement: Json, type: str | None) -> None:
        """Every operation of a resource type (None: of the system), at every level that its definition names."""
        self.read_documents(type)
        for item in statement.get("operation", ()):
            id = item["definition"].rpartition("/")[2]
            definition = await self.expect({200}, "GET", f"/fhir/OperationDefinition/{id}")
            if (definition.get("url"), definition.get("code")) != (item["definition"], item["name"]):
                self.faults.append(f"OperationDefinition/{id} is not that of ${item['name']}")
                continue
            async for path in _places(definition, type):
                await self.call(path, definition)

    async def call(self, path: str, definition: Json) -> None:
        """Call an operation with the body that the documentation shows; one that is refused must say why."""
        shown = path.removeprefix("/fhir").replace(f"/{COPY}/", "/{id}/").replace(f"/{ID}/", "/{id}/")
        body = self.bodies.get(shown)
        if body is None:
            self.faults.append(f"{shown} is not in the OpenAPI documents")
            return
        body = body.replace(f'"id":"{ID}"'.encode(), f'"id":"{path.split("/")[-2]}"'.encode())
        type = path.split("/")[2]
        version = await self.version(type) if definition["affectsState"] and definition["instance"] else ""
        statuses = ANSWERED if definition["resource"] == ["Task"] or type in KEPT else DONE
        statuses = statuses | OF_WHAT_IS_NOT_THERE.get(definition["id"], set())
        await self.expect(statuses, "POST", path, body=body, if_match=version)
        if definition["code"] == "reindex":
            await self.indexed()
        if not definition.get("affectsState") and not _needs_body(definition):
            query = "patient=Patient/example&category=laboratory" if definition["code"] == "lastn" else ""
            query = f"id={ID}" if path.endswith("/Composition/$document") else query
            await self.expect(DONE | {400}, "GET", path, query)

    async def indexed(self) -> None:
        """Wait until everything can be searched again."""
        while any(
            each["name"] == "job"
            for each in (await self.expect(DONE, "GET", "/fhir/$reindex-status")).get("parameter", ())
        ):
            await asyncio.sleep(0.01)

    def read_documents(self, type: str | None) -> None:
        """The example bodies of the operations of ``type``, as the OpenAPI documents show them."""
        server = self.server
        for path, item in operation_paths(server.operations, self.definitions, server.parameters, type):
            example = item["post"]["requestBody"]["content"]["application/fhir+json"]["example"]
            self.bodies[path] = orjson.dumps(example)


DONE = {200}
ANSWERED = {200, 400, 403, 409, 412, 422}
"""An operation of a referral may be refused in this state, and one that removes what is kept by law: but not as if it
were not there."""
KEPT = frozenset({"AuditEvent"})
OF_WHAT_IS_NOT_THERE = {"reindex-cancel": {404}, "SearchParameter-reindex": {409}}
"""The example names no job, and its SearchParameter is a draft."""


def _needs_body(definition: Json) -> bool:
    return any(item["use"] == "in" and item["min"] for item in definition.get("parameter", ()))


async def _places(definition: Json, type: str | None) -> AsyncIterator[str]:
    code = definition["code"]
    if type is None:
        yield f"/fhir/${code}"
        return
    if definition["type"]:
        yield f"/fhir/{type}/${code}"
    if definition["instance"]:
        yield f"/fhir/{type}/{COPY if definition.get('affectsState') else ID}/${code}"


def _told(answer: Json) -> str:
    return "; ".join(issue["details"]["text"] for issue in answer.get("issue", ()))[:300]


# ── how each interaction is done ──────────────────────────────────────────────


async def _create(walk: Walk, type: str) -> None:
    await walk.expect({201}, "POST", f"/fhir/{type}", body=walk.body(type))


async def _read(walk: Walk, type: str) -> None:
    answer = await walk.expect({200}, "GET", f"/fhir/{type}/{ID}")
    if answer.get("resourceType") != type:
        walk.faults.append(f"{type}/{ID} is no {type}")


async def _vread(walk: Walk, type: str) -> None:
    await walk.expect({200}, "GET", f"/fhir/{type}/{ID}/_history/1")


async def _update(walk: Walk, type: str) -> None:
    await walk.change("PUT", f"/fhir/{type}/{COPY}", body=walk.body(type, COPY))


async def _patch(walk: Walk, type: str) -> None:
    body = b'[{"op":"add","path":"/language","value":"zh-CN"}]'
    await walk.change("PATCH", f"/fhir/{type}/{COPY}", body=body, kind="application/json-patch+json")


async def _delete(walk: Walk, type: str) -> None:
    await walk.expect({201}, "PUT", f"/fhir/{type}/gone", body=walk.body(type, "gone"))
    await walk.expect({204}, "DELETE", f"/fhir/{type}/gone")
    await walk.expect({410}, "GET", f"/fhir/{type}/gone")


async def _history_instance(walk: Walk, type: str) -> None:
    await walk.expect({200}, "GET", f"/fhir/{type}/{ID}/_history")


async def _history_type(walk: Walk, type: str) -> None:
    await walk.expect({200}, "GET", f"/fhir/{type}/_history")


async def _search(walk: Walk, type: str) -> None:
    await walk.found(f"/fhir/{type}", f"_id={ID}", "_id")
    form = "application/x-www-form-urlencoded"
    await walk.expect({200}, "POST", f"/fhir/{type}/_search", body=f"_id={ID}".encode(), kind=form)


async def _conditional_update(walk: Walk, type: str) -> None:
    await walk.change("PUT", f"/fhir/{type}", f"_id={COPY}", body=walk.body(type, COPY))


async def _conditional_delete(walk: Walk, type: str) -> None:
    await walk.expect({204, 404}, "DELETE", f"/fhir/{type}", "_id=nobody")


Perform = Callable[[Walk, str], Awaitable[None]]
INTERACTIONS: Mapping[str, Perform] = {
    "create": _create,
    "read": _read,
    "vread": _vread,
    "update": _update,
    "patch": _patch,
    "delete": _delete,
    "history-instance": _history_instance,
    "history-type": _history_type,
    "search-type": _search,
}
CONDITIONALS: Mapping[str, Perform] = {
    "conditionalUpdate": _conditional_update,
    "conditionalDelete": _conditional_delete,
}


async def system(walk: Walk, rest: Json) -> None:
    """Every interaction of the system, what can be asked of all types together, and every compartment."""
    for item in rest["interaction"]:
        if item["code"] in {"transaction", "batch"}:
            entry = {"request": {"method": "GET", "url": f"Patient/{ID}"}}
            bundle = {"resourceType": "Bundle", "type": item["code"], "entry": [entry]}
            await walk.expect({200}, "POST", "/fhir", body=orjson.dumps(bundle))
        elif item["code"] in {"search-system", "history-system"}:
            path, query = (
                ("/fhir", "_type=Patient,Task") if "search" in item["code"] else ("/fhir/_history", "")
            )
            await walk.expect({200}, "GET", path, query)
        else:
            walk.faults.append(f"nobody knows how to {item['code']}")
    for item in rest.get("searchParam", ()):
        if "definition" in item:
            await walk.found("/fhir", f"{item['name']}={quote(await walk.value(item))}", item["name"])
        else:
            await walk.control(item["name"])
    for url in rest.get("compartment", ()):
        definition = await walk.expect({200}, "GET", f"/fhir/CompartmentDefinition/{url.rpartition('/')[2]}")
        owner = definition.get("code")
        await walk.expect({200}, "GET", f"/fhir/{owner}/{ID}/*")
        for item in definition.get("resource", ()):
            await walk.expect({200}, "GET", f"/fhir/{owner}/{ID}/{item['code']}")
    await walk.operations(rest, None)
