"""$everything: what belongs to a record, page by page as of one moment, and nothing that the caller may not see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from interaction_cases import BASE, expect
from operation_calls import CALLER, OPERATIONS, addresses, call, done, keep, links

from fhir_server.errors import Gone, InvalidContent, InvalidSearch, NotFound
from fhir_server.interactions.delete import delete
from fhir_server.interactions.operations import everything
from fhir_server.search.query import Clause, TokenValue


def ref(address: str) -> dict[str, str]:
    return {"reference": address}


def observation(id: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": "x"},
        "subject": ref("Patient/p"),
        **more,
    }


def encounter(id: str, patient: str = "Patient/p", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": ref(patient),
        **more,
    }


COUNTY = (
    {"resourceType": "Organization", "id": "top"},
    {"resourceType": "Organization", "id": "h1", "partOf": ref("Organization/top")},
    {"resourceType": "Practitioner", "id": "dr"},
    {"resourceType": "Practitioner", "id": "stranger"},
    {"resourceType": "PractitionerRole", "id": "role", "practitioner": ref("Practitioner/dr")},
    {"resourceType": "Binary", "id": "scan", "contentType": "image/png"},
    {"resourceType": "Medication", "id": "m", "manufacturer": ref("Organization/top")},
    {"resourceType": "Patient", "id": "p", "managingOrganization": ref("Organization/h1")},
    {"resourceType": "Patient", "id": "q"},
    encounter("e", period={"start": "2026-03-01", "end": "2026-03-05"}),
    encounter("other", "Patient/q"),
    observation(
        "o1",
        effectiveDateTime="2026-03-02",
        encounter=ref("Encounter/e"),
        performer=[ref("PractitionerRole/role")],
    ),
    observation("o2", effectiveDateTime="2026-04-02", performer=[ref(f"{BASE}/Practitioner/dr")]),
    observation("o3", hasMember=[ref("Observation/foreign")], note=[{"text": "Practitioner/stranger"}]),
    observation("foreign", subject=ref("Patient/q"), performer=[ref("Practitioner/stranger")]),
    {
        "resourceType": "MedicationRequest",
        "id": "r",
        "status": "active",
        "intent": "order",
        "subject": ref("Patient/p"),
        "medicationReference": ref("Medication/m"),
    },
    {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "subject": ref("Patient/p"),
        "content": [{"attachment": {"url": "Binary/scan"}}],
    },
)
MEMBERS = [
    "Patient/p",
    "Encounter/e",
    "Observation/o1",
    "Observation/o2",
    "Observation/o3",
    "MedicationRequest/r",
    "DocumentReference/d",
]
SUPPORTING = [
    "Binary/scan",
    "Medication/m",
    "Observation/foreign",
    "Organization/h1",
    "Organization/top",
    "Practitioner/dr",
    "PractitionerRole/role",
]


@pytest.fixture
async def county(with_rules):
    server = with_rules(operations=OPERATIONS)
    await keep(server, *COUNTY)
    return server


async def pages(server, address):
    """The addresses of each page."""
    found = []
    while address is not None:
        bundle = await call(server, address)
        found.append(addresses(bundle))
        address = links(bundle).get("next")
    return found


async def test_a_record_is_its_compartment_and_what_that_refers_to(county):
    bundle = await call(county, "Patient/p/$everything")
    assert addresses(bundle, "match") == MEMBERS
    assert sorted(addresses(bundle, "include")) == SUPPORTING
    assert county.validate(bundle) == []
    assert links(bundle) == {"self": "Patient/p/$everything"}


async def test_links_hold_what_was_applied_and_the_form_on_every_page(county):
    kept = (("_format", "json"), ("_pretty", "true"))
    bundle = await call(county, "Patient/p/$everything?_type=Encounter,Observation&_count=2", kept=kept)
    assert links(bundle)["self"] == (
        "Patient/p/$everything?_type=Encounter,Observation&_count=2&_format=json&_pretty=true"
    )
    while "next" in links(bundle):
        following = links(bundle)["next"]
        assert "_type=Encounter,Observation&_count=2&_format=json&_pretty=true&_cursor=" in following
        bare = following.replace("&_format=json&_pretty=true", "")
        bundle = await call(county, bare, kept=kept)
    large = await call(county, "Patient/p/$everything?_count=5000")
    assert links(large) == {"self": "Patient/p/$everything?_count=1000"}


async def test_a_record_is_stored_bytes(county):
    await keep(county, observation("exact", valueQuantity={"value": 1}))
    outcome = await done(county, "Patient/p/$everything")
    stored = await county.store.read("Observation", "exact")
    assert stored.content in outcome.resource


async def test_of_an_encounter_the_patient_is_supporting(county):
    bundle = await call(county, "Encounter/e/$everything")
    assert addresses(bundle, "match") == ["Encounter/e", "Observation/o1"]
    assert sorted(addresses(bundle, "include")) == ["Patient/p", "Practitioner/dr", "PractitionerRole/role"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("_type=Observation", ["foreign", "o1", "o2", "o3"]),
        ("_type=Practitioner,Medication", ["dr", "m"]),
        ("_type=Practitioner&_type=Medication", ["dr", "m"]),
        ("_type=Observation,Encounter&start=2026-03-03&end=2026-03-31", ["e", "o3", "foreign"]),
        ("_type=Observation&start=2026-04-02", ["foreign", "o2", "o3"]),
        ("_type=Observation&end=2026-03-02", ["foreign", "o1", "o3"]),
        ("_type=Practitioner&end=2026-01-01", []),
        ("_since=2036-01-01T00:00:00Z", []),
    ],
)
async def test_what_is_asked_for(county, query, expected):
    bundle = await call(county, f"Patient/p/$everything?{query}")
    assert sorted(address.partition("/")[2] for address in addresses(bundle)) == sorted(expected)


async def test_since_the_last_answer(county):
    first = await call(county, "Patient/p/$everything")
    since = first["meta"]["lastUpdated"]
    await keep(county, observation("new"), {"resourceType": "Practitioner", "id": "dr", "active": True})
    bundle = await call(county, f"Patient/p/$everything?_since={since}")
    assert addresses(bundle) == ["Observation/new", "Practitioner/dr"]


@pytest.mark.parametrize("count", [1, 2, 5, 7, 100])
async def test_the_pages_are_the_record_once(county, count):
    found = await pages(county, f"Patient/p/$everything?_count={count}")
    assert [len(page) for page in found[:-1]] == [count] * (len(found) - 1)
    assert [address for page in found for address in page] == [*MEMBERS, *SUPPORTING]


async def test_later_pages_show_the_moment_of_the_first(county):
    first = await call(county, "Patient/p/$everything?_count=2")
    expected = (await pages(county, "Patient/p/$everything?_count=2"))[1:]
    await keep(
        county,
        observation("late"),
        observation("o1", subject=ref("Patient/q")),
        observation(
            "o2", status="amended", effectiveDateTime="2026-04-02", performer=[ref("Practitioner/stranger")]
        ),
        {"resourceType": "Organization", "id": "h1"},
    )
    for type, id in (("Observation", "o3"), ("Medication", "m"), ("Practitioner", "dr")):
        await delete(county, CALLER, type, id)
    bundle = await call(county, links(first)["next"])
    assert addresses(bundle) == expected[0]
    assert await pages(county, links(first)["next"]) == expected
    entries = [entry for page in [bundle] for entry in page["entry"]]
    assert all("amended" not in orjson.dumps(entry).decode() for entry in entries)
    now = await call(county, "Patient/p/$everything")
    assert "Observation/o1" not in addresses(now)


async def test_a_link_of_another_call_is_refused(county):
    next = links(await call(county, "Patient/p/$everything?_count=2"))["next"]
    for changed in (
        next.replace("Patient/p/", "Patient/q/"),
        next + "x",
        next.replace("_count=2", "_count=2&_type=Patient"),
    ):
        await expect(InvalidSearch, call(county, changed))
    assert await call(county, next.replace("_count=2", "_count=3"))


async def test_all_patients_when_they_are_few(county, monkeypatch):
    bundle = await call(county, "Patient/$everything")
    found = addresses(bundle)
    assert len(found) == len(set(found)) == len(COUNTY)
    assert found[:2] == ["Patient/q", "Patient/p"]
    await expect(InvalidSearch, call(county, "Patient/$everything?_count=2"))
    monkeypatch.setattr(everything, "MOST_PATIENTS", 1)
    error = await expect(InvalidSearch, call(county, "Patient/$everything"))
    assert error.issues[0].code == "too-costly"


async def test_a_large_record_is_streamed(county, monkeypatch):
    whole = await call(county, "Patient/p/$everything")
    monkeypatch.setattr(everything, "HELD", 100)
    monkeypatch.setattr(everything, "PIECE", 500)
    outcome = await done(county, "Patient/p/$everything")
    assert outcome.resource is None
    pieces = [piece async for piece in outcome.stream]
    assert len(pieces) > 3
    streamed = orjson.loads(b"".join(pieces))
    assert addresses(streamed) == addresses(whole)


async def test_only_what_the_caller_may_see(county, monkeypatch):
    hidden = TokenValue(None, "o1")

    def narrow(query, caller):
        if query.type != "Observation":
            return query
        clause = Clause(county.parameters.parameter("Observation", "_id"), None, (hidden,))
        return replace(query, clauses=(*query.clauses, clause))

    monkeypatch.setattr("fhir_server.interactions.visible.narrow", narrow)
    found = addresses(await call(county, "Patient/p/$everything"))
    assert [address for address in found if address.startswith("Observation")] == ["Observation/o1"]


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("Patient/nobody/$everything", NotFound),
        ("Patient/p/$everything?_count=0", InvalidSearch),
        ("Patient/p/$everything?_type=Banana", InvalidSearch),
        ("Patient/p/$everything?start=2026-13", InvalidSearch),
        ("Patient/p/$everything?_since=2026", InvalidSearch),
        ("Patient/p/$everything?code=x", InvalidSearch),
        ("Patient/p/$everything?start=2026&start=2027", InvalidContent),
        ("Encounter/e/$everything?start=2026", InvalidSearch),
        ("Patient/p/$everything?_cursor=AAAA", InvalidSearch),
        ("Patient/p/$everything?_cursor=", InvalidSearch),
    ],
)
async def test_calls_that_cannot_be_made(county, address, error):
    await expect(error, call(county, address))


async def test_a_deleted_patient_is_gone(county):
    await delete(county, CALLER, "Patient", "q")
    await expect(Gone, call(county, "Patient/q/$everything"))
