"""search: links, pages, totals, includes, subsets."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from interaction_cases import BASE, expect, parsed, raw, resource

from fhir_server.errors import InvalidSearch
from fhir_server.interactions import bundles
from fhir_server.interactions import includes as includes_module
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.search import search
from fhir_server.interactions.subset import subset
from fhir_server.interactions.update import update
from fhir_server.search.query import Clause, TokenValue
from fhir_server.store import Record

SUBSETTED = "SUBSETTED"


async def observe(server, caller, id, patient="p", **members):
    body = resource("Observation", id=id, subject={"reference": f"Patient/{patient}"}, **members)
    await update(server, caller, body, id=id)


@pytest.fixture
async def ward(server, caller):
    """Two patients, three observations of one and one of the other, and a practitioner who performed two."""
    for id in ("p", "q"):
        await update(server, caller, resource(id=id, active=id == "p"), id=id)
    await update(server, caller, resource("Practitioner", id="d"), id="d")
    performer = {"performer": [{"reference": "Practitioner/d"}]}
    await observe(server, caller, "o1", **performer)
    await observe(server, caller, "o2", **performer)
    await observe(server, caller, "o3")
    await observe(server, caller, "o4", patient="q")
    return server


async def ask(server, caller, type, query, **options):
    pairs = parse_qsl(query, keep_blank_values=True)
    return parsed(await search(server, caller, type, pairs, base=BASE, **options))


def hits(bundle, mode="match"):
    return sorted(e["resource"]["id"] for e in bundle.get("entry", ()) if e["search"]["mode"] == mode)


async def test_a_searchset_has_the_stored_bytes(server, caller):
    exact = (
        '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.00}}'
    )
    await create(server, caller, raw(exact))
    answer = await search(server, caller, "Observation", [], base=BASE)
    kept = (await server.store.read("Observation", "n1")).content
    assert b'"resource":' + kept in answer.resource
    bundle = parsed(answer)
    assert bundle["entry"][0]["fullUrl"] == f"{BASE}/Observation/n1"
    assert bundle["link"] == [{"relation": "self", "url": f"{BASE}/Observation"}]
    assert server.validate(bundle) == []


async def test_no_hit_is_a_bundle_without_entries(server, caller):
    bundle = await ask(server, caller, "Patient", "active=true&_total=accurate")
    assert (bundle["type"], bundle["total"], "entry" in bundle) == ("searchset", 0, False)


async def test_pages(ward, caller):
    seen, query = [], "_count=2&patient=Patient/p&_sort=_id&_total=accurate"
    while query:
        bundle = await ask(ward, caller, "Observation", query)
        assert bundle["total"] == 3
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        query = urlsplit(links.get("next", "")).query
    assert seen == ["o1", "o2", "o3"]


async def test_the_self_link_has_what_took_effect(ward, caller):
    bundle = await ask(ward, caller, "Patient", "nonsense=1&active=true&_count=999999", lenient=True)
    url = bundle["link"][0]["url"]
    assert parse_qsl(urlsplit(url).query) == [("active", "true"), ("_count", "1000")]
    told = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
    assert [issue["expression"] for issue in told[0]["issue"]] == [["http.nonsense"]]
    assert hits(bundle) == ["p"]


async def test_strict_handling_refuses_what_is_not_known(ward, caller, with_rules):
    await expect(InvalidSearch, search(ward, caller, "Patient", [("nonsense", "1")]))
    lenient = with_rules(lenient=True)
    assert hits(await ask(lenient, caller, "Patient", "nonsense=1&_id=q")) == ["q"]
    await expect(InvalidSearch, search(lenient, caller, "Patient", [("nonsense", "1")], lenient=False))


@pytest.mark.parametrize("query", ["_summary=count", "_count=0"])
async def test_only_the_count(ward, caller, query):
    bundle = await ask(ward, caller, "Observation", f"patient=p&{query}")
    assert (bundle["total"], "entry" in bundle) == (3, False)


async def test_include_adds_each_target_once(ward, caller):
    bundle = await ask(
        ward, caller, "Observation", "patient=p&_include=Observation:performer&_include=Observation:subject"
    )
    assert (hits(bundle), hits(bundle, "include")) == (["o1", "o2", "o3"], ["d", "p"])
    assert ward.validate(bundle) == []


@pytest.mark.parametrize(
    ("include", "found"),
    [
        ("Observation:subject:Patient", ["p"]),
        ("Observation:patient", ["p"]),
        ("Observation:subject:Group", []),
        ("Observation:performer:Practitioner", ["d"]),
    ],
)
async def test_include_of_one_type(ward, caller, include, found):
    bundle = await ask(ward, caller, "Observation", f"_id=o1&_include={include}")
    assert hits(bundle, "include") == found


async def test_a_deleted_or_missing_target_is_left_out(ward, caller):
    await delete(ward, caller, "Patient", "p")
    await observe(ward, caller, "o5", patient="nobody")
    bundle = await ask(ward, caller, "Observation", "_include=Observation:subject")
    assert hits(bundle, "include") == ["q"]


async def test_revinclude_is_never_cut(ward, caller, monkeypatch):
    monkeypatch.setattr(includes_module, "STEP", 2)
    for number in range(7):
        await observe(ward, caller, f"x{number}", patient="q")
    bundle = await ask(ward, caller, "Patient", "_id=q&_revinclude=Observation:subject&_count=1")
    assert hits(bundle, "include") == ["o4", *(f"x{number}" for number in range(7))]


async def test_a_match_is_not_included_again(server, caller):
    body = resource("Observation", id="b", hasMember=[{"reference": "Observation/a"}])
    await update(server, caller, resource("Observation", id="a"), id="a")
    await update(server, caller, body, id="b")
    bundle = await ask(server, caller, "Observation", "_include=Observation:has-member")
    assert (hits(bundle), hits(bundle, "include")) == (["a", "b"], [])
    one = await ask(server, caller, "Observation", "_id=b&_include=Observation:has-member")
    assert (hits(one), hits(one, "include")) == (["b"], ["a"])


async def test_includes_are_narrowed_to_what_the_caller_may_see(ward, caller, monkeypatch):
    def only_q(query, caller):
        if query.type != "Patient":
            return query
        own = Clause(ward.parameters.parameter("Patient", "_id"), None, (TokenValue(None, "q"),))
        return replace(query, clauses=(*query.clauses, own))

    monkeypatch.setattr("fhir_server.interactions.visible.narrow", only_q)
    bundle = await ask(ward, caller, "Observation", "_include=Observation:subject")
    assert hits(bundle, "include") == ["q"]


# ── parts of resources ────────────────────────────────────────────────────────

WHOLE = (
    '{"resourceType":"Observation","id":"o","meta":{"tag":[{"code":"own"}]},'
    '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">x</div>"},'
    '"status":"final","_status":{"id":"s"},"code":{"text":"x"},"valueQuantity":{"value":1.00,"unit":"kg"},'
    '"note":[{"text":"n"}],"component":[{"code":{"text":"c"},"valueQuantity":{"value":2.10},'
    '"interpretation":[{"text":"high"}]}],"method":{"text":"m"}}'
)


async def part(server, caller, query):
    await update(server, caller, raw(WHOLE), id="o")
    answer = await search(server, caller, "Observation", parse_qsl(query), base=BASE)
    shown = parsed(answer)["entry"][0]["resource"]
    assert [tag["code"] for tag in shown["meta"]["tag"]] == ["own", SUBSETTED]
    assert server.validate(shown) == []
    return shown, answer.resource


async def test_summary_true_keeps_what_the_standard_marks(server, caller):
    shown, content = await part(server, caller, "_summary=true")
    assert shown.keys() == {
        "resourceType",
        "id",
        "meta",
        "status",
        "_status",
        "code",
        "valueQuantity",
        "component",
    }
    assert shown["component"][0].keys() == {"code", "valueQuantity"}
    assert b'"value":1.00' in content
    assert b'"value":2.10' in content


async def test_summary_text_and_data(server, caller):
    shown, _ = await part(server, caller, "_summary=text")
    assert shown.keys() == {"resourceType", "id", "meta", "text", "status", "_status", "code"}
    shown, content = await part(server, caller, "_summary=data")
    assert orjson.loads(WHOLE).keys() - shown.keys() == {"text"}
    assert b'"value":1.00' in content


async def test_elements_keeps_what_is_asked_for_and_what_is_mandatory(server, caller):
    shown, content = await part(server, caller, "_elements=value,note")
    assert shown.keys() == {
        "resourceType", "id", "meta", "status", "_status", "code", "valueQuantity", "note"
    }  # fmt: skip
    assert b'"value":1.00' in content


@pytest.mark.parametrize(
    ("summary", "elements"), [("true", ()), ("text", ()), ("data", ()), (None, ("gender",))]
)
def test_what_may_change_the_meaning_of_all_is_never_left_out(facts, summary, elements):
    content = b'{"resourceType":"Patient","id":"p","modifierExtension":[{"url":"urn:x","valueBoolean":true}]}'
    record = Record("Patient", "p", 1, 0, "PUT", content)
    shown = orjson.loads(subset(facts.definitions, record, summary, elements).content)
    assert shown["modifierExtension"] == [{"url": "urn:x", "valueBoolean": True}]


async def test_without_meta_the_tag_makes_one(server, caller, facts):
    record = Record("Patient", "p", 1, 0, "PUT", b'{"resourceType":"Patient","id":"p","active":true}')
    shown = orjson.loads(subset(facts.definitions, record, None, ("gender",)).content)
    assert list(shown) == ["resourceType", "id", "meta"]
    assert subset(facts.definitions, record, "false", ()) is record


def test_short_links_only_are_remembered():
    remembered = bundles._short_url.cache_info
    before = remembered().currsize
    for name, value in (("name", "周" * (bundles.SHORT + 1)), ("n" * (bundles.SHORT + 1), "周")):
        assert bundles.search_url("http://x/fhir", "Patient", [(name, value)]).endswith("%E5%91%A8")
        assert remembered().currsize == before
    assert bundles.search_url("http://x/fhir", "Patient", [("name", "周")]).endswith("?name=%E5%91%A8")
    assert remembered().currsize == before + 1
