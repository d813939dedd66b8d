"""$validate, $meta, $meta-add, $meta-delete, $lastn, $document: what each says, and what it keeps."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from interaction_cases import BASE, expect
from operation_calls import CALLER, OPERATIONS, addresses, call, done, keep, links, parameters

from fhir_server.errors import (
    Gone,
    InvalidContent,
    InvalidSearch,
    Issue,
    NotFound,
    NotSupported,
    PreconditionFailed,
    Unprocessable,
)
from fhir_server.interactions.context import Change
from fhir_server.interactions.delete import delete
from fhir_server.interactions.operations import document
from fhir_server.interactions.operations import meta as meta_module
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource
from fhir_server.search.query import Query


@pytest.fixture
def able(with_rules):
    return with_rules(operations=OPERATIONS)


async def test_r4s_operations_are_called_as_r4_says(able):
    """Each definition with R4's canonical has its code, levels, types and ``in`` parameters."""
    r4 = {item.url: item for item in able.definitions.operations}
    ours = {o.definition["url"]: o.definition for several in OPERATIONS.values() for o in several}
    same = [url for url in ours if url in r4]
    assert len(same) >= 8
    for url in same:
        mine, theirs = ours[url], r4[url]
        assert (mine["code"], mine["resource"]) == (theirs.code, list(theirs.types))
        assert [mine[level] for level in ("system", "type", "instance")] == [
            theirs.on_system,
            theirs.on_type,
            theirs.on_instance,
        ]
        told = [
            (p.name, p.use, p.min, "*" if p.max is None else str(p.max), p.type) for p in theirs.parameters
        ]
        shown = [(p["name"], p["use"], p["min"], p["max"], p["type"]) for p in mine["parameter"]]
        assert sorted(shown) == sorted(told), url


async def test_every_definition_is_a_valid_resource_and_derived_ones_name_their_base(able):
    for several in OPERATIONS.values():
        for operation in several:
            assert able.validate(operation.definition) == []
            url = operation.definition["url"]
            assert url.startswith("http://hl7.org/") or operation.definition.get("base") or "-" in url


# ── $validate ─────────────────────────────────────────────────────────────────

GOOD = {"resourceType": "Patient", "gender": "male"}
BAD = {"resourceType": "Patient", "gender": "banana", "birthDate": "2026-02-30"}


async def told(server, address: str, body: Any = None, **more: Any) -> list[tuple[str, str]]:
    """(severity, code) of every issue but the first, which says what was checked."""
    first, *issues = (await call(server, address, body, **more))["issue"]
    assert first["severity"] == "information"
    assert "checked by fhir-server" in first["details"]["text"]
    return [(issue["severity"], issue["code"]) for issue in issues]


@pytest.mark.parametrize("query", ["", "?mode=create"])
async def test_content_is_checked(able, query):
    assert await told(able, f"Patient/$validate{query}", GOOD) == []
    assert await told(able, f"Patient/$validate{query}", BAD) == [
        ("error", "code-invalid"),
        ("error", "value"),
    ]
    assert await told(able, f"Patient/$validate{query}", parameters(resource=BAD)) != []
    assert await told(able, f"Observation/$validate{query}", GOOD) == [("error", "invalid")]
    assert await able.store.changes(0) == []


async def test_a_mode_may_stand_in_the_body(able):
    body = parameters(resource=GOOD, mode=("Code", "create"))
    text = (await call(able, "Patient/$validate", body))["issue"][0]["details"]["text"]
    assert "a create" in text


async def grumble(change: Change) -> list[Issue]:
    return [Issue("error", "business-rule", "not on Sundays"), Issue("warning", "informational", "mind")]


async def test_a_mode_does_the_write_and_undoes_it(with_rules):
    able = with_rules(operations=OPERATIONS)
    await keep(able, {**GOOD, "id": "p"})
    before = await able.store.changes(0)
    strict = with_rules(operations=OPERATIONS, rules={"Patient": (grumble,)})
    both = [("error", "business-rule"), ("warning", "informational")]
    assert await told(strict, "Patient/$validate?mode=create", GOOD) == both
    assert await told(strict, "Patient/p/$validate?mode=update", {**GOOD, "id": "p"}) == both
    assert await told(strict, "Patient/p/$validate?mode=delete") == both
    assert await told(able, "Patient/p/$validate?mode=update", {**GOOD, "id": "p"}) == []
    assert await told(able, "Patient/p/$validate?mode=delete") == []
    assert await able.store.changes(0) == before
    assert not (await able.store.read("Patient", "p")).deleted


