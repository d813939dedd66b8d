"""Searches that depend on other resources: value sets and code systems kept here, hierarchies of resources."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from interaction_cases import BASE, expect, parsed, resource

from fhir_server.errors import InvalidSearch
from fhir_server.interactions.delete import delete
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.search import lookups

WARDS = "http://cmc.example.org/fhir/CodeSystem/wards"
INTERNAL = "http://cmc.example.org/fhir/ValueSet/internal"


async def keep(server, caller, type, id, **members):
    await update(server, caller, resource(type, id=id, **members), id=id)


async def found(server, caller, type, query, **options):
    pairs = parse_qsl(query, keep_blank_values=True)
    bundle = parsed(await search(server, caller, type, pairs, base=BASE, **options))
    return sorted(entry["resource"]["id"] for entry in bundle.get("entry", ()))


async def refused(server, caller, type, query) -> str:
    error = await expect(InvalidSearch, search(server, caller, type, parse_qsl(query), base=BASE))
    return " ".join(issue.text for issue in error.issues)


def value_set(*include, **members):
    return {"url": INTERNAL, "status": "active", "compose": {"include": list(include)}, **members}


@pytest.fixture
async def wards(server, caller):
    """A code system of wards and an observation in each of three."""
    await keep(
        server,
        caller,
        "CodeSystem",
        "wards",
        url=WARDS,
        status="active",
        content="complete",
        concept=[{"code": "INT", "concept": [{"code": "CARD"}, {"code": "RESP"}]}, {"code": "SURG"}],
    )
    for code in ("INT", "CARD", "SURG"):
        await keep(
            server, caller, "Observation", code.lower(), code={"coding": [{"system": WARDS, "code": code}]}
        )
    return server


# ── value sets ────────────────────────────────────────────────────────────────


async def test_a_value_set_kept_here_is_used_as_it_is_now(wards, caller):
    is_a = {"system": WARDS, "filter": [{"property": "concept", "op": "is-a", "value": "INT"}]}
    await keep(wards, caller, "ValueSet", "internal", **value_set(is_a))
    query = f"code:in={INTERNAL}"
    assert await found(wards, caller, "Observation", query) == ["card", "int"]
    assert await found(wards, caller, "Observation", f"code:not-in={INTERNAL}") == ["surg"]
    only = {"system": WARDS, "concept": [{"code": "SURG"}]}
    await keep(wards, caller, "ValueSet", "internal", **value_set(only))
    assert await found(wards, caller, "Observation", query) == ["surg"]
    for address in ("ValueSet/internal", f"{BASE}/ValueSet/internal"):
        assert await found(wards, caller, "Observation", f"code:in={address}") == ["surg"]
    assert await found(wards, caller, "Observation", f"_filter=code in {INTERNAL}") == ["surg"]
    await delete(wards, caller, "ValueSet", "internal")
    assert "is not known here" in await refused(wards, caller, "Observation", query)


async def test_a_value_set_of_another_value_set_by_version(wards, caller):
    await keep(
        wards,
        caller,
        "ValueSet",
        "old",
        **value_set({"system": WARDS, "concept": [{"code": "SURG"}]}, version="1"),
    )
    await keep(
        wards,
        caller,
        "ValueSet",
        "new",
        **value_set({"system": WARDS, "concept": [{"code": "CARD"}]}, version="2"),
    )
    outer = f"{INTERNAL}-outer"
    await keep(
        wards,
        caller,
        "ValueSet",
        "outer",
        url=outer,
        status="active",
        compose={"include": [{"valueSet": [f"{INTERNAL}|1"]}]},
    )
    assert await found(wards, caller, "Observation", f"code:in={outer}") == ["surg"]
    assert await found(wards, caller, "Observation", f"code:in={INTERNAL}|2") == ["card"]
    assert "is not known here" in await refused(wards, caller, "Observation", f"code:in={INTERNAL}|3")


CANNOT = [
    ({"system": "http://elsewhere.example.org"}, "http://elsewhere.example.org is not here in full"),
    ({"valueSet": ["http://elsewhere.example.org/v"]}, "http://elsewhere.example.org/v is not here"),
    ({"valueSet": [INTERNAL]}, "includes itself"),
    ({"system": WARDS, "filter": [{"property": "code", "op": "regex", "value": "(a+)+"}]}, "regex filter"),
    ({"system": WARDS, "filter": [{"property": "concept", "op": "is-a", "value": "NONE"}]}, "no code"),
]


@pytest.mark.parametrize(("include", "reason"), CANNOT, ids=[row[1][:30] for row in CANNOT])
async def test_what_cannot_be_expanded_is_refused_and_never_empty(wards, caller, include, reason):
    await keep(wards, caller, "ValueSet", "internal", **value_set(include))
    for modifier in ("in", "not-in"):
        assert reason in await refused(wards, caller, "Observation", f"code:{modifier}={INTERNAL}")


async def test_a_value_set_that_is_too_large_is_refused(wards, caller, monkeypatch):
    monkeypatch.setattr(lookups, "MOST_CODES", 2)
    await keep(wards, caller, "ValueSet", "internal", **value_set({"system": WARDS}))
    assert "more than 2 codes" in await refused(wards, caller, "Observation", f"code:in={INTERNAL}")


async def test_a_long_value_set_is_looked_up_as_one_list(wards, caller):
    codes = [{"code": f"c{number}"} for number in range(3_000)]
    await keep(
        wards,
        caller,
        "ValueSet",
        "internal",
        **value_set({"system": WARDS, "concept": [*codes, {"code": "CARD"}]}),
    )
    assert await found(wards, caller, "Observation", f"code:in={INTERNAL}") == ["card"]
    assert await found(wards, caller, "Observation", f"code:in={INTERNAL}&status=final&_sort=code") == [
        "card"
    ]
    assert await found(wards, caller, "Observation", f"code:not-in={INTERNAL}") == ["int", "surg"]


# ── code systems ──────────────────────────────────────────────────────────────


async def test_above_and_below_by_a_code_system_kept_here(wards, caller):
    assert await found(wards, caller, "Observation", f"code:below={WARDS}|INT") == ["card", "int"]
    assert await found(wards, caller, "Observation", f"code:above={WARDS}|CARD") == ["card", "int"]
    assert await found(wards, caller, "Observation", f"code:below={WARDS}|CARD") == ["card"]


NO_PLACE = [
    ("code:below=INT", "allowed is system|code"),
    ("code:below=http://elsewhere.example.org|x", "is not known here"),
    (f"code:above={WARDS}|NONE", "has no such code"),
]


@pytest.mark.parametrize(("query", "reason"), NO_PLACE, ids=[row[1] for row in NO_PLACE])
async def test_a_code_without_a_known_place_is_refused(wards, caller, query, reason):
    assert reason in await refused(wards, caller, "Observation", query)


# ── hierarchies of resources ──────────────────────────────────────────────────


async def test_above_and_below_follow_part_of_and_stand_circles(server, caller):
    parents = {"hospital": "floor", "floor": "hospital", "ward": "floor", "bed": "ward", "other": None}
    for id, parent in parents.items():
        part_of = {"partOf": {"reference": f"Location/{parent}"}} if parent else {}
        await keep(server, caller, "Location", id, **part_of)
        await keep(
            server,
            caller,
            "Encounter",
            f"in-{id}",
            status="finished",
            **{"class": {"code": "IMP"}},
            location=[{"location": {"reference": f"Location/{id}"}}],
        )
    below_floor = ["in-bed", "in-floor", "in-hospital", "in-ward"]
    assert await found(server, caller, "Encounter", "location:below=floor") == below_floor
    assert await found(server, caller, "Encounter", "location:below=Location/ward") == ["in-bed", "in-ward"]
    assert await found(server, caller, "Encounter", "location:above=ward") == [
        "in-floor",
        "in-hospital",
        "in-ward",
    ]
    assert await found(server, caller, "Encounter", "location:below=nowhere") == []


NO_HIERARCHY = [
    ("Observation", "subject:below=Patient/1", "a Patient is part of nothing"),
    ("Provenance", "target:below=1", "write Type/id"),
    ("QuestionnaireResponse", "questionnaire:above=http://example.org/q", "a URL is part of nothing"),
]


@pytest.mark.parametrize(("type", "query", "reason"), NO_HIERARCHY, ids=[row[1] for row in NO_HIERARCHY])
async def test_what_has_no_hierarchy_is_refused(server, caller, type, query, reason):
    assert reason in await refused(server, caller, type, query)


async def test_a_family_that_is_too_large_is_refused(server, caller, monkeypatch):
    monkeypatch.setattr(lookups, "LARGEST_FAMILY", 2)
    await keep(server, caller, "Organization", "a")
    for id in "bcd":
        await keep(server, caller, "Organization", id, partOf={"reference": "Organization/a"})
    assert "more than 2" in await refused(server, caller, "Organization", "partof:below=a")


async def test_a_page_link_stays_good_while_the_hierarchy_grows(server, caller):
    await keep(server, caller, "Organization", "a")
    for id in "bcd":
        await keep(server, caller, "Organization", id, partOf={"reference": "Organization/a"})
    pairs = [("partof:below", "a"), ("_count", "2")]
    first = parsed(await search(server, caller, "Organization", pairs, base=BASE))
    await keep(server, caller, "Organization", "e", partOf={"reference": "Organization/a"})
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    rest = await found(server, caller, "Organization", following.partition("?")[2])
    assert sorted([*rest, *(entry["resource"]["id"] for entry in first["entry"])]) == ["b", "c", "d"]
