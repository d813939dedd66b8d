"""Chains and ``_has`` along canonical URLs: a URL with a version means that version, one without any of them."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from interaction_cases import BASE, expect, parsed

from fhir_server.errors import InvalidSearch
from fhir_server.interactions import canonical_relations
from fhir_server.interactions.conditional import parse_criteria
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource


async def keep(server, caller, kind, id, **members):
    data = {"resourceType": kind, "id": id, **members}
    await update(server, caller, Resource.of(data), id=id)


async def ask(server, caller, type, query, **options):
    pairs = parse_qsl(query, keep_blank_values=True)
    return parsed(await search(server, caller, type, pairs, base=BASE, **options))


async def found(server, caller, type, query, **options):
    bundle = await ask(server, caller, type, query, **options)
    return sorted(entry["resource"]["id"] for entry in bundle.get("entry", ()))


FORMS = {
    "a1": {"url": "http://x/a", "version": "1", "title": "入院评估", "status": "retired"},
    "a2": {"url": "http://x/a", "version": "2", "title": "入院评估表", "publisher": "晨溪"},
    "b": {"url": "http://x/b", "title": "Discharge"},
    "here": {"url": f"{BASE}/Questionnaire/here", "title": "Local"},
    "without": {"title": "入院"},
}
ANSWERS = {
    "r1": "http://x/a|1",
    "r2": "http://x/a|2",
    "r3": "http://x/a|3",
    "any": "http://x/a",
    "b": "http://x/b",
    "b9": "http://x/b|9",
    "local": f"{BASE}/Questionnaire/here",
    "gone": "http://x/gone",
}


@pytest.fixture
async def forms(server, caller):
    for id, members in FORMS.items():
        await keep(server, caller, "Questionnaire", id, **{"status": "active", **members})
    for number, (id, canonical) in enumerate(ANSWERS.items()):
        subject = {"reference": f"Patient/p{number % 2}"}
        await keep(
            server,
            caller,
            "QuestionnaireResponse",
            id,
            status="completed",
            questionnaire=canonical,
            subject=subject,
            authored=f"2026-03-0{number + 1}",
        )
    await keep(server, caller, "QuestionnaireResponse", "none", status="amended")
    for id in ("p0", "p1"):
        await keep(server, caller, "Patient", id, gender="male" if id == "p0" else "female")
    await keep(
        server, caller, "Library", "l1", url="http://x/l1", status="active", name="Sepsis", type={"text": "x"}
    )
    await keep(
        server,
        caller,
        "Measure",
        "m",
        url="http://x/m",
        status="active",
        name="Mortality",
        library=["http://x/l1", "http://x/l2|1"],
    )
    await keep(
        server,
        caller,
        "MeasureReport",
        "report",
        status="complete",
        type="summary",
        measure="http://x/m",
        period={"start": "2026-01-01"},
    )
    await keep(
        server,
        caller,
        "PlanDefinition",
        "plan",
        status="active",
        relatedArtifact=[
            {"type": "composed-of", "resource": "http://x/m"},
            {"type": "depends-on", "resource": "http://x/l1"},
        ],
    )
    return server


CHAINS = [
    ("QuestionnaireResponse", "questionnaire.title=入院评估表", ["any", "r2"]),
    ("QuestionnaireResponse", "questionnaire.title=入院评估", ["any", "r1", "r2"]),
    ("QuestionnaireResponse", "questionnaire:Questionnaire.status=retired", ["any", "r1"]),
    ("QuestionnaireResponse", "questionnaire.version=2&status=completed", ["any", "r2"]),
    ("QuestionnaireResponse", "questionnaire.title=discharge", ["b"]),
    ("QuestionnaireResponse", "questionnaire.title=Local", ["local"]),
    ("QuestionnaireResponse", "questionnaire.title=nobody", []),
    ("QuestionnaireResponse", "questionnaire._id=without", []),
    ("QuestionnaireResponse", "questionnaire.url=http://x/a,http://x/b&subject=Patient/p0", ["b", "r1"]),
    ("QuestionnaireResponse", "questionnaire.title:missing=true", []),
    ("QuestionnaireResponse", "questionnaire.publisher:missing=true", ["any", "b", "local", "r1"]),
    ("QuestionnaireResponse", "_filter=questionnaire.title co 评估 and status eq completed", ["any", "r1", "r2"]),
    ("QuestionnaireResponse", "_filter=not (questionnaire.title co 评估)", ["b", "b9", "gone", "local", "none", "r3"]),
    ("Patient", "_has:QuestionnaireResponse:patient:questionnaire.publisher=晨溪", ["p1"]),
    ("MeasureReport", "measure.name=mort", ["report"]),
    ("MeasureReport", "measure.depends-on.name=sep", ["report"]),
    ("MeasureReport", "measure.depends-on:Library.name=other", []),
    ("PlanDefinition", "composed-of.name=mort", ["plan"]),
    ("PlanDefinition", "depends-on.name=sep", ["plan"]),
    ("PlanDefinition", "depends-on.name=mort", []),
    ("PlanDefinition", "composed-of:Measure.depends-on:Library.name=sep", ["plan"]),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=completed", ["a1", "a2", "b", "here"]),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:_id=r1", ["a1"]),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:_id=r3,b9,gone", []),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:_id=any", ["a1", "a2"]),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:patient.gender=male&status=active", ["b", "here"]),
    ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=stopped", []),
    ("Library", "_has:Measure:depends-on:_has:MeasureReport:measure:status=complete", ["l1"]),
    ("Questionnaire", "_contained=true&_has:QuestionnaireResponse:questionnaire:status=completed", []),
    ("QuestionnaireResponse", "questionnaire.title=discharge&_contained=both", ["b"]),
]  # fmt: skip


@pytest.mark.parametrize(("type", "query", "expected"), CHAINS, ids=[row[1] for row in CHAINS])
async def test_what_is_found(forms, caller, type, query, expected):
    assert await found(forms, caller, type, query) == expected


@pytest.mark.parametrize(("type", "query", "expected"), CHAINS, ids=[row[1] for row in CHAINS])
async def test_what_is_found_when_much_refers(forms, caller, monkeypatch, type, query, expected):
    """``_has`` looks from the other side when more refer than can be read."""
    monkeypatch.setattr(canonical_relations, "MOST_REFERRING", 0)
    assert await found(forms, caller, type, query) == expected


async def test_dates_around_now_are_looked_up_once_and_again(forms, caller):
    query = "questionnaire.date=ap2026-11-25"
    assert await found(forms, caller, "QuestionnaireResponse", query) == []


async def test_pages_go_on(forms, caller):
    pairs = "questionnaire.title=入院评估&_count=2&_sort=_id"
    first = await ask(forms, caller, "QuestionnaireResponse", pairs)
    (address,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    assert await found(forms, caller, "QuestionnaireResponse", address.partition("?")[2]) == ["r2"]


async def test_what_changes_is_seen_at_once(forms, caller):
    query = "questionnaire.title=入院评估表"
    await keep(
        forms,
        caller,
        "Questionnaire",
        "a2",
        url="http://x/a",
        version="3",
        title="入院评估表",
        status="active",
    )
    assert await found(forms, caller, "QuestionnaireResponse", query) == ["any", "r3"]


async def test_a_condition_of_a_write_follows_them_too(forms, caller):
    query = await parse_criteria(
        forms, caller, "QuestionnaireResponse", "questionnaire.title=discharge", BASE
    )
    assert [record.id for record in (await forms.store.search(query)).records] == ["b"]


async def test_what_leads_to_too_much_is_refused(forms, caller, monkeypatch):
    monkeypatch.setattr(canonical_relations, "MOST_TARGETS", 1)
    monkeypatch.setattr(canonical_relations, "MOST_REFERRING", 1)
    for type, query in (
        ("QuestionnaireResponse", "questionnaire.title=入院评估"),
        ("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status=completed"),
    ):
        error = await expect(InvalidSearch, ask(forms, caller, type, query))
        assert error.issues[0].code == "too-costly"