async def test_an_update_is_held_to_id_and_version(able):
    await keep(able, {**GOOD, "id": "p"})
    assert await told(able, "Patient/p/$validate?mode=update", {**GOOD, "id": "q"}) == [("error", "value")]
    mine = {"body": {**GOOD, "id": "p"}, "if_match": 'W/"7"'}
    assert await told(able, "Patient/p/$validate?mode=update", **mine) == [("error", "conflict")]
    assert await told(able, "Patient/p/$validate?mode=update", **(mine | {"if_match": 'W/"1"'})) == []


async def test_references_are_checked_when_the_server_does(with_rules):
    able = with_rules(operations=OPERATIONS, reference_check=True)
    lost = {**GOOD, "managingOrganization": {"reference": "Organization/nowhere"}}
    assert await told(able, "Patient/$validate?mode=create", lost) == [("error", "not-found")]


async def test_what_is_kept_can_be_checked(able):
    await keep(able, {**GOOD, "id": "p"})
    assert await told(able, "Patient/p/$validate") == []
    await expect(NotFound, call(able, "Patient/none/$validate"))


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("http://hl7.org/fhir/StructureDefinition/Patient", []),
        ("http://hl7.org/fhir/StructureDefinition/Observation", [("error", "not-supported")]),
        ("http://x/profile", [("error", "not-supported")]),
    ],
)
async def test_a_profile_is_never_passed_in_silence(able, profile, expected):
    assert await told(able, f"Patient/$validate?profile={profile}", GOOD) == expected
    claiming = {**GOOD, "meta": {"profile": [profile]}}
    claimed = [("warning", code) for _, code in expected]
    assert await told(able, "Patient/$validate", claiming) == claimed


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("Patient/$validate", None),
        ("Patient/$validate", {"resourceType": "Parameters"}),
        ("Patient/$validate?mode=update", GOOD),
        ("Patient/$validate?mode=delete", GOOD),
        ("Patient/p/$validate?mode=create", None),
        ("Patient/$validate?mode=banana", GOOD),
    ],
)
async def test_what_cannot_be_validated_is_a_4xx(able, address, body):
    await expect(InvalidContent, call(able, address, body))


# ── labels ────────────────────────────────────────────────────────────────────

TAG = {"system": "http://x", "code": "A"}
OTHER = {"system": "http://y", "code": "A", "display": "other"}


def labelled(type: str, id: str, **meta: Any) -> dict[str, Any]:
    return {"resourceType": type, "id": id, "meta": meta}


async def meta_of(server, address: str) -> Any:
    return (await call(server, address)).get("parameter", [{}])[0].get("valueMeta", {})


async def test_meta_of_a_resource_a_type_and_the_system(able):
    await keep(
        able,
        labelled("Patient", "p", tag=[TAG], profile=["http://p|1.0"]),
        labelled("Patient", "q", tag=[OTHER, TAG], security=[{"system": "http://s", "code": "R"}]),
        labelled("Organization", "o", tag=[{"code": "bare"}]),
    )
    shown = await meta_of(able, "Patient/p/$meta")
    assert (shown["tag"], shown["profile"], shown["versionId"]) == ([TAG], ["http://p|1.0"], "1")
    of_type = await meta_of(able, "Patient/$meta")
    assert of_type.keys() == {"tag", "profile", "security"}
    assert sorted(tag["system"] for tag in of_type["tag"]) == ["http://x", "http://y"]
    assert {"code": "bare"} in (await meta_of(able, "$meta"))["tag"]
    assert await meta_of(able, "Encounter/$meta") == {}


