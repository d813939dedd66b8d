"""transaction: all or nothing, references resolved, every fault of every entry at once."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode

import orjson
import pytest
from interaction_cases import BASE, ask, bundle, expect, parsed, post, put, raw, resource

from fhir_server.errors import (
    Conflict,
    FhirError,
    Forbidden,
    Gone,
    InvalidContent,
    InvalidSearch,
    NotFound,
    NotSupported,
    PreconditionFailed,
    Unprocessable,
    UnsupportedMedia,
)
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.read import read
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.search.index import IndexValues
from fhir_server.store import Record

U1, U2 = "urn:uuid:11111111-1111-4111-8111-111111111111", "urn:uuid:22222222-2222-4222-8222-222222222222"
NUMBER = {"identifier": [{"system": "urn:s", "value": "1"}]}
CRITERIA = "identifier=urn:s|1"


def about(reference, **members):
    return resource("Observation", subject={"reference": reference}, **members)


def sent(method, body, url="Patient"):
    return {"resource": body, "request": {"method": method, "url": url}}


async def run(server, caller, *entries, **options):
    return parsed(await transaction(server, caller, bundle(*entries), base=BASE, **options))


async def count(server):
    return len((await server.store.history(count=1000)).records)


async def fails(error, server, caller, *entries):
    """The error of a transaction that leaves the store as it was."""
    before = await count(server)
    caught = await expect(error, transaction(server, caller, bundle(*entries), base=BASE))
    assert await count(server) == before
    return caught


def expressions(error):
    return [issue.expression for issue in error.issues]


def locations(answer):
    return [entry["response"].get("location") for entry in answer["entry"]]


def statuses(answer):
    return [entry["response"]["status"][:3] for entry in answer["entry"]]


# ── the answer ────────────────────────────────────────────────────────────────


async def test_answers_stand_in_the_order_of_the_entries(server, caller):
    await update(server, caller, resource(id="old"), id="old")
    answer = await run(
        server,
        caller,
        ask("GET", "Patient/new"),
        put(resource(id="new", active=True)),
        post(resource()),
        ask("DELETE", "Patient/old"),
        ask("GET", "Patient?active=true"),
    )
    assert answer["type"] == "transaction-response"
    assert statuses(answer) == ["200", "201", "201", "204", "200"]
    assert locations(answer) == [None, "Patient/new/_history/1", "Patient/n1/_history/1", None, None]
    assert answer["entry"][0]["resource"]["id"] == "new"
    assert answer["entry"][0]["fullUrl"] == f"{BASE}/Patient/new"
    assert [e["resource"]["id"] for e in answer["entry"][4]["resource"]["entry"]] == ["new"]
    response = answer["entry"][1]["response"]
    assert (response["etag"], response["lastModified"]) == ('W/"1"', "2026-03-02T01:12:01.000Z")
    assert server.validate(answer) == []


@pytest.mark.parametrize(
    ("prefer", "has_resource", "has_outcome"),
    [
        (None, False, False),
        ("minimal", False, False),
        ("representation", True, False),
        ("OperationOutcome", False, True),
    ],
)
async def test_prefer(server, caller, prefer, has_resource, has_outcome):
    answer = await run(server, caller, post(resource()), put(resource(id="p")), prefer=prefer)
    for entry in answer["entry"]:
        assert ("resource" in entry, "outcome" in entry["response"]) == (has_resource, has_outcome)
        assert ("fullUrl" in entry) == has_resource


async def test_an_empty_transaction(server, caller):
    answer = parsed(await transaction(server, caller, raw('{"resourceType":"Bundle","type":"transaction"}')))
    assert answer == {"resourceType": "Bundle", "type": "transaction-response"}


async def test_all_versions_of_a_transaction_have_one_time(server, caller):
    answer = await run(server, caller, post(resource()), post(resource()), put(resource(id="x")))
    assert len({entry["response"]["lastModified"] for entry in answer["entry"]}) == 1


async def test_bytes_of_every_entry_are_kept(server, caller):
    text = (
        '{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"url":"Observation","method":"POST"},'
        '"resource":{"status":"final","resourceType":"Observation","valueQuantity":{ "value" : 1.00 },'
        '"code":{"text":"\\u4f53重"}}}]}'
    )
    await transaction(server, caller, raw(text))
    content = (await server.store.read("Observation", "n1")).content.decode()
    assert content.startswith('{"status":"final","resourceType":"Observation","id":"n1","meta":{')
    assert content.endswith('"valueQuantity":{ "value" : 1.00 },"code":{"text":"\\u4f53重"}}')


# ── references ────────────────────────────────────────────────────────────────


async def test_urn_references_are_resolved_forwards_and_backwards(server, caller):
    body = about(U1, encounter={"reference": U2}, valueQuantity={"value": 1.5})
    encounter = resource(
        "Encounter", status="planned", **{"class": {"code": "AMB"}}, subject={"reference": U1}
    )
    await run(server, caller, post(body), post(resource(), U1), post(encounter, U2))
    observation = orjson.loads((await server.store.read("Observation", "n1")).content)
    assert observation["subject"]["reference"] == "Patient/n2"
    assert observation["encounter"]["reference"] == "Encounter/n3"
    assert orjson.loads((await server.store.read("Encounter", "n3")).content)["subject"] == {
        "reference": "Patient/n2"
    }


async def test_only_references_and_uris_are_resolved(server, caller):
    document = resource(
        "DocumentReference",
        status="current",
        masterIdentifier={"system": "urn:ietf:rfc:3986", "value": U2},
        description=U1,
        text={
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{U1}">p</a> {U1}</div>',
        },
        content=[{"attachment": {"url": U1, "title": U1}}],
        extension=[{"url": "http://x", "valueUri": U1}, {"url": "http://y", "valueString": U1}],
    )
    await run(server, caller, post(resource(), U1), post(document, U2))
    kept = orjson.loads((await server.store.read("DocumentReference", "n2")).content)
    assert kept["masterIdentifier"]["value"] == U2
    assert kept["description"] == U1
    assert kept["text"]["div"].count(U1) == 1
    assert 'href="Patient/n1"' in kept["text"]["div"]
    assert kept["content"][0]["attachment"] == {"url": "Patient/n1", "title": U1}
    assert [e.get("valueUri", e.get("valueString")) for e in kept["extension"]] == ["Patient/n1", U1]


@pytest.mark.parametrize("reference", ["http://his/Patient/7", "Patient/7"])
async def test_a_restful_full_url_is_resolved_absolute_and_relative(server, caller, reference):
    entry = post(resource(id="7"), "http://his/Patient/7")
    await run(server, caller, entry, post(about(reference), "http://his/Observation/8"))
    kept = orjson.loads((await server.store.read("Observation", "n2")).content)
    assert kept["subject"]["reference"] == "Patient/n1"


async def test_a_put_keeps_its_id_and_is_found_by_its_full_url(server, caller):
    await run(server, caller, put(resource(id="p"), full_url=U1), post(about(U1)), post(about("Patient/p")))
    for id in ("n1", "n2"):
        kept = orjson.loads((await server.store.read("Observation", id)).content)
        assert kept["subject"]["reference"] == "Patient/p"


async def test_references_that_no_entry_answers_are_named(server, caller):
    error = await fails(
        InvalidContent,
        server,
        caller,
        post(about(U1, performer=[{"reference": U2}])),
        post(resource(), U1),
        post(resource("Observation", hasMember=[{"reference": U1}, {"reference": "urn:uuid:x"}])),
    )
    assert expressions(error) == [
        "Bundle.entry[0].resource.performer[0]",
        "Bundle.entry[2].resource.hasMember[1]",
    ]
    assert U2 in error.issues[0].text


async def test_a_document_in_a_transaction_keeps_its_own_references(server, caller):
    document = resource("Bundle", type="collection", entry=[{"fullUrl": U2, "resource": about(U2).data}])
    await run(server, caller, post(document), post(resource(), U1))
    assert U2.encode() in (await server.store.read("Bundle", "n1")).content


async def test_conditional_references_are_resolved(server, caller):
    await create(server, caller, resource(**NUMBER))
    await run(server, caller, post(about(f"Patient?{CRITERIA}")), post(about("Patient?identifier=urn:s%7C1")))
    for id in ("n2", "n3"):
        kept = orjson.loads((await server.store.read("Observation", id)).content)
        assert kept["subject"] == {"reference": "Patient/n1"}


async def test_conditional_references_find_what_the_bundle_itself_writes(server, caller):
    group = resource(
        "Group", type="person", actual=True, member=[{"entity": {"reference": f"Patient?{CRITERIA}"}}],
        identifier=[{"value": "g"}],
    )  # fmt: skip
    await run(server, caller, post(about("Group?identifier=g")), post(group), post(resource(**NUMBER)))
    observation = orjson.loads((await server.store.read("Observation", "n1")).content)
    assert observation["subject"]["reference"] == "Group/n2"
    kept = orjson.loads((await server.store.read("Group", "n2")).content)
    assert kept["member"][0]["entity"]["reference"] == "Patient/n3"


async def test_conditional_references_without_an_answer_are_all_named(server, caller):
    error = await fails(
        Unprocessable,
        server,
        caller,
        post(about(f"Patient?{CRITERIA}")),
        post(resource()),
        post(about("Patient?identifier=other")),
    )
    assert expressions(error) == ["Bundle.entry[0].resource.subject", "Bundle.entry[2].resource.subject"]


async def test_a_conditional_reference_with_two_answers_fails(server, caller):
    for _ in range(2):
        await create(server, caller, resource(**NUMBER))
    error = await fails(
        PreconditionFailed, server, caller, post(resource()), post(about(f"Patient?{CRITERIA}"))
    )
    assert expressions(error) == ["Bundle.entry[1]"]


async def test_a_conditional_reference_that_is_no_search_fails(server, caller):
    error = await fails(InvalidSearch, server, caller, post(about("Patient?nonsense=1")))
    assert expressions(error)[0].startswith("Bundle.entry[0]")


# ── order and conditions ──────────────────────────────────────────────────────


async def test_deletes_come_first_so_a_conditional_create_does_not_find_them(server, caller):
    await create(server, caller, resource(**NUMBER))
    answer = await run(
        server, caller, post(resource(**NUMBER), ifNoneExist=CRITERIA), ask("DELETE", "Patient/n1")
    )
    assert statuses(answer) == ["201", "204"]


async def test_conditional_create_in_a_bundle(server, caller):
    entries = (post(resource(**NUMBER), U1, ifNoneExist=CRITERIA), post(about(U1)))
    first = await run(server, caller, *entries)
    second = await run(server, caller, *entries)
    assert (statuses(first), statuses(second)) == (["201", "201"], ["200", "201"])
    assert locations(first)[0] == locations(second)[0] == "Patient/n1/_history/1"
    ids = [location.split("/")[1] for location in (locations(first)[1], locations(second)[1])]
    for id in ids:
        kept = orjson.loads((await server.store.read("Observation", id)).content)
        assert kept["subject"]["reference"] == "Patient/n1"


async def test_two_entries_with_the_same_condition_make_one_resource(server, caller):
    answer = await run(
        server,
        caller,
        post(resource(**NUMBER), U1, ifNoneExist=CRITERIA),
        post(resource(**NUMBER), U2, ifNoneExist=CRITERIA),
        post(about(U1)),
        post(about(U2)),
    )
    assert statuses(answer) == ["201", "200", "201", "201"]
    assert locations(answer)[:2] == ["Patient/n1/_history/1"] * 2
    subjects = {
        orjson.loads((await server.store.read("Observation", location.split("/")[1])).content)["subject"][
            "reference"
        ]
        for location in locations(answer)[2:]
    }
    assert subjects == {"Patient/n1"}


async def test_parallel_transactions_with_the_same_condition_make_one_resource(server, caller):
    entry = post(resource(**NUMBER), ifNoneExist=CRITERIA)
    answers = await asyncio.gather(*(run(server, caller, entry) for _ in range(15)))
    assert sorted(statuses(answer)[0] for answer in answers) == ["200"] * 14 + ["201"]
    assert await count(server) == 1


async def test_conditional_update_in_a_bundle(server, caller):
    entry = put(resource(**NUMBER), url=f"Patient?{CRITERIA}", full_url=U1)
    first = await run(server, caller, entry, post(about(U1)))
    second = await run(server, caller, entry)
    assert (statuses(first), statuses(second)) == (["201", "201"], ["200"])
    assert locations(second) == ["Patient/n2/_history/2"]
    kept = orjson.loads((await server.store.read("Observation", "n1")).content)
    assert kept["subject"]["reference"] == "Patient/n2"


@pytest.mark.parametrize(
    ("entry", "error", "place"),
    [
        (put(resource(id="p"), ifMatch='W/"9"'), PreconditionFailed, "request.ifMatch"),
        (put(resource(id="p"), ifMatch="nine"), InvalidContent, "request.ifMatch"),
        (put(resource(id="p"), ifNoneMatch="*"), PreconditionFailed, None),
        (ask("DELETE", "Patient/p", ifMatch='W/"9"'), PreconditionFailed, "request.ifMatch"),
        (post(resource(), ifNoneExist="active=true"), PreconditionFailed, None),
        (post(resource(), ifNoneExist="nonsense=1"), InvalidSearch, "request.url"),
        (put(resource(id="p"), url="Patient?active=true"), PreconditionFailed, None),
        (put(resource(id="p"), url="Patient?_id=q"), InvalidContent, "resource.id"),
        (put(resource(id="p"), url="Patient?_id=none"), Conflict, None),
        (ask("GET", "Patient/none"), NotFound, None),
        (ask("GET", "Patient/gone"), Gone, None),
    ],
)
async def test_a_failed_condition_undoes_everything(server, caller, entry, error, place):
    await update(server, caller, resource(id="p", active=True), id="p")
    await update(server, caller, resource(id="q", active=True), id="q")
    await update(server, caller, resource(id="gone"), id="gone")
    await delete(server, caller, "Patient", "gone")
    caught = await fails(error, server, caller, post(resource()), entry)
    assert expressions(caught) == [f"Bundle.entry[1].{place}" if place else "Bundle.entry[1]"]


async def test_if_match_that_holds(server, caller):
    await update(server, caller, resource(id="p"), id="p")
    answer = await run(server, caller, put(resource(id="p"), ifMatch='W/"1"'))
    assert locations(answer) == ["Patient/p/_history/2"]


async def test_conditional_read_in_a_bundle(server, caller):
    await update(server, caller, resource(id="p"), id="p")
    answer = await run(
        server, caller, ask("GET", "Patient/p", ifNoneMatch='W/"1"'), ask("GET", "Patient/p/_history/1")
    )
    assert statuses(answer) == ["304", "200"]
    assert ["resource" in entry for entry in answer["entry"]] == [False, True]


async def test_reads_see_what_the_transaction_wrote(server, caller):
    answer = await run(server, caller, ask("GET", "Patient?_id=p&_total=accurate"), put(resource(id="p")))
    assert answer["entry"][0]["resource"]["total"] == 1


@pytest.mark.parametrize(
    "pair",
    [
        (put(resource(id="p")), put(resource(id="p", active=True))),
        (put(resource(id="p")), ask("DELETE", "Patient/p")),
        (put(resource(**NUMBER), url=f"Patient?{CRITERIA}"), put(resource(id="p"))),
    ],
)
async def test_the_same_resource_twice_is_refused(server, caller, pair):
    await update(server, caller, resource(id="p", **NUMBER), id="p")
    error = await fails(InvalidContent, server, caller, post(resource()), *pair)
    assert [issue.code for issue in error.issues] == ["duplicate"]
    assert re.fullmatch(r"Bundle\.entry\[[12]\]", error.issues[0].expression)


async def test_the_same_full_url_twice_is_refused(server, caller):
    error = await fails(InvalidContent, server, caller, post(resource(), U1), post(resource(), U1))
    assert expressions(error) == ["Bundle.entry[1]"]


# ── faults ────────────────────────────────────────────────────────────────────


async def test_all_faults_of_all_entries_are_told_at_once(server, caller):
    error = await fails(
        Unprocessable,
        server,
        caller,
        post(resource(gender="banana", name=[{"family": 1}])),
        post(resource()),
        post(resource("Observation", status="nope")),
    )
    assert set(expressions(error)) == {
        "Bundle.entry[0].resource.gender",
        "Bundle.entry[0].resource.name[0].family",
        "Bundle.entry[2].resource.status",
    }


@pytest.mark.parametrize(
    ("entry", "error", "place"),
    [
        ({"resource": {"resourceType": "Patient"}}, InvalidContent, "request"),
        ({"request": {"method": "POST"}}, Unprocessable, "request"),
        ({"request": {"method": "SHOUT", "url": "Patient"}}, Unprocessable, "request.method"),
        ({"request": {"method": "POST", "url": "Patient"}}, InvalidContent, "resource"),
        (sent("GET", {"resourceType": "Patient"}, "Patient/1"), InvalidContent, "resource"),
        (sent("POST", {"id": "x"}), InvalidContent, None),
        (sent("POST", [1]), InvalidContent, None),
        (post(resource(), url="Observation"), InvalidContent, "resource"),
        (post(resource("Patiens")), NotFound, None),
        (put(resource(id="p"), url="Patient/q"), InvalidContent, "resource.id"),
        (put(resource(), url="Patient/q"), InvalidContent, "resource.id"),
        (put(resource(id="p"), url="_Client/p"), NotFound, "request.url"),
        (ask("GET", "_Client/p"), NotFound, "request.url"),
        (ask("GET", "https://else/Patient/1"), NotFound, "request.url"),
        (ask("GET", "Patient/1/_history"), NotFound, None),
        (ask("DELETE", "Patient"), NotSupported, "request.url"),
        (ask("GET", "metadata"), NotSupported, "request.url"),
        (ask("POST", "Patient/1/$do"), NotFound, None),
        (ask("GET", "Patient?active=true", ifNoneMatch="*"), InvalidContent, "request.ifNoneMatch"),
        (put(resource(id="p"), ifNoneExist="active=true"), InvalidContent, "request.ifNoneExist"),
        (post(resource(), ifMatch='W/"1"'), InvalidContent, "request.ifMatch"),
        (ask("DELETE", "Patient/p", ifModifiedSince="2026-01-01T00:00:00Z"), InvalidContent, "request.ifModifiedSince"),
        (ask("DELETE", "Patient/p/_history"), Forbidden, None),
        ({"request": {"method": "GET", "url": "Patient"}, "wrong": 1}, Unprocessable, "wrong"),
    ],
)  # fmt: skip
async def test_a_malformed_entry_is_named(server, caller, entry, error, place):
    caught = await fails(error, server, caller, post(resource()), entry)
    expected = f"Bundle.entry[1].{place}" if place else "Bundle.entry[1]"
    assert any(expression.startswith(expected) for expression in expressions(caught)), caught.issues


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"resourceType":"Patient"}', InvalidContent),
        ('{"resourceType":"Bundle","type":"collection"}', InvalidContent),
        ('{"resourceType":"Bundle"}', FhirError),
        ('{"resourceType":"Bundle","type":"transaction","entry":{}}', InvalidContent),
        ('{"resourceType":"Bundle","type":"transaction","entry":[1]}', InvalidContent),
        ('{"resourceType":"Bundle","type":"transaction","entries":[]}', Unprocessable),
    ],
)
async def test_what_is_no_transaction_is_refused(server, caller, text, error):
    with pytest.raises(error):
        await transaction(server, caller, raw(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"resourceType":"Bundle","type":"batch","type":"transaction","entry":[]}',
        '{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Patient"},'
        '"resource":{"resourceType":"Patient"},"resource":{"resourceType":"Patient","active":true}}]}',
        '{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Patient",'
        '"url":"Patient"},"resource":{"resourceType":"Patient"}}]}',
        '{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"POST","url":"Patient"},'
        '"resource":{"resourceType":"Patient","active":false,"active":true}}]}',
    ],
)
async def test_double_members_are_refused_at_every_level(server, caller, text):
    await expect(InvalidContent, transaction(server, caller, text.encode()))
    assert await count(server) == 0


async def test_the_gravest_fault_gives_the_class_and_all_are_told(server, caller):
    error = await fails(
        InvalidContent, server, caller, post(resource(gender="banana")), put(resource(), url="Patient/q")
    )
    assert expressions(error) == ["Bundle.entry[0].resource.gender", "Bundle.entry[1].resource.id"]


# ── patch ─────────────────────────────────────────────────────────────────────


def patch_entry(steps, url="Patient/p", content_type="application/json-patch+json", **request):
    data = b64encode(orjson.dumps(steps)).decode()
    body = {"resourceType": "Binary", "contentType": content_type, "data": data}
    return {"resource": body, "request": {"method": "PATCH", "url": url, **request}}


async def test_patch_in_a_transaction(server, caller):
    await update(server, caller, resource(id="p"), id="p")
    steps = [{"op": "add", "path": "/generalPractitioner", "value": [{"reference": U1}]}]
    answer = await run(server, caller, patch_entry(steps), post(resource("Practitioner"), U1))
    assert statuses(answer) == ["200", "201"]
    kept = orjson.loads((await server.store.read("Patient", "p")).content)
    assert kept["generalPractitioner"] == [{"reference": "Practitioner/n1"}]


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (patch_entry([{"op": "test", "path": "/active", "value": False}]), Unprocessable),
        (patch_entry([{"op": "add", "path": "/gender", "value": "banana"}]), Unprocessable),
        (patch_entry({"op": "add"}), InvalidContent),
        (patch_entry([], url="Patient/none"), NotFound),
        (patch_entry([], ifMatch='W/"4"'), PreconditionFailed),
        (patch_entry([], content_type="text/plain"), UnsupportedMedia),
        (sent("PATCH", {"resourceType": "Parameters", "parameter": [{"name": "x"}]}, "Patient/p"), InvalidContent),
        (sent("PATCH", {"resourceType": "Patient"}, "Patient/p"), InvalidContent),
    ],
)  # fmt: skip
async def test_a_patch_that_fails_undoes_everything(server, caller, entry, error):
    await update(server, caller, resource(id="p", active=True), id="p")
    caught = await fails(error, server, caller, post(resource()), entry)
    assert all(expression.startswith("Bundle.entry[1]") for expression in expressions(caught))


# ── who writes along ──────────────────────────────────────────────────────────


async def test_also_writes_in_the_same_transaction_and_sees_what_was_left(server, caller):
    seen = []

    async def also(transaction, records):
        seen.extend((record.type, record.id) for record in records)
        await transaction.put(
            Record("_Message", "m", 1, 0, "PUT", b'{"resourceType":"_Message"}'), IndexValues()
        )

    entries = bundle(
        post(resource(**NUMBER), ifNoneExist=CRITERIA),
        put(resource("Group", id="g", type="person", actual=True)),
    )
    await transaction(server, caller, entries, also=also)
    assert seen == [("Patient", "n1"), ("Group", "g")]
    assert (await server.store.read("_Message", "m")).version == 1


async def test_a_failure_of_also_undoes_the_transaction(server, caller):
    async def also(transaction, records):
        raise Conflict("no")

    await expect(Conflict, transaction(server, caller, bundle(post(resource())), also=also))
    assert await count(server) == 0


async def test_also_needs_a_transaction(server, caller):
    async def also(transaction, records):
        raise AssertionError

    await expect(
        InvalidContent, transaction(server, caller, bundle(post(resource()), type="batch"), also=also)
    )


# ── size ──────────────────────────────────────────────────────────────────────


async def test_a_large_transaction_lets_others_work(server, caller):
    entries = [post(resource(), U1)]
    entries += [post(about(U1, valueString="x" * 500)) for _ in range(1500)]
    waits = []

    async def watch():
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0)
            waits.append(loop.time() - before)

    watcher = asyncio.create_task(watch())
    answer = await run(server, caller, *entries)
    watcher.cancel()
    assert len(answer["entry"]) == 1501
    assert len(waits) > 20
    assert (await read(server, caller, "Observation", "n1501")).status == 200
