"""Resources that stand inside others: found by ``_contained``, shown as their container or by themselves, once."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from index_tables import index_rows_of
from interaction_cases import parsed

from fhir_server.app import opened
from fhir_server.errors import InvalidSearch, NotReady
from fhir_server.interactions.context import Server
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.erase import delete_history, purge
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.model.resource import Json, Resource
from fhir_server.security.caller import Caller
from fhir_server.settings import Settings

CLIENT = Caller("his", "Organization/h1")
ADMINISTRATOR = Caller("desk", "Organization/h1", administrator=True)
BASE = "http://fhir.test/fhir"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        store=f"sqlite:///{tmp_path}/fhir.db", durability="normal", profiles=tmp_path / "profiles"
    )


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    async with opened(settings) as server:
        yield server


def medication(id: str, code: str, **members: Any) -> Json:
    return {
        "resourceType": "Medication",
        "id": id,
        "code": {"coding": [{"system": "urn:drug", "code": code}]},
        **members,
    }


def request(id: str, *contained: Json, **members: Any) -> Json:
    """A MedicationRequest that refers to everything it contains."""
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        **({"contained": list(contained)} if contained else {}),
        "status": "active",
        "intent": "order",
        "medicationReference": {"reference": f"#{contained[0]['id']}" if contained else "Medication/plain"},
        "supportingInformation": [{"reference": f"#{each['id']}"} for each in contained[1:]],
        "subject": {"reference": "Patient/1"},
        **members,
    }


async def keep(server: Server, *resources: Json) -> None:
    for resource in resources:
        data = {name: value for name, value in resource.items() if value != []}
        await update(server, CLIENT, Resource.of(data), id=data["id"])


async def found(server: Server, type: str, *pairs: tuple[str, str]) -> list[str]:
    """The addresses of the entries, below the base."""
    answer = await search(server, CLIENT, type, pairs, base=BASE)
    return [entry["fullUrl"].removeprefix(f"{BASE}/") for entry in parsed(answer).get("entry", ())]


async def everywhere(server: Server, type: str, *pairs: tuple[str, str]) -> list[str]:
    """The same on all pages of one entry."""
    told: list[str] = []
    cursor: list[tuple[str, str]] = []
    while True:
        answer = parsed(await search(server, CLIENT, type, [*pairs, ("_count", "1"), *cursor], base=BASE))
        told += [entry["fullUrl"].removeprefix(f"{BASE}/") for entry in answer.get("entry", ())]
        following = [link["url"] for link in answer["link"] if link["relation"] == "next"]
        if not following:
            return told
        cursor = [("_cursor", following[0].partition("_cursor=")[2])]


CONTAINED = ("_contained", "true")
ITSELF = ("_containedType", "contained")


async def test_only_what_is_asked_for_is_found(server: Server) -> None:
    await keep(server, medication("plain", "a"), request("one", medication("m1", "a")), request("none"))
    a = ("code", "urn:drug|a")
    assert await found(server, "Medication", a) == ["Medication/plain"]
    assert await found(server, "Medication", a, ("_contained", "false")) == ["Medication/plain"]
    assert await found(server, "Medication", a, CONTAINED) == ["MedicationRequest/one"]
    assert await found(server, "Medication", a, CONTAINED, ITSELF) == ["MedicationRequest/one#m1"]
    both = await found(server, "Medication", a, ("_contained", "both"))
    assert sorted(both) == ["Medication/plain", "MedicationRequest/one"]
    both = await found(server, "Medication", a, ("_contained", "both"), ITSELF)
    assert sorted(both) == ["Medication/plain", "MedicationRequest/one#m1"]
    assert await found(server, "Medication", ("code", "urn:drug|b"), CONTAINED) == []


async def test_all_criteria_must_hold_for_the_same_contained_resource(server: Server) -> None:
    await keep(
        server,
        request("split", medication("m1", "a", status="active"), medication("m2", "b", status="inactive")),
        request("same", medication("m1", "b", status="active"), medication("m2", "a", status="inactive")),
    )
    asked = [("code", "b"), ("status", "active"), CONTAINED]
    assert await found(server, "Medication", *asked) == ["MedicationRequest/same"]
    assert await found(server, "Medication", *asked, ITSELF) == ["MedicationRequest/same#m1"]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("_id", "m1")], ["m1"]),
        ([("code:not", "a")], ["m2"]),
        ([("form:missing", "true")], ["m1", "m2"]),
        ([("form:missing", "false")], []),
        ([("expiration-date", "gt2026-01-01")], ["m2"]),
        ([("manufacturer", "Organization/o")], ["m2"]),
        ([("manufacturer.name", "晨")], ["m2"]),
        ([("_sort", "-expiration-date"), ("_sort", "-expiration-date")][:1], ["m2", "m1"]),
        ([("_lastUpdated", "gt2020")], ["m1", "m2"]),
        ([("_filter", "code eq a or expiration-date gt 2026-01-01")], ["m1", "m2"]),
        ([("code", "a,b"), ("_elements", "code")], ["m1", "m2"]),
    ],
)
async def test_the_ordinary_parameters_of_the_type_work(
    server: Server, pairs: list[tuple[str, str]], expected: list[str]
) -> None:
    await keep(
        server,
        {"resourceType": "Organization", "id": "o", "name": "晨溪药厂"},
        request(
            "one",
            medication("m1", "a", batch={"expirationDate": "2025-01-01"}),
            medication(
                "m2",
                "b",
                batch={"expirationDate": "2026-06-01"},
                manufacturer={"reference": "Organization/o"},
            ),
        ),
    )
    hits = await found(server, "Medication", *pairs, CONTAINED, ITSELF)
    addresses = [f"MedicationRequest/one#{id}" for id in expected]
    assert hits == addresses if pairs[0][0] == "_sort" else sorted(hits) == addresses
    shown = await found(server, "Medication", *pairs, CONTAINED)
    assert shown == (["MedicationRequest/one"] if expected else [])


A_CODE = medication("", "a")["code"]
MAKER = {"reference": "Organization/o"}
NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">抗凝血</div>'}


async def keep_relations(server: Server) -> None:
    """Two requests with what they contain, a List of one of them, and what they refer to."""
    await keep(
        server,
        {"resourceType": "Organization", "id": "o", "name": "晨溪药厂"},
        {"resourceType": "Practitioner", "id": "d"},
        medication("plain", "a", manufacturer=MAKER),
        request(
            "one",
            medication("m1", "a", manufacturer=MAKER, text=NARRATIVE),
            medication("m2", "b"),
            requester={"reference": "Practitioner/d"},
        ),
        request(
            "two", {**medication("m1", "a"), "code": {**A_CODE, "text": "阿司匹林肠溶片"}}, status="stopped"
        ),
        {
            "resourceType": "List",
            "id": "l",
            "status": "current",
            "mode": "working",
            "contained": [medication("m1", "a"), medication("m2", "b")],
            "extension": [{"url": "urn:other", "valueReference": {"reference": "#m2"}}],
            "entry": [{"item": {"reference": "#m1"}}],
        },
    )


REFERRED = [
    ([("_has:MedicationRequest:medication:status", "active")], ["MedicationRequest/one#m1"]),
    ([("_has:MedicationRequest:medication:status", "stopped")], ["MedicationRequest/two#m1"]),
    ([("_has:MedicationRequest:medication:requester._id", "d")], ["MedicationRequest/one#m1"]),
    ([("_has:List:item:_id", "l")], ["List/l#m1"]),
    ([("_list", "l")], ["List/l#m1"]),
    ([("_has:MedicationDispense:medication:status", "active")], []),
    ([("code:text", "阿司匹林")], ["MedicationRequest/two#m1"]),
    ([("_content", "肠溶片")], ["MedicationRequest/two#m1"]),
    ([("_text", "抗凝")], ["MedicationRequest/one#m1"]),
    ([("_content", "NOT 阿司匹林"), ("code", "b")], ["List/l#m2", "MedicationRequest/one#m2"]),
]


@pytest.mark.parametrize(("pairs", "expected"), REFERRED)
async def test_what_refers_to_them_and_what_they_say(
    server: Server, pairs: list[tuple[str, str]], expected: list[str]
) -> None:
    await keep_relations(server)
    assert sorted(await found(server, "Medication", *pairs, CONTAINED, ITSELF)) == expected
    both = await found(server, "Medication", *pairs, ("_contained", "both"), ITSELF)
    assert sorted(both) == expected
    shown = await found(server, "Medication", *pairs, CONTAINED)
    assert sorted(shown) == [address.partition("#")[0] for address in expected]


async def test_words_follow_what_is_contained(server: Server) -> None:
    await keep(server, request("r", {**medication("m1", "a"), "code": {"text": "阿司匹林"}}))
    asked = [("code:text", "阿司"), CONTAINED, ITSELF]
    assert await found(server, "Medication", *asked) == ["MedicationRequest/r#m1"]
    assert await found(server, "Medication", ("code:text", "阿司")) == []
    await keep(server, request("r", {**medication("m1", "a"), "code": {"text": "华法林"}}))
    assert await found(server, "Medication", *asked) == []
    await delete_history(server, ADMINISTRATOR, "MedicationRequest", "r")
    assert await found(server, "Medication", ("code:text", "华法"), CONTAINED) == ["MedicationRequest/r"]
    await purge(server, ADMINISTRATOR, "MedicationRequest", "r")
    assert await found(server, "Medication", ("code:text", "华法"), CONTAINED) == []


async def along(server: Server, type: str, *pairs: tuple[str, str]) -> list[str]:
    """What comes along, by address."""
    answer = parsed(await search(server, CLIENT, type, pairs, base=BASE))
    entries = [entry for entry in answer.get("entry", ()) if entry["search"]["mode"] == "include"]
    assert server.validate(answer) == []
    return sorted(entry["fullUrl"].removeprefix(f"{BASE}/") for entry in entries)


A = ("code", "urn:drug|a")
INCLUDED = [
    ([A, ("_include", "Medication:manufacturer")], ["Organization/o"], ["Organization/o"]),
    ([("code", "b"), ("_include", "Medication:manufacturer")], [], []),
    ([A, ("_include", "*:*")], ["Organization/o"], ["Organization/o"]),
    (
        [A, ("_revinclude", "MedicationRequest:medication")],
        [],
        ["MedicationRequest/one", "MedicationRequest/two"],
    ),
    ([A, ("_revinclude", "MedicationRequest:requester")], None, None),
    ([("code", "b"), ("_revinclude", "MedicationRequest:medication")], [], []),
    ([A, ("_include:iterate", "MedicationRequest:requester")], ["Practitioner/d"], []),
    (
        [
            A,
            ("_revinclude", "MedicationRequest:medication"),
            ("_include:iterate", "MedicationRequest:requester"),
        ],
        ["Practitioner/d"],
        ["MedicationRequest/one", "MedicationRequest/two", "Practitioner/d"],
    ),
]


@pytest.mark.parametrize(("pairs", "by_container", "by_itself"), INCLUDED)
async def test_what_comes_along(
    server: Server,
    pairs: list[tuple[str, str]],
    by_container: list[str] | None,
    by_itself: list[str] | None,
) -> None:
    await keep_relations(server)
    if by_container is None:
        with pytest.raises(InvalidSearch):
            await along(server, "Medication", *pairs, CONTAINED)
        return
    assert await along(server, "Medication", *pairs, CONTAINED) == by_container
    assert await along(server, "Medication", *pairs, CONTAINED, ITSELF) == by_itself


async def test_what_comes_along_is_of_the_page(server: Server) -> None:
    for number in range(3):
        maker = {"resourceType": "Organization", "id": f"o{number}"}
        inside = [
            medication(f"m{each}", "a", manufacturer={"reference": f"Organization/o{number}"})
            for each in range(2)
        ]
        await keep(server, maker, request(f"r{number}", *inside))
    pairs = [("code", "a"), ("_contained", "both"), ("_include", "Medication:manufacturer"), ("_count", "1")]
    seen: list[str] = []
    cursor: list[tuple[str, str]] = []
    while True:
        answer = parsed(await search(server, CLIENT, "Medication", [*pairs, *cursor], base=BASE))
        entries = answer.get("entry", ())
        shown = [entry["resource"]["id"] for entry in entries]
        assert shown in ([], [shown[0], shown[0].replace("r", "o")] if shown else [])
        seen += shown
        following = [link["url"] for link in answer["link"] if link["relation"] == "next"]
        if not following:
            break
        cursor = [("_cursor", following[0].partition("_cursor=")[2])]
    assert sorted(seen) == ["o0", "o1", "o2", "r0", "r1", "r2"]


async def test_a_container_comes_once_over_all_pages_and_in_the_total(server: Server) -> None:
    for number in range(3):
        await keep(server, request(f"r{number}", *[medication(f"m{each}", "a") for each in range(4)]))
    await keep(server, medication("plain", "a"))
    a = ("code", "a")
    shown = await everywhere(server, "Medication", a, CONTAINED)
    assert sorted(shown) == [f"MedicationRequest/r{number}" for number in range(3)]
    shown = await everywhere(server, "Medication", a, ("_contained", "both"))
    assert sorted(shown) == ["Medication/plain", *[f"MedicationRequest/r{number}" for number in range(3)]]
    assert len(await everywhere(server, "Medication", a, CONTAINED, ITSELF)) == 12
    for pairs, total in [([], 3), ([ITSELF], 12)]:
        for asked in [("_total", "accurate"), ("_summary", "count")]:
            answer = parsed(
                await search(server, CLIENT, "Medication", [a, CONTAINED, *pairs, asked], base=BASE)
            )
            assert answer["total"] == total


async def test_a_container_of_the_type_itself_comes_once(server: Server) -> None:
    inner = {"resourceType": "Organization", "id": "in", "name": "晨溪"}
    outer = {"resourceType": "Organization", "id": "out", "name": "晨溪", "contained": [inner]}
    await keep(server, {**outer, "partOf": {"reference": "#in"}})
    for count in ("1", "20"):
        asked = [("name", "晨"), ("_contained", "both"), ("_count", count)]
        assert await found(server, "Organization", *asked) == ["Organization/out"] if count == "20" else True
    assert await everywhere(server, "Organization", ("name", "晨"), ("_contained", "both")) == [
        "Organization/out"
    ]


CHAINS = [
    ("MedicationRequest", [("medication.code", "a")], ["in-a", "out-a"]),
    ("MedicationRequest", [("medication:Medication.code", "a")], ["in-a", "out-a"]),
    ("MedicationRequest", [("medication.code:not", "a")], ["in-b"]),
    ("MedicationRequest", [("medication.manufacturer.name", "晨")], ["in-a"]),
    ("MedicationRequest", [("medication.code", "a"), ("status", "active")], ["in-a", "out-a"]),
    ("MedicationRequest", [("_filter", "medication.code eq b")], ["in-b"]),
    ("MedicationRequest", [("medication._id", "m1")], ["in-a", "in-b"]),
    ("Patient", [("_has:MedicationRequest:subject:medication.code", "b")], ["2"]),
    ("MedicationRequest", [("medication:missing", "true")], []),
    ("MedicationRequest", [("medication:missing", "false")], ["in-a", "in-b", "out-a"]),
    ("MedicationRequest", [("requester:missing", "true")], ["in-a", "in-b", "out-a"]),
    ("MedicationRequest", [("_filter", "medication pr false")], []),
    ("MedicationRequest", [("medication._has:MedicationRequest:medication:patient", "Patient/2")], ["in-b"]),
    ("MedicationRequest", [("medication", "m1")], []),
]


@pytest.mark.parametrize(("type", "pairs", "expected"), CHAINS)
async def test_a_chain_is_followed_into_what_is_contained(
    server: Server, type: str, pairs: list[tuple[str, str]], expected: list[str]
) -> None:
    maker = {"reference": "Organization/o"}
    await keep(
        server,
        {"resourceType": "Organization", "id": "o", "name": "晨溪药厂"},
        {"resourceType": "Patient", "id": "1"},
        {"resourceType": "Patient", "id": "2"},
        medication("plain", "a"),
        request("out-a"),
        request("in-a", medication("m1", "a", manufacturer=maker)),
        request("in-b", medication("m1", "b"), subject={"reference": "Patient/2"}),
    )
    assert sorted(await found(server, type, *pairs)) == [f"{type}/{id}" for id in expected]
    assert server.indexer is not None
    await server.indexer.request([], [], "tests")
    await server.indexer.work_off()
    assert sorted(await found(server, type, *pairs)) == [f"{type}/{id}" for id in expected]


async def test_a_chain_to_what_stands_beside_the_reference_is_not_followed(server: Server) -> None:
    beside = {**request("r", medication("m1", "a"), medication("m2", "b"))}
    await keep(server, beside)
    assert await found(server, "MedicationRequest", ("medication.code", "b")) == []


async def test_what_is_contained_is_the_bytes_that_were_sent(server: Server) -> None:
    sent = (
        b'{"resourceType":"MedicationRequest","id":"r","contained":[{"resourceType":"Medication","id":"m",'
        b'"code":{"text":"x"},"amount":{"numerator":{"value":1.00}}}],"status":"active","intent":"order",'
        b'"medicationReference":{"reference":"#m"},"subject":{"reference":"Patient/1"}}'
    )
    await update(server, CLIENT, Resource.parse(sent), id="r")
    answer = await search(server, CLIENT, "Medication", [CONTAINED, ITSELF], base=BASE)
    assert b'"numerator":{"value":1.00}' in (answer.resource or b"")


async def test_it_changes_and_goes_with_its_container(server: Server) -> None:
    a, b = ("code", "a"), ("code", "b")
    await keep(server, request("r", medication("m1", "a"), medication("m2", "a")))
    await keep(server, request("r", medication("m1", "b")))
    assert await found(server, "Medication", a, CONTAINED, ITSELF) == []
    assert await found(server, "Medication", b, CONTAINED, ITSELF) == ["MedicationRequest/r#m1"]
    await keep(server, request("r"))
    assert await found(server, "Medication", CONTAINED) == []
    await keep(server, request("r", medication("m1", "a")))
    assert await found(server, "Medication", a, CONTAINED) == ["MedicationRequest/r"]
    await delete(server, CLIENT, "MedicationRequest", "r")
    assert await found(server, "Medication", CONTAINED) == []


async def test_what_is_removed_for_good_leaves_no_contained_resource_either(
    server: Server, settings: Settings
) -> None:
    await keep(server, request("r", medication("m1", "geheim1")), request("r", medication("m2", "geheim2")))
    await delete_history(server, ADMINISTRATOR, "MedicationRequest", "r")
    assert await kept_contained(settings) == ["MedicationRequest/r#m2"]
    await purge(server, ADMINISTRATOR, "MedicationRequest", "r")
    assert await kept_contained(settings) == []


async def kept_contained(settings: Settings) -> list[str]:
    with sqlite3.connect(settings.store.removeprefix("sqlite:///")) as tool:
        rows = tool.execute(
            "SELECT r.id FROM resource r JOIN symbol s ON s.sid = r.tid WHERE s.text LIKE '_Contained.%'"
        ).fetchall()
    tool.close()
    return [row[0] for row in rows]


async def test_nobody_sees_the_records_themselves(server: Server) -> None:
    await keep(server, request("r", medication("m1", "a")))
    history = await server.store.history()
    assert {record.type for record in history.records} == {"MedicationRequest"}


@pytest.mark.parametrize(
    "pairs",
    [
        [("_include", "Medication:subject")],
        [("_has:MedicationRequest:subject:status", "active")],
        [("_contained", "perhaps")],
        [("_containedType", "both")],
    ],
)
async def test_what_cannot_be_asked_is_refused(server: Server, pairs: list[tuple[str, str]]) -> None:
    asked = pairs if pairs[0][0] == "_contained" else [*pairs, CONTAINED]
    with pytest.raises(InvalidSearch):
        await found(server, "Medication", *asked)


async def test_a_condition_of_a_write_is_never_about_contained_resources(server: Server) -> None:
    with pytest.raises(InvalidSearch, match="nothing else can be done"):
        await create(
            server, CLIENT, Resource.of(medication("x", "a")), if_none_exist="code=a&_contained=true"
        )


async def test_a_store_of_a_time_when_it_was_not_kept_is_caught_up_when_it_is_opened(
    settings: Settings,
) -> None:
    async with opened(settings) as server:
        await keep(server, request("r", medication("m1", "a")), request("none"))
    with sqlite3.connect(settings.store.removeprefix("sqlite:///")) as tool:
        made = "(SELECT sid FROM symbol WHERE text LIKE '_Contained.%' OR text = '_Index')"
        for table in ("log", "live", "resource"):
            tool.execute(f"DELETE FROM {table} WHERE tid IN {made}")
        tool.execute("UPDATE meta SET value = 'old' WHERE name = 'index'")
    tool.close()
    async with opened(settings) as server:
        assert await found(server, "Medication", ("code", "a"), CONTAINED) == ["MedicationRequest/r"]
        assert await found(server, "MedicationRequest", ("medication.code", "a")) == ["MedicationRequest/r"]


async def test_indexing_anew_makes_the_same_rows(server: Server, settings: Settings) -> None:
    await keep(server, request("r", medication("m1", "a"), medication("m2", "b")))
    file = settings.store.removeprefix("sqlite:///")
    before = index_rows_of(file)
    assert server.indexer is not None
    await server.indexer.request(["Medication"], [], "tests")
    await server.indexer.work_off()
    assert index_rows_of(file) == before
    assert await found(server, "Medication", ("code", "b"), CONTAINED) == ["MedicationRequest/r"]


async def test_a_new_parameter_is_built_for_contained_resources_too(server: Server) -> None:
    await keep(server, request("r", medication("m1", "a", amount={"numerator": {"value": 7}})))
    own = {
        "resourceType": "SearchParameter", "id": "own", "url": "http://example.org/own", "name": "Own",
        "status": "active", "description": "own", "code": "amount", "base": ["Medication"], "type": "quantity",
        "expression": "Medication.amount.numerator",
    }  # fmt: skip
    await update(server, ADMINISTRATOR, Resource.of(own), id="own")
    with pytest.raises(NotReady):
        await found(server, "Medication", ("amount", "7"), CONTAINED)
    assert server.indexer is not None
    await server.indexer.work_off()
    assert await found(server, "Medication", ("amount", "7"), CONTAINED) == ["MedicationRequest/r"]