async def test_a_label_that_is_used_no_more_is_not_listed(able):
    await keep(able, labelled("Patient", "p", tag=[TAG]))
    await delete(able, CALLER, "Patient", "p")
    assert await meta_of(able, "Patient/$meta") == {}
    await expect(Gone, call(able, "Patient/p/$meta"))


async def test_too_many_labels_are_not_listed(able, monkeypatch):
    monkeypatch.setattr(meta_module, "MOST_LABELS", 1)
    await keep(able, labelled("Patient", "p", tag=[TAG, {"code": "b"}]))
    error = await expect(InvalidSearch, call(able, "Patient/$meta"))
    assert error.issues[0].code == "too-costly"


async def test_labels_are_sets(able):
    await keep(able, labelled("Patient", "p", tag=[TAG]) | {"extension": [{"url": "u", "valueDecimal": 1}]})
    added = await done(
        able, "Patient/p/$meta-add", parameters(meta=("Meta", {"tag": [{**TAG, "display": "x"}, OTHER]}))
    )
    assert added.headers["ETag"] == 'W/"2"'
    assert orjson.loads(added.resource)["parameter"][0]["valueMeta"]["tag"] == [TAG, OTHER]
    taken = {"tag": [{**TAG, "version": "9"}], "profile": ["http://never"]}
    await call(able, "Patient/p/$meta-delete", parameters(meta=("Meta", taken)))
    kept = orjson.loads((await able.store.read("Patient", "p")).content)
    assert kept["meta"].keys() == {"versionId", "lastUpdated", "tag"}
    assert (kept["meta"]["tag"], kept["meta"]["versionId"]) == ([OTHER], "3")


async def test_a_changed_label_is_found_and_the_numbers_stay(able):
    exact = b'{"resourceType":"Patient","id":"p","extension":[{"url":"u","valueDecimal":1.00}]}'
    await update(able, CALLER, Resource.parse(exact), id="p")
    await call(able, "Patient/p/$meta-add", parameters(meta=("Meta", {"tag": [TAG]})))
    assert b'"valueDecimal":1.00' in (await able.store.read("Patient", "p")).content
    assert (await meta_of(able, "Patient/$meta"))["tag"] == [TAG]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (parameters(), InvalidContent),
        (parameters(meta=("Meta", {"versionId": "3"})), InvalidContent),
        (parameters(meta=("String", "x")), InvalidContent),
        (parameters(meta=("Meta", {"tag": [{"code": " "}]})), Unprocessable),
        (parameters(meta=("Meta", {"tag": [TAG]}), more=("String", "x")), InvalidContent),
        (None, NotSupported),
    ],
)
async def test_meta_add_takes_one_meta_of_labels(able, body, error):
    await keep(able, {**GOOD, "id": "p"})
    await expect(error, call(able, "Patient/p/$meta-add", body))
    assert (await able.store.read("Patient", "p")).version == 1


async def test_meta_add_knows_if_match_and_needs_a_resource(able):
    await keep(able, {**GOOD, "id": "p"})
    body = parameters(meta=("Meta", {"tag": [TAG]}))
    await expect(PreconditionFailed, call(able, "Patient/p/$meta-add", body, if_match='W/"4"'))
    await expect(NotFound, call(able, "Patient/none/$meta-add", body))


# ── $lastn ────────────────────────────────────────────────────────────────────


def result(id: str, date: str | None, *codes: str, text: str | None = None, **more: Any) -> dict[str, Any]:
    code: dict[str, Any] = (
        {"coding": [{"system": "http://c", "code": each} for each in codes]} if codes else {}
    )
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [{"coding": [{"code": "lab"}]}],
        "code": code | ({"text": text} if text else {}),
        "subject": {"reference": "Patient/p"},
        **({"effectiveDateTime": date} if date else {}),
        **more,
    }


@pytest.fixture
async def results(able):
    await keep(
        able,
        result("k1", "2026-01-01", "K"),
        result("k2", "2026-01-02", "K"),
        result("k3", "2026-01-03", "K"),
        result("n1", "2026-01-02", "N"),
        result("n2", "2026-01-02", "N"),
        result("t1", "2026-01-01", text="Text"),
        result("t2", "2026-01-02", text="text"),
        result("undated", None, "U"),
        result("elsewhere", "2026-02-01", "K", subject={"reference": "Patient/q"}),
    )
    return able


