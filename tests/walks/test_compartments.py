"""By HTTP: what belongs to a patient, searches of the whole system, and what comes along."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest


async def keep(client, type, id, **members):
    body = {"resourceType": type, "id": id, **members}
    answer = await client.put(
        f"/fhir/{type}/{id}", json=body, headers={"Content-Type": "application/fhir+json"}
    )
    assert answer.status_code in {200, 201}, answer.text


def observation(patient, date, **more):
    return {
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": date,
        **more,
    }


@pytest.fixture
async def ward(client):
    """Two patients; an encounter, two observations and a condition of the first, an observation of the second."""
    await keep(client, "Organization", "h1", name="晨溪县人民医院")
    await keep(
        client,
        "Patient",
        "w1",
        name=[{"text": "张伟"}],
        managingOrganization={"reference": "Organization/h1"},
    )
    await keep(client, "Patient", "w2", name=[{"text": "李娜"}])
    visit = {"status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/w1"}}
    await keep(client, "Encounter", "v1", **visit, period={"start": "2026-03-01"})
    await keep(
        client,
        "Observation",
        "b1",
        **observation("w1", "2026-03-02", encounter={"reference": "Encounter/v1"}),
    )
    await keep(client, "Observation", "b2", **observation("w1", "2026-03-04"))
    await keep(client, "Observation", "b3", **observation("w2", "2026-03-05"))
    await keep(client, "Condition", "c1", subject={"reference": "Patient/w1"}, recordedDate="2026-03-03")
    return client


def hits(bundle, mode="match"):
    entries = [entry["resource"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == mode]
    return [f"{each['resourceType']}/{each['id']}" for each in entries]


def link(bundle, relation="self"):
    return {each["relation"]: each["url"] for each in bundle["link"]}.get(relation)


def local(url):
    return url and urlsplit(url)._replace(scheme="", netloc="").geturl()


async def search(client, address):
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def walk(client, address):
    """The matches of all pages."""
    found = []
    while address:
        bundle = await search(client, address)
        found += hits(bundle)
        address = local(link(bundle, "next"))
    return found


ADDRESSES = [
    ("Patient/w1/Observation", ["Observation/b2", "Observation/b1"]),
    ("Patient/w1/Observation?code=718-7&_sort=date", ["Observation/b1", "Observation/b2"]),
    ("Patient/w1/Observation?code=nothing", []),
    ("Patient/w1/Patient", ["Patient/w1"]),
    ("Patient/w1/*", ["Observation/b2", "Condition/c1", "Observation/b1", "Encounter/v1", "Patient/w1"]),
    ("Patient/w1/*?_type=Condition,Encounter", ["Condition/c1", "Encounter/v1"]),
    ("Patient/nobody/Observation", []),
    ("Encounter/v1/Observation", ["Observation/b1"]),
    ("Encounter/v1/*", ["Observation/b1", "Encounter/v1"]),
    ("?_type=Patient,Condition&_sort=_id", ["Condition/c1", "Patient/w1", "Patient/w2"]),
    ("?_type=Observation&code=718-7", ["Observation/b3", "Observation/b2", "Observation/b1"]),
    ("?_id=w1,b2", ["Observation/b2", "Patient/w1"]),
    ("Observation?patient.name=张", ["Observation/b2", "Observation/b1"]),
    ("Observation?patient.organization.name=晨溪", ["Observation/b2", "Observation/b1"]),
    ("Patient?_has:Observation:patient:code=718-7&_sort=_id", ["Patient/w1", "Patient/w2"]),
    ("Patient?_has:Observation:patient:encounter.class=AMB", ["Patient/w1"]),
]


@pytest.mark.parametrize(("address", "expected"), ADDRESSES, ids=[row[0] for row in ADDRESSES])
async def test_what_is_found(ward, address, expected):
    slash = "" if address.startswith("?") else "/"
    bundle = await search(ward, f"/fhir{slash}{address}")
    assert hits(bundle) == expected
    again = await search(ward, local(link(bundle)))
    assert (hits(again), link(again)) == (expected, link(bundle))
    separator = "&" if "?" in address else "?"
    assert await walk(ward, f"/fhir{slash}{address}{separator}_count=1") == expected
    counted = await search(ward, f"/fhir{slash}{address}{separator}_summary=count")
    assert (counted["total"], "entry" in counted) == (len(expected), False)


FORMS = [
    ("_search", "_type=Patient,Condition&_sort=_id", ["Condition/c1", "Patient/w1", "Patient/w2"]),
    ("Patient/w1/Observation/_search", "code=718-7", ["Observation/b2", "Observation/b1"]),
    ("Patient/w1/*/_search", "_type=Condition", ["Condition/c1"]),
]


@pytest.mark.parametrize(("address", "form", "expected"), FORMS, ids=[row[0] for row in FORMS])
async def test_the_same_by_a_form(ward, address, form, expected):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await ward.post(f"/fhir/{address}", content=form, headers=headers)
    assert (answer.status_code, hits(answer.json())) == (200, expected)


REFUSED = [
    ("Patient/w1/Slot", 404, "'Slot' is not in the compartment of a Patient"),
    ("Patient/w1/nonsense", 404, "'nonsense' is not in the compartment of a Patient"),
    ("Observation/b1/Patient", 404, "Observation has no compartment"),
    ("Observation/b1/*", 404, "Observation has no compartment"),
    ("Patient/w1/*?_type=Slot", 400, "'Slot' is not in the compartment"),
    ("Patient/w1/*?code=1", 400, "all of them have"),
    ("Patient/w1/Observation?shoe=1", 400, "no search parameter shoe"),
    ("?_type=Patience", 400, "no resource type 'Patience'"),
    ("?gender=male", 400, "has no search parameter gender"),
    ("Patient?_type=Patient", 400, "whole system"),
]


@pytest.mark.parametrize(("address", "status", "text"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_what_is_refused(ward, address, status, text):
    answer = await ward.get(f"/fhir{'' if address.startswith('?') else '/'}{address}")
    assert answer.status_code == status
    assert text in answer.json()["issue"][0]["details"]["text"]


async def test_lenient_says_what_was_ignored(ward):
    answer = await ward.get(
        "/fhir/Patient/w1/*?gender=male&_type=Patient,Condition&subject.shoe=1",
        headers={"Prefer": "handling=lenient"},
    )
    bundle = answer.json()
    assert hits(bundle) == ["Condition/c1", "Patient/w1"]
    issues = bundle["entry"][-1]["resource"]["issue"]
    assert [issue["expression"] for issue in issues] == [["http.gender"], ["http.subject.shoe"]]
    assert link(bundle).endswith("/fhir/Patient/w1/*?_type=Patient,Condition")


async def test_what_comes_along_with_a_whole_compartment(ward):
    bundle = await search(
        ward, "/fhir/Patient/w1/*?_include=Patient:organization&_revinclude=Observation:encounter"
    )
    assert hits(bundle, "include") == ["Organization/h1"]
