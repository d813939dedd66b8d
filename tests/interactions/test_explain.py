"""``_explain=true`` tells administrators how a search was carried out, and nothing of what is kept or asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from interaction_cases import parsed, resource

from fhir_server.errors import Forbidden, InvalidSearch
from fhir_server.interactions.context import Server
from fhir_server.interactions.search import search
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource
from fhir_server.security.caller import Caller
from fhir_server.stores.mongo.store import MongoStore

ADMINISTRATOR = Caller("desk", "Organization/h1", administrator=True)
EXPLAIN = ("_explain", "true")
LIVE = {"sqlite": "live", "mongo": "term"}
"""The index that has all resources of a type."""


@pytest.fixture(params=LIVE)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def server(
    request: pytest.FixtureRequest, server: Server, engine: str, facts: Any
) -> AsyncIterator[Server]:
    if engine == "sqlite":
        yield server
        return
    url = request.getfixturevalue("mongo_url")
    store = MongoStore.open(url, extract=lambda type, content: facts.extract(orjson.loads(content)))
    yield replace(server, store=store)
    await store.close()


async def fill(server: Server, caller: Caller) -> None:
    for number in range(6):
        data = resource(
            "Observation",
            id=f"o{number}",
            subject={"reference": f"Patient/secret{number % 2}"},
            code={"coding": [{"system": "urn:s", "code": "geheim"}]},
            effectiveDateTime=f"2026-03-0{number + 1}",
        )
        await update(server, caller, data, id=f"o{number}")
    await update(server, caller, resource("Patient", id="secret0", gender="male"), id="secret0")


async def explained(server: Server, type: str | None, *pairs: tuple[str, str]) -> tuple[list[str], str]:
    """The texts of the outcome, and everything that the database itself said."""
    answer = parsed(await search(server, ADMINISTRATOR, type, [*pairs, EXPLAIN]))
    (told,) = [entry for entry in answer["entry"] if entry["search"]["mode"] == "outcome"]
    assert {issue["severity"] for issue in told["resource"]["issue"]} == {"information"}
    assert "_explain=true" in answer["link"][0]["url"]
    issues = told["resource"]["issue"]
    return [issue["details"]["text"] for issue in issues], "".join(i.get("diagnostics", "") for i in issues)


@pytest.mark.parametrize(
    ("pairs", "first", "rest"),
    [
        (
            [("subject", "Patient/secret0"), ("code", "geheim")],
            "Observation: subject drives, along the index term: 3 rows visited, 3 resources found",
            [
                "subject has 3 rows of the index term; it drives",
                "code has 6 rows of the index term; it tests",
            ],
        ),
        (
            [("code:not", "geheim")],
            "Observation: all of the type drives, along the index LIVE: 6 rows visited, 0 resources found",
            ["code:not can only test"],
        ),
        (
            [("code", "geheim"), ("_count", "2")],
            "code drives, along the index term: 3 rows visited, 2 res",
            [],
        ),
        (
            [("code", "geheim"), ("_sort", "date")],
            "code drives, along the index term: 6 rows visited, 6 res",
            [],
        ),
        ([("patient.gender", "male")], "patient:Patient.gender drives, along the index term: 3 rows vi", []),
    ],
)
async def test_what_drives_what_tests_and_how_much_is_visited_is_told(
    server: Server, caller: Caller, engine: str, pairs: list[tuple[str, str]], first: str, rest: list[str]
) -> None:
    await fill(server, caller)
    texts, steps = await explained(server, "Observation", *pairs)
    assert first.replace("LIVE", LIVE[engine]) in texts[0], texts
    assert " ms" in texts[0]
    assert all(any(wanted in text for text in texts[1:]) for wanted in rest), texts
    assert "USING" in steps


async def test_each_of_several_types_is_told(server: Server, caller: Caller) -> None:
    await fill(server, caller)
    texts, _ = await explained(server, None, ("_type", "Observation,Patient"), ("_id", "secret0"))
    assert [text.partition(":")[0] for text in texts if "drives, along" in text] == ["Observation", "Patient"]
    texts, _ = await explained(server, "Slot")
    assert texts == ["nothing of these types was ever kept: nothing was searched"]


@pytest.mark.parametrize(
    ("type", "name", "value"),
    [
        ("Observation", "subject", "Patient/secret0"),
        ("Observation", "code", "geheim"),
        ("Observation", "code:text", "geheim"),
        ("Observation", "code:missing", "false"),
        ("Observation", "date", "2026-03-02"),
        ("Observation", "date", "gt2026-02"),
        ("Observation", "_id", "secret"),
        ("Observation", "_lastUpdated", "gt2020"),
        ("Observation", "value-quantity", "gt2026"),
        ("Observation", "code-value-quantity", "geheim$2026"),
        ("Observation", "_content", "geheim"),
        ("Observation", "patient.name", "secret"),
        ("Observation", "_filter", "code eq geheim or date gt 2026"),
        ("Patient", "name:contains", "geheim"),
        ("Patient", "_has:Observation:patient:code", "geheim"),
    ],
)
@pytest.mark.parametrize("sort", ["", "_lastUpdated", "-_id,_lastUpdated"])
async def test_no_value_is_told(
    server: Server, caller: Caller, type: str, name: str, value: str, sort: str
) -> None:
    await fill(server, caller)
    order = [("_sort", sort)] if sort else []
    texts, steps = await explained(server, type, (name, value), *order)
    assert "drives, along the index" in texts[0]
    assert steps
    assert not any(secret in "".join(texts) + steps for secret in ("secret", "geheim", "2026"))


async def test_only_administrators_are_told(server: Server, caller: Caller) -> None:
    with pytest.raises(Forbidden, match="explain is for administrators"):
        await search(server, caller, "Observation", [EXPLAIN])
    plain = await search(server, caller, "Observation", [("_explain", "false")])
    assert parsed(plain).get("entry", []) == []
    with pytest.raises(InvalidSearch):
        await search(server, caller, "Observation", [("_explain", "perhaps")])


async def test_where_nobody_can_tell_it_is_refused(server: Server, caller: Caller) -> None:
    asked = {"resourceType": "Bundle", "type": "transaction"}
    entry = {"request": {"method": "GET", "url": "Observation?_explain=true"}}
    with pytest.raises(InvalidSearch, match="not in a transaction"):
        await transaction(server, ADMINISTRATOR, Resource.of({**asked, "entry": [entry]}))


async def test_a_search_of_contained_resources_is_told_too(server: Server, caller: Caller) -> None:
    inner: dict[str, Any] = {"resourceType": "Organization", "id": "in", "name": "晨溪"}
    outer = resource("Organization", id="out", name="x", contained=[inner], partOf={"reference": "#in"})
    await update(server, caller, outer, id="out")
    texts, _ = await explained(server, "Organization", ("name", "晨溪"), ("_contained", "true"))
    assert "1 resources found" in texts[0]