async def last(server, query: str) -> list[str]:
    return [a.partition("/")[2] for a in addresses(await call(server, f"Observation/$lastn?{query}"))]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("patient=p&category=lab", ["k3", "n2", "n1", "t2", "t1", "undated"]),
        ("patient=p&category=lab&max=2", ["k3", "k2", "n2", "n1", "t2", "t1", "undated"]),
        ("patient=p&code=K&max=9", ["k3", "k2", "k1"]),
        ("subject=Patient/p&code=http://c|K,N&date=lt2026-01-03", ["k2", "n1", "n2"]),
        ("patient=p&category=imaging", []),
        ("patient=p&category=lab&_filter=date lt 2026-01-02", ["k1", "t1"]),
        ("patient=p&category=lab&_has:Observation:derived-from:status=final", []),
        ("patient=p&category=lab&_id=k1,n1&max=1", ["k1", "n1"]),
    ],
)
async def test_the_last_of_each_code(results, query, expected):
    assert sorted(await last(results, query)) == sorted(expected)
    bundle = await call(results, f"Observation/$lastn?{query}")
    dates = [entry["resource"].get("effectiveDateTime", "") for entry in bundle.get("entry", ())]
    assert dates == sorted(dates, reverse=True)
    assert bundle["total"] == len(expected)


async def test_codes_that_overlap_are_one(able):
    await keep(
        able,
        result("a", "2026-01-01", "A"),
        result("b", "2026-01-02", "B"),
        result("c", "2026-01-03", "C"),
        result("ab", "2025-12-01", "A", "B"),
    )
    assert sorted(await last(able, "patient=p&category=lab")) == ["b", "c"]


async def test_more_than_one_page_of_results_is_seen(results, monkeypatch):
    monkeypatch.setattr("fhir_server.interactions.operations.lastn.STEP", 1)
    assert sorted(await last(results, "patient=p&code=K&max=2")) == ["k2", "k3"]


async def test_lastn_may_be_posted(results):
    body = parameters(
        max=("PositiveInt", 2), patient=("Reference", {"reference": "Patient/p"}), code=("String", "K")
    )
    assert len(addresses(await call(results, "Observation/$lastn", body))) == 2


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("category=lab", {"http.patient"}),
        ("patient=p", {"http.category"}),
        ("", {"http.patient", "http.category"}),
        ("patient=p&code=K&_sort=date", {"http._sort"}),
        ("code=K&_sort=date&_count=x&banana=1", {"http.patient", "http._sort", "http._count", "http.banana"}),
        ("patient=p&code=K&_include=Observation:subject", {"http._include"}),
        ("patient=p&code=K&_contained=true", {"http._contained"}),
        ("patient=p&code=K&_elements=banana", {"http._elements"}),
        ("patient=p&code=K&_summary=perhaps", {"http._summary"}),
        ("patient=p&code=K&_filter=banana eq 1", {"http._filter"}),
        ("patient=p&code=K&max=0", {"http.max"}),
        ("patient=p&code=K&max=x", {"http.max"}),
        ("patient=p&code=K&banana=1", {"http.banana"}),
    ],
)
async def test_a_lastn_that_cannot_be_answered(results, query, named):
    error = await expect(InvalidSearch, call(results, f"Observation/$lastn?{query}"))
    assert {issue.expression for issue in error.issues} == named


# ── $document ─────────────────────────────────────────────────────────────────


def composition(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "discharge"},
        "date": "2026-03-02",
        "title": "t",
        "subject": {"reference": "Patient/p"},
        "author": [{"reference": f"{BASE}/Practitioner/dr"}],
        **more,
    }


