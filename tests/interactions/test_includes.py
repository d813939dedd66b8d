"""``_include`` and ``_revinclude``: steps, circles, wildcards, versions, and that nothing is left out."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from interaction_cases import BASE, expect, parsed, resource

from fhir_server.errors import InvalidSearch
from fhir_server.interactions import includes
from fhir_server.interactions.delete import delete
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update


async def keep(server, caller, type, id, **references):
    """A resource whose members refer to others: ``subject="Patient/p"``, a list for members that repeat."""
    members = {
        name: [{"reference": each} for each in value] if isinstance(value, list) else {"reference": value}
        for name, value in references.items()
    }
    await update(server, caller, resource(type, id=id, **members), id=id)


@pytest.fixture
async def county(server, caller):
    """o1 and o2 of patient p of hospital h, part of community c; o2 has the member o1; d performed o1."""
    await keep(server, caller, "Organization", "c")
    await keep(server, caller, "Organization", "h", partOf="Organization/c")
    await keep(server, caller, "Practitioner", "d")
    await keep(
        server,
        caller,
        "Patient",
        "p",
        managingOrganization="Organization/h",
        generalPractitioner=["Practitioner/d"],
    )
    await keep(server, caller, "Observation", "o1", subject="Patient/p", performer=["Practitioner/d"])
    await keep(server, caller, "Observation", "o2", subject="Patient/p", hasMember=["Observation/o1"])
    return server


async def ask(server, caller, type, query):
    return parsed(await search(server, caller, type, parse_qsl(query), base=BASE))


def along(bundle):
    entries = [entry for entry in bundle.get("entry", ()) if entry["search"]["mode"] == "include"]
    return sorted(f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in entries)


ROWS = [
    ("_include=Observation:subject", ["Patient/p"]),
    ("_include=Observation:subject&_include=Patient:organization", None),
    ("_include=Observation:subject&_include:iterate=Patient:organization", ["Organization/h", "Patient/p"]),
    ("_include=Observation:patient&_include:iterate=Patient:organization&_include:iterate=Organization:partof",
     ["Organization/c", "Organization/h", "Patient/p"]),
    ("_include:iterate=Patient:organization&_include:iterate=Observation:subject", ["Organization/h", "Patient/p"]),
    ("_include:iterate=Patient:organization", []),
    ("_include=Observation:*", ["Observation/o1", "Patient/p"]),
    ("_include=*", ["Observation/o1", "Patient/p"]),
    ("_include=*:*", ["Observation/o1", "Patient/p"]),
    ("_include=*:*:Observation", ["Observation/o1"]),
    ("_include=Observation:has-member&_include:iterate=*:*:Practitioner", ["Observation/o1", "Practitioner/d"]),
    ("_include=Observation:*:Patient", ["Patient/p"]),
    ("_include:iterate=*",
     ["Observation/o1", "Organization/c", "Organization/h", "Patient/p", "Practitioner/d"]),
    ("_include:iterate=Observation:has-member&_include:iterate=Observation:performer",
     ["Observation/o1", "Practitioner/d"]),
    ("_include=Observation:has-member&_include:iterate=Observation:performer:Organization", ["Observation/o1"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), ROWS, ids=[row[0] for row in ROWS])
async def test_what_comes_along_with_an_observation(county, caller, query, expected):
    if expected is None:
        await expect(InvalidSearch, ask(county, caller, "Observation", f"_id=o2&{query}"))
        return
    bundle = await ask(county, caller, "Observation", f"_id=o2&{query}")
    assert along(bundle) == expected
    assert county.validate(bundle) == []
    assert bundle["link"][0]["url"] == f"{BASE}/Observation?_id=o2&{query}".replace("*", "%2A")


REVERSE = [
    ("Patient", "_id=p&_revinclude=Observation:subject", ["Observation/o1", "Observation/o2"]),
    ("Patient", "_id=p&_revinclude=Observation:*", ["Observation/o1", "Observation/o2"]),
    ("Patient", "_id=p&_revinclude=*", ["Observation/o1", "Observation/o2"]),
    ("Patient", "_id=p&_revinclude=*:*", ["Observation/o1", "Observation/o2"]),
    ("Patient", "_id=p&_revinclude=*:*:Patient", ["Observation/o1", "Observation/o2"]),
    ("Organization", "_id=h&_revinclude=Patient:organization", ["Patient/p"]),
    ("Organization", "_id=h&_revinclude=Patient:organization&_revinclude:iterate=Observation:patient",
     ["Observation/o1", "Observation/o2", "Patient/p"]),
    ("Organization", "_id=c&_revinclude:iterate=Organization:partof&_revinclude:iterate=Patient:organization",
     ["Organization/h", "Patient/p"]),
    ("Observation", "_id=o1&_revinclude=Observation:has-member&_include:iterate=Observation:subject",
     ["Observation/o2", "Patient/p"]),
    ("Organization", "_id=c&_revinclude:iterate=*",
     ["Observation/o1", "Observation/o2", "Organization/h", "Patient/p"]),
]  # fmt: skip


@pytest.mark.parametrize(("type", "query", "expected"), REVERSE, ids=[row[1] for row in REVERSE])
async def test_what_comes_along_backwards(county, caller, type, query, expected):
    assert along(await ask(county, caller, type, query)) == expected


async def test_circles_end(server, caller):
    for number in range(5):
        await keep(
            server, caller, "Observation", f"o{number}", hasMember=[f"Observation/o{(number + 1) % 5}"]
        )
    forward = await ask(server, caller, "Observation", "_id=o0&_include:iterate=Observation:has-member")
    assert along(forward) == [f"Observation/o{number}" for number in range(1, 5)]
    backward = await ask(server, caller, "Observation", "_id=o0&_revinclude:iterate=Observation:has-member")
    assert along(backward) == along(forward)
    itself = await ask(server, caller, "Observation", "_include:iterate=Observation:has-member")
    assert along(itself) == []


async def test_a_reference_to_a_version_brings_that_version(server, caller):
    for text in ("first", "second", "third"):
        await update(server, caller, resource("Patient", id="p", name=[{"text": text}]), id="p")
    await keep(server, caller, "Observation", "o1", subject="Patient/p/_history/2")
    one = await ask(server, caller, "Observation", "_include=Observation:subject")
    assert [e["resource"]["name"][0]["text"] for e in one["entry"][1:]] == ["second"]
    await keep(server, caller, "Observation", "o2", subject="Patient/p")
    await keep(server, caller, "Observation", "o3", subject="Patient/p/_history/3")
    await keep(server, caller, "Observation", "o4", subject="Patient/p/_history/9")
    all_of_them = await ask(server, caller, "Observation", "_include=Observation:subject")
    texts = [
        e["resource"]["name"][0]["text"] for e in all_of_them["entry"] if e["search"]["mode"] == "include"
    ]
    assert sorted(texts) == ["second", "third"]
    assert server.validate(all_of_them) == []


async def test_what_is_deleted_does_not_come_along(county, caller):
    await keep(county, caller, "Observation", "o3", subject="Patient/p/_history/1")
    for id in ("o1", "o2"):
        await delete(county, caller, "Observation", id)
    await delete(county, caller, "Patient", "p")
    assert along(await ask(county, caller, "Observation", "_include=Observation:subject")) == []


async def test_a_page_that_would_be_too_large_is_refused(county, caller, monkeypatch):
    monkeypatch.setattr(includes, "MOST", 1)
    error = await expect(InvalidSearch, ask(county, caller, "Patient", "_revinclude=Observation:subject"))
    assert error.issues[0].code == "too-costly"
    assert along(await ask(county, caller, "Observation", "_include=Observation:subject")) == ["Patient/p"]


async def test_includes_are_of_the_page(county, caller):
    await keep(county, caller, "Patient", "q")
    await keep(county, caller, "Observation", "o3", subject="Patient/q")
    first = await ask(county, caller, "Observation", "_sort=_id&_count=2&_include=Observation:subject")
    assert along(first) == ["Patient/p"]
    query = next(link["url"] for link in first["link"] if link["relation"] == "next").partition("?")[2]
    assert along(await ask(county, caller, "Observation", query)) == ["Patient/q"]


async def test_a_summary_of_text_cannot_be_mixed_with_includes(county, caller):
    query = "_summary=text&_include=Observation:subject"
    error = await expect(InvalidSearch, ask(county, caller, "Observation", query))
    assert "cannot be mixed" in error.issues[0].text


async def test_elements_are_those_of_the_matches_and_a_summary_is_of_all(county, caller):
    bundle = await ask(county, caller, "Observation", "_id=o2&_elements=subject&_include=Observation:subject")
    match, patient = (entry["resource"] for entry in bundle["entry"])
    assert set(match) == {"resourceType", "id", "meta", "status", "code", "subject"}
    assert "generalPractitioner" in patient
    summary = await ask(county, caller, "Observation", "_id=o2&_summary=true&_include=Observation:subject")
    assert all(entry["resource"]["meta"]["tag"][-1]["code"] == "SUBSETTED" for entry in summary["entry"])
    assert "generalPractitioner" not in summary["entry"][1]["resource"]
    counted = await ask(county, caller, "Observation", "_summary=count&_include=Observation:subject")
    assert (counted["total"], "entry" in counted) == (2, False)


# ── canonical URLs ────────────────────────────────────────────────────────────


@pytest.fixture
async def forms(server, caller):
    """Two versions of one questionnaire, another one, and answers to each."""
    for id, url, version in (("a1", "http://x/a", "1"), ("a2", "http://x/a", "2"), ("b", "http://x/b", None)):
        body = {"url": url, "status": "active"} | ({"version": version} if version else {})
        await update(server, caller, resource("Questionnaire", id=id, **body), id=id)
    for id, canonical in (
        ("r1", "http://x/a|1"),
        ("r2", "http://x/a"),
        ("r3", "http://x/b"),
        ("r4", "http://x/gone"),
    ):
        body = resource("QuestionnaireResponse", id=id, status="completed", questionnaire=canonical)
        await update(server, caller, body, id=id)
    return server


CANONICAL = [
    ("QuestionnaireResponse", "_id=r1&_include=QuestionnaireResponse:questionnaire", ["Questionnaire/a1"]),
    ("QuestionnaireResponse", "_id=r2&_include=QuestionnaireResponse:*", ["Questionnaire/a1", "Questionnaire/a2"]),
    ("QuestionnaireResponse", "_id=r3&_include=QuestionnaireResponse:questionnaire:Questionnaire", ["Questionnaire/b"]),
    ("QuestionnaireResponse", "_id=r4&_include=QuestionnaireResponse:questionnaire", []),
    ("Questionnaire", "_id=b&_revinclude=QuestionnaireResponse:questionnaire", ["QuestionnaireResponse/r3"]),
    ("Questionnaire", "_id=a2&_revinclude=QuestionnaireResponse:questionnaire&_include:iterate=QuestionnaireResponse:*",
     ["Questionnaire/a1", "QuestionnaireResponse/r2"]),
    ("Questionnaire", "_id=a1&_revinclude=*", ["QuestionnaireResponse/r1", "QuestionnaireResponse/r2"]),
]  # fmt: skip


@pytest.mark.parametrize(("type", "query", "expected"), CANONICAL, ids=[row[1] for row in CANONICAL])
async def test_what_comes_along_by_its_url(forms, caller, type, query, expected):
    assert along(await ask(forms, caller, type, query)) == expected
