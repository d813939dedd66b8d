"""Histories of a resource, a type and everything."""

from __future__ import annotations

import pytest
from interaction_cases import BASE, expect, parsed, resource

from fhir_server.errors import InvalidSearch, NotFound
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.history import history
from fhir_server.interactions.update import update


@pytest.fixture
async def lived(server, caller):
    """Patient/n1: created at 09:12:00, updated, deleted, revived; Group/g beside it at 09:12:04."""
    await create(server, caller, resource(active=True))
    await update(server, caller, resource(id="n1"), id="n1")
    await delete(server, caller, "Patient", "n1")
    await update(server, caller, resource(id="n1"), id="n1")
    await update(server, caller, resource("Group", id="g", type="person", actual=True), id="g")
    return server


def versions(bundle):
    return [entry["response"]["etag"] for entry in bundle.get("entry", ())]


async def test_an_instances_history_has_every_version_newest_first(lived, caller):
    bundle = parsed(await history(lived, caller, "Patient", "n1", base=BASE))
    assert (bundle["type"], bundle["total"]) == ("history", 4)
    assert versions(bundle) == ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']
    assert [entry["request"] for entry in bundle["entry"]] == [
        {"method": "PUT", "url": "Patient/n1"},
        {"method": "DELETE", "url": "Patient/n1"},
        {"method": "PUT", "url": "Patient/n1"},
        {"method": "POST", "url": "Patient"},
    ]
    assert [entry["response"]["status"][:3] for entry in bundle["entry"]] == ["201", "204", "200", "201"]
    assert ["resource" in entry for entry in bundle["entry"]] == [True, False, True, True]
    assert bundle["entry"][3]["resource"]["meta"]["versionId"] == "1"
    assert bundle["entry"][0]["fullUrl"] == f"{BASE}/Patient/n1"
    assert bundle["entry"][3]["response"]["lastModified"] == "2026-03-02T01:12:00.000Z"
    assert lived.validate(bundle) == []


async def test_type_and_system_histories(lived, caller):
    assert parsed(await history(lived, caller, "Group", base=BASE))["total"] == 1
    assert parsed(await history(lived, caller, base=BASE))["total"] == 5


async def test_pages_follow_one_another_without_gap_or_repetition(lived, caller):
    seen, pairs = [], [("_count", "2")]
    while pairs:
        bundle = parsed(await history(lived, caller, "Patient", "n1", pairs=pairs, base=BASE))
        seen.append(versions(bundle))
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        assert links["self"].startswith(f"{BASE}/Patient/n1/_history?_count=2")
        _, found, cursor = links.get("next", "").partition("_cursor=")
        pairs = [("_count", "2"), ("_cursor", cursor)] if found else None
    assert seen == [['W/"4"', 'W/"3"'], ['W/"2"', 'W/"1"']]


@pytest.mark.parametrize("count", ["1", "2", "20"])
async def test_a_version_after_a_deletion_made_the_resource_anew_on_whatever_page(lived, caller, count):
    bundle = parsed(await history(lived, caller, "Patient", pairs=[("_count", count)], base=BASE))
    assert bundle["entry"][0]["response"]["status"] == "201 Created"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("_since", "2026-03-02T09:12:02", ['W/"4"', 'W/"3"']),
        ("_since", "2026-03-02T01:12:03Z", ['W/"4"']),
        ("_since", "2026-03-03", []),
        ("_at", "2026-03-02T09:12:01", ['W/"2"']),
        ("_at", "2026-03-02T09:12:02.5", ['W/"3"']),
        ("_at", "2026-03-02T09:12", ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']),
        ("_at", "2026-03-02", ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']),
        ("_at", "2026", ['W/"4"', 'W/"3"', 'W/"2"', 'W/"1"']),
        ("_at", "2026-03-03", ['W/"4"']),
        ("_at", "2027", ['W/"4"']),
        ("_at", "2026-03-01", []),
    ],
)
async def test_since_and_at(lived, caller, name, value, found):
    for path in (("Patient", "n1"), ("Patient",)):
        bundle = parsed(await history(lived, caller, *path, pairs=[(name, value)], base=BASE))
        assert versions(bundle) == found


async def test_a_deleted_resource_has_a_history(lived, caller):
    await delete(lived, caller, "Patient", "n1")
    bundle = parsed(await history(lived, caller, "Patient", "n1", base=BASE))
    assert (bundle["total"], bundle["entry"][0]["request"]["method"]) == (5, "DELETE")
    assert "resource" not in bundle["entry"][0]


async def test_a_history_of_nothing(server, caller):
    await expect(NotFound, history(server, caller, "Patient", "never"))
    empty = parsed(await history(server, caller, "Patient", base=BASE))
    assert (empty["total"], "entry" in empty) == (0, False)


async def test_every_bad_parameter_is_told(server, caller):
    pairs = [("_count", "many"), ("_since", "1.1.2020"), ("_sort", "date"), ("_at", "")]
    error = await expect(InvalidSearch, history(server, caller, "Patient", pairs=pairs))
    assert [issue.expression for issue in error.issues] == [f"http.{name}" for name, _ in pairs]