@pytest.fixture
async def chart(able):
    await keep(
        able,
        {"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "Organization/h1"}},
        {"resourceType": "Organization", "id": "h1", "partOf": {"reference": "Organization/gone"}},
        {"resourceType": "Practitioner", "id": "dr"},
        result("k1", "2026-01-01", "K"),
        composition(
            section=[{"entry": [{"reference": "Observation/k1"}], "focus": {"reference": "#inside"}}],
            relatesTo=[{"code": "replaces", "targetReference": {"reference": "Composition/old"}}],
            contained=[{"resourceType": "Basic", "id": "inside", "code": {"text": "x"}}],
        ),
    )
    return able


CONTENT = ["Composition/c", "Patient/p", "Practitioner/dr", "Observation/k1", "Organization/h1"]


@pytest.mark.parametrize(
    "address",
    [
        "Composition/c/$document",
        "Composition/$document?id=c",
        f"Composition/$document?id={BASE}/Composition/c",
    ],
)
async def test_a_document_holds_what_its_composition_leads_to(chart, address):
    bundle = await call(chart, address)
    assert chart.validate(bundle) == []
    assert (bundle["type"], bundle["identifier"]["system"]) == ("document", "urn:ietf:rfc:3986")
    assert bundle["timestamp"]
    found = addresses(bundle)
    assert (found[0], sorted(found)) == (CONTENT[0], sorted(CONTENT))
    assert (await chart.store.search(Query("Bundle"))).records == ()


async def test_a_document_can_be_kept(chart):
    outcome = await done(chart, "Composition/c/$document?persist=true", {"resourceType": "Parameters"})
    kept = orjson.loads(outcome.resource)
    assert outcome.headers["Location"] == f"{BASE}/Bundle/{kept['id']}/_history/1"
    assert (await chart.store.read("Bundle", kept["id"])).content == outcome.resource
    error = await expect(NotSupported, call(chart, "Composition/c/$document?persist=true"))
    assert error.headers["Allow"] == "POST"


async def test_a_document_that_would_not_be_complete_is_not_made(chart):
    await keep(
        chart,
        composition(
            subject={"reference": "Patient/lost"}, custodian={"reference": "http://else/Organization/1"}
        ),
    )
    error = await expect(Unprocessable, call(chart, "Composition/c/$document"))
    assert {issue.expression for issue in error.issues} == {"Composition.subject", "Composition.custodian"}


async def test_a_document_that_does_not_end_is_not_made(chart, monkeypatch):
    monkeypatch.setattr(document, "MOST", 3)
    error = await expect(Unprocessable, call(chart, "Composition/c/$document"))
    assert error.issues[0].code == "too-costly"


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("Composition/$document", InvalidContent),
        ("Composition/c/$document?id=c", InvalidContent),
        ("Composition/$document?id=http://else/Composition/c", InvalidContent),
        ("Composition/$document?id=Patient/p", InvalidContent),
        ("Composition/none/$document", NotFound),
        ("Composition/c/$document?graph=http://x", InvalidSearch),
        ("Composition/c/$document?persist=perhaps", InvalidSearch),
    ],
)
async def test_a_document_that_cannot_be_named(chart, address, error):
    await expect(error, call(chart, address))


async def test_lastn_links_say_what_was_applied(results):
    kept = (("_format", "json"), ("_pretty", "true"))
    bundle = await call(results, "Observation/$lastn?max=2&patient=p&code=K&_elements=code", kept=kept)
    assert links(bundle) == {
        "self": "Observation/$lastn?patient=p&code=K&_elements=code&max=2&_format=json&_pretty=true"
    }
    lenient = await call(results, "Observation/$lastn?patient=p&code=K&banana=1", lenient=True)
    assert links(lenient) == {"self": "Observation/$lastn?patient=p&code=K"}
    assert "banana was ignored" in lenient["entry"][-1]["resource"]["issue"][0]["details"]["text"]


async def test_a_part_of_the_last_results(results):
    asked = "Observation/$lastn?patient=p&code=K"
    (entry,) = (await call(results, f"{asked}&_elements=subject"))["entry"]
    assert set(entry["resource"]) == {"resourceType", "id", "meta", "status", "code", "subject"}
    (entry,) = (await call(results, f"{asked}&_summary=data"))["entry"]
    assert entry["resource"]["meta"]["tag"][-1]["code"] == "SUBSETTED"
    counted = await call(results, f"{asked}&max=2&_summary=count")
    assert (counted["total"], "entry" in counted) == (2, False)
