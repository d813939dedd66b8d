"""Every interaction as an entry: alone in a batch, and as part of a transaction that keeps all or nothing."""

from __future__ import annotations

from base64 import b64encode

import orjson
import pytest
from interaction_cases import BASE, ask, bundle, expect, parsed, post, put, resource

import fhir_server.interactions.operations as folder
from fhir_server.errors import (
    Conflict,
    InvalidContent,
    NotFound,
    NotSupported,
    PreconditionFailed,
    Unprocessable,
)
from fhir_server.interactions.context import Outcome
from fhir_server.interactions.create import create
from fhir_server.interactions.operations import find_operations
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.security.caller import Caller

ADMINISTRATOR = Caller("admin", "Organization/h1", administrator=True)
U1, U2 = "urn:uuid:11111111-1111-4111-8111-111111111111", "urn:uuid:22222222-2222-4222-8222-222222222222"
NUMBER = {"identifier": [{"system": "urn:s", "value": "1"}]}
CRITERIA = "identifier=urn:s|1"
LABEL = {"tag": [{"system": "urn:t", "code": "x"}]}


@pytest.fixture
def able(with_rules):
    """The server with its operations."""
    return with_rules(operations=find_operations(folder))


def parameters(*operations):
    listed = {"parameter": list(operations)} if operations else {}
    return {"resourceType": "Parameters", **listed}


def replace(path, **value):
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": path},
        {"name": "value", **value},
    ]
    return {"name": "operation", "part": parts}


def binary(body, content_type):
    data = b64encode(orjson.dumps(body)).decode()
    return {"resourceType": "Binary", "contentType": content_type, "data": data}


def sent(method, url, body=None, **request):
    entry = {"request": {"method": method, "url": url, **request}}
    return entry if body is None else {"resource": body, **entry}


def labelled(id="p"):
    meta = {"name": "meta", "valueMeta": LABEL}
    return sent("POST", f"Patient/{id}/$meta-add", parameters(meta))


async def run(server, caller, *entries, kind="transaction", **options):
    return parsed(await transaction(server, caller, bundle(*entries, type=kind), base=BASE, **options))


async def fails(error, server, caller, *entries):
    """The error of a transaction that leaves the store as it was."""
    before = await server.store.changes(0)
    caught = await expect(error, transaction(server, caller, bundle(*entries), base=BASE))
    assert await server.store.changes(0) == before
    return caught


def statuses(answer):
    return [entry["response"]["status"][:3] for entry in answer["entry"]]


def expressions(error):
    return [issue.expression for issue in error.issues]


async def kept(server, type, id):
    return orjson.loads((await server.store.read(type, id)).content)


# ── what only reads, in both kinds ────────────────────────────────────────────


async def describe():
    return Outcome(200, resource=b'{"resourceType":"CapabilityStatement"}')


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_every_way_to_read(able, caller, kind):
    await update(able, caller, resource(id="p", gender="male"), id="p")
    await update(able, caller, resource(id="p", gender="female"), id="p")
    await create(able, caller, resource("Observation", subject={"reference": "Patient/p"}))
    answer = await run(
        able,
        caller,
        ask("GET", "metadata"),
        ask("GET", "Patient/p"),
        ask("HEAD", "Patient/p"),
        ask("GET", "Patient/p?_elements=gender"),
        ask("GET", "Patient/p/_history/1?_summary=true"),
        ask("GET", "Patient/p/_history"),
        ask("GET", "Patient/_history?_count=1"),
        ask("GET", "_history"),
        ask("GET", "Patient?gender=female"),
        ask("GET", "?_type=Patient,Observation"),
        ask("GET", "Patient/p/Observation?status=final"),
        ask("GET", "Patient/p/*"),
        ask("GET", "Patient/p/$everything"),
        ask("GET", "Patient/$meta"),
        ask("GET", "$meta"),
        ask("GET", "Observation/$lastn?patient=p&code=x"),
        kind=kind,
        describe=describe,
    )
    assert statuses(answer)[:15] == ["200"] * 15, answer
    entries = [entry.get("resource", {}) for entry in answer["entry"]]
    assert entries[0]["resourceType"] == "CapabilityStatement"
    assert (entries[1]["gender"], entries[2]) == ("female", {})
    assert entries[3].keys() == {"resourceType", "id", "meta", "gender"}
    assert (entries[4]["gender"], entries[5]["total"], entries[7]["total"]) == ("male", 2, 3)
    assert len(entries[6]["entry"]) == len(entries[8]["entry"]) == len(entries[10]["entry"]) == 1
    assert len(entries[9]["entry"]) == len(entries[11]["entry"]) == len(entries[12]["entry"]) == 2
    assert entries[13]["resourceType"] == entries[14]["resourceType"] == "Parameters"
    del answer["entry"][0]["resource"]
    assert able.validate(answer) == []


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"ifNoneMatch": 'W/"1"'}, "304"),
        ({"ifNoneMatch": 'W/"2"'}, "200"),
        ({"ifModifiedSince": "2026-03-02T01:12:00.000Z"}, "304"),
        ({"ifModifiedSince": "2026-03-02T09:12:00+08:00"}, "304"),
        ({"ifModifiedSince": "2026-03-02T01:11:59.999Z"}, "200"),
        ({"ifNoneMatch": 'W/"2"', "ifModifiedSince": "2026-03-02T01:12:00.000Z"}, "200"),
    ],
)
async def test_conditional_reads(server, caller, kind, condition, status):
    await update(server, caller, resource(id="p"), id="p")
    answer = await run(server, caller, ask("GET", "Patient/p", **condition), kind=kind)
    assert statuses(answer) == [status]
    assert ("resource" in answer["entry"][0]) == (status == "200")
    assert answer["entry"][0]["response"]["etag"] == 'W/"1"'


async def test_lenient_searches_in_a_bundle(server, caller):
    entry = ask("GET", "Patient?shoe=1")
    assert statuses(await run(server, caller, entry, kind="batch")) == ["400"]
    assert statuses(await run(server, caller, entry, kind="batch", lenient=True)) == ["200"]


async def test_reads_in_a_transaction_see_what_it_writes(able, caller):
    answer = await run(
        able,
        caller,
        ask("GET", "Patient/p/_history"),
        ask("GET", "Patient/p/$everything"),
        ask("GET", "Patient/p/Observation"),
        ask("GET", "Patient/p/_history/1"),
        put(resource(id="p")),
        post(resource("Observation", subject={"reference": "Patient/p"})),
    )
    assert statuses(answer) == ["200"] * 4 + ["201"] * 2
    shown = [entry["resource"] for entry in answer["entry"][:3]]
    assert shown[0]["total"] == 1
    assert len(shown[1]["entry"]) == 2
    assert len(shown[2]["entry"]) == 1


# ── conditional forms ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_conditional_patch_and_delete(server, caller, kind):
    await update(server, caller, resource(id="p", **NUMBER), id="p")
    await update(server, caller, resource(id="q", active=True), id="q")
    patch = parameters(replace("Patient.identifier.value", valueString="2"))
    answer = await run(
        server,
        caller,
        sent("PATCH", f"Patient?{CRITERIA}", patch, ifMatch='W/"1"'),
        ask("DELETE", "Patient?active=true", ifMatch='W/"1"'),
        ask("DELETE", "Patient?gender=male"),
        kind=kind,
    )
    assert statuses(answer) == ["200", "204", "204"]
    assert answer["entry"][0]["response"]["location"] == "Patient/p/_history/2"
    assert answer["entry"][1]["response"]["etag"] == 'W/"2"'
    assert (await kept(server, "Patient", "p"))["identifier"][0]["value"] == "2"


async def test_a_conditional_delete_of_several_in_a_transaction(server, caller, with_rules):
    for id in "ab":
        await update(server, caller, resource(id=id, **NUMBER), id=id)
    await fails(PreconditionFailed, server, caller, ask("DELETE", f"Patient?{CRITERIA}"))
    multiple = with_rules(conditional_delete="multiple")
    error = await fails(
        InvalidContent, multiple, caller, ask("DELETE", f"Patient?{CRITERIA}"), put(resource(id="b"))
    )
    assert expressions(error) == ["Bundle.entry[1]"]
    answer = await run(multiple, caller, ask("DELETE", f"Patient?{CRITERIA}"), post(resource(**NUMBER)))
    assert statuses(answer) == ["204", "201"]
    assert "2 resources" in str(answer["entry"][0]["response"]["outcome"])
    assert (await server.store.read("Patient", "a")).deleted


async def test_conditional_faults_are_all_told(server, caller):
    for id in "ab":
        await update(server, caller, resource(id=id, **NUMBER), id=id)
    error = await fails(
        NotFound,
        server,
        caller,
        put(resource(), url=f"Patient?{CRITERIA}"),
        post(resource(), ifNoneExist=CRITERIA),
        sent("PATCH", "Patient?gender=male", parameters(replace("Patient.id", valueId="x"))),
        put(resource(id="a")),
    )
    assert expressions(error) == ["Bundle.entry[1]", "Bundle.entry[0]", "Bundle.entry[2]"]


@pytest.mark.parametrize(
    "pair",
    [
        (
            put(resource(**NUMBER), url=f"Patient?{CRITERIA}"),
            put(resource(**NUMBER), url="Patient?identifier=urn:s%7C1"),
        ),
        (post(resource(**NUMBER), ifNoneExist=CRITERIA), put(resource(), url=f"Patient?{CRITERIA}")),
        (put(resource(id="x"), url=f"Patient?{CRITERIA}"), put(resource(id="x"))),
    ],
)
async def test_two_entries_that_would_make_the_same_resource_are_refused(server, caller, pair):
    error = await fails(InvalidContent, server, caller, post(resource()), *pair)
    assert [issue.code for issue in error.issues] == ["duplicate"]


@pytest.mark.parametrize(
    "pair",
    [
        (put(resource(id="p")), sent("PATCH", f"Patient?{CRITERIA}", parameters())),
        (ask("DELETE", f"Patient?{CRITERIA}"), sent("PATCH", "Patient/p", parameters())),
        (ask("DELETE", f"Patient?{CRITERIA}"), ask("DELETE", "Patient/p")),
        (put(resource(id="p")), labelled()),
        (ask("DELETE", "Patient/p"), labelled()),
        (labelled(), labelled()),
    ],
)
async def test_the_same_resource_twice_is_refused_however_it_is_named(able, caller, pair):
    await update(able, caller, resource(id="p", **NUMBER), id="p")
    error = await fails(InvalidContent, able, caller, *pair)
    assert (error.issues[0].code, error.issues[0].expression) == ("duplicate", "Bundle.entry[1]")


async def test_every_precondition_that_fails_is_told(server, caller):
    for id in "abc":
        await update(server, caller, resource(id=id), id=id)
    error = await fails(
        PreconditionFailed,
        server,
        caller,
        put(resource(id="a"), ifMatch='W/"9"'),
        put(resource(id="b"), ifMatch='W/"1"'),
        put(resource(id="c"), ifNoneMatch="*"),
        put(resource(id="d"), ifMatch='W/"1"'),
    )
    assert expressions(error) == [
        "Bundle.entry[0].request.ifMatch",
        "Bundle.entry[2]",
        "Bundle.entry[3]",
    ]


# ── patches ───────────────────────────────────────────────────────────────────

MERGE = "application/merge-patch+json"
STEPS = "application/json-patch+json"


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize(
    "body",
    [
        parameters(replace("Patient.gender", valueCode="female")),
        binary({"gender": "female"}, MERGE),
        binary([{"op": "replace", "path": "/gender", "value": "female"}], STEPS),
        binary(parameters(replace("Patient.gender", valueCode="female")), "application/fhir+json"),
    ],
)
async def test_every_kind_of_patch(server, caller, kind, body):
    await update(server, caller, resource(id="p", gender="male"), id="p")
    answer = await run(server, caller, sent("PATCH", "Patient/p", body), kind=kind)
    assert statuses(answer) == ["200"]
    assert (await kept(server, "Patient", "p"))["gender"] == "female"


GENERAL = {"generalPractitioner": [{"reference": U1}]}


@pytest.mark.parametrize(
    "body",
    [
        binary(GENERAL, MERGE),
        binary([{"op": "add", "path": "/generalPractitioner", "value": [{"reference": U1}]}], STEPS),
        parameters(
            {
                "name": "operation",
                "part": [
                    {"name": "type", "valueCode": "add"},
                    {"name": "path", "valueString": "Patient"},
                    {"name": "name", "valueString": "generalPractitioner"},
                    {"name": "value", "valueReference": {"reference": U1}},
                ],
            }
        ),
    ],
)
async def test_references_that_a_patch_brings_are_resolved_and_nothing_else(server, caller, body):
    await update(server, caller, resource(id="p", identifier=[{"value": U1}]), id="p")
    await run(server, caller, sent("PATCH", "Patient/p", body), post(resource("Practitioner"), U1))
    after = await kept(server, "Patient", "p")
    assert after["generalPractitioner"] == [{"reference": "Practitioner/n1"}]
    assert after["identifier"] == [{"value": U1}]
    error = await fails(InvalidContent, server, caller, sent("PATCH", "Patient/p", body))
    assert expressions(error)[0].startswith("Bundle.entry[0].resource")


async def test_conditional_references_of_a_patch(server, caller):
    await update(server, caller, resource(id="p"), id="p")
    await create(server, caller, resource("Practitioner", **NUMBER))
    body = binary({"generalPractitioner": [{"reference": f"Practitioner?{CRITERIA}"}]}, MERGE)
    await run(server, caller, sent("PATCH", "Patient/p", body))
    assert (await kept(server, "Patient", "p"))["generalPractitioner"] == [{"reference": "Practitioner/n1"}]


async def test_faults_of_a_patch_lead_to_the_entry(server, caller):
    await update(server, caller, resource(id="p"), id="p")
    error = await fails(
        Unprocessable,
        server,
        caller,
        post(resource()),
        sent("PATCH", "Patient/p", parameters(replace("Patient.birthDate", valueDate="1970"))),
    )
    assert expressions(error) == ["Bundle.entry[1].resource.parameter[0]"]
    error = await fails(InvalidContent, server, caller, sent("PATCH", "Patient/p", parameters({"name": "x"})))
    assert expressions(error) == ["Bundle.entry[0].resource.parameter[0].name"]


# ── operations ────────────────────────────────────────────────────────────────


async def test_operations_in_a_batch(able, caller):
    await update(able, caller, resource(id="p"), id="p")
    answer = await run(
        able,
        caller,
        labelled(),
        ask("POST", "Patient/p/$meta"),
        ask("GET", "Patient/p/$meta-add"),
        ask("POST", "Patient/p/$shout"),
        ask("POST", "Patient/none/$everything"),
        kind="batch",
    )
    assert statuses(answer) == ["200", "200", "405", "404", "404"]
    assert answer["entry"][0]["resource"]["resourceType"] == "Parameters"
    assert answer["entry"][0]["response"]["etag"] == 'W/"2"'
    assert (await kept(able, "Patient", "p"))["meta"]["tag"] == LABEL["tag"]


async def test_what_an_operation_wrote_is_undone_with_the_rest(able, caller):
    await update(able, caller, resource(id="p"), id="p")
    error = await fails(
        NotFound, able, caller, labelled(), ask("GET", "Patient/none"), ask("GET", "Patient/never")
    )
    assert expressions(error) == ["Bundle.entry[1]", "Bundle.entry[2]"]
    answer = await run(able, caller, labelled(), ask("GET", "Patient/p"))
    assert statuses(answer) == ["200", "200"]
    assert answer["entry"][1]["resource"]["meta"]["tag"] == LABEL["tag"]
    assert (await able.store.read("Patient", "p")).version == 2


async def test_rules_are_asked_inside_an_operation_of_a_transaction(able, caller, with_rules):
    async def refuse(change):
        if change.before is not None:
            raise Conflict("no")
        return ()

    server = with_rules(operations=able.operations, rules={"Patient": (refuse,)})
    await update(able, caller, resource(id="p"), id="p")
    error = await fails(Conflict, server, caller, put(resource(id="q")), labelled())
    assert expressions(error) == ["Bundle.entry[1]"]


async def test_an_operation_that_works_in_steps_of_its_own_is_no_part_of_a_transaction(able):
    error = await fails(NotSupported, able, ADMINISTRATOR, ask("POST", "$reindex"))
    assert expressions(error) == ["Bundle.entry[0].request.url"]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_removing_for_good(able, caller, kind):
    for _ in range(3):
        await update(able, caller, resource(id="p"), id="p")
        await update(able, caller, resource(id="q"), id="q")
    entries = (ask("DELETE", "Patient/p/_history/1"), ask("POST", "Patient/q/$purge"))
    if kind == "batch":
        assert statuses(await run(able, caller, *entries, kind=kind)) == ["403", "403"]
    answer = await run(able, ADMINISTRATOR, *entries, kind=kind)
    assert statuses(answer) == ["204", "200"]
    assert await able.store.read_version("Patient", "p", 1) is None
    assert await able.store.read("Patient", "q") is None
    audits = await able.store.history("AuditEvent")
    assert audits.total == 2


# ── references ────────────────────────────────────────────────────────────────


def linked(reference):
    return resource(link=[{"other": {"reference": reference}, "type": "seealso"}])


async def test_circular_references(server, caller):
    await run(server, caller, post(linked(U2), U1), post(linked(U1), U2))
    links = [(await kept(server, "Patient", id))["link"][0]["other"]["reference"] for id in ("n1", "n2")]
    assert links == ["Patient/n2", "Patient/n1"]


async def test_conditional_references_in_a_circle_are_resolved_by_what_the_entries_ask_for(server, caller):
    def entry(number, other, **request):
        body = linked(f"Patient?identifier={other}")
        body.data["identifier"] = [{"value": number}]
        return body

    await run(
        server,
        caller,
        post(entry("1", "2"), ifNoneExist="identifier=1"),
        put(entry("2", "1"), url="Patient?identifier=2"),
    )
    links = [(await kept(server, "Patient", id))["link"][0]["other"]["reference"] for id in ("n1", "n2")]
    assert links == ["Patient/n2", "Patient/n1"]


@pytest.mark.parametrize("base", ["http://his/", ""])
async def test_versioned_references(server, caller, base):
    await update(server, caller, resource(id="q"), id="q")
    versioned = resource(id="7", meta={"versionId": "4"})
    answer = await run(
        server,
        caller,
        post(versioned, "http://his/Patient/7"),
        put(resource(id="q", meta={"versionId": "1"}), full_url=f"{BASE}/Patient/q"),
        post(resource("Observation", subject={"reference": f"{base}Patient/7/_history/4"}), U1),
        post(resource("Observation", subject={"reference": "Patient/q/_history/1"}), U2),
        post(resource("Observation", subject={"reference": f"{base}Patient/7/_history/3"})),
    )
    ids = [entry["response"]["location"].split("/")[1] for entry in answer["entry"]]
    subjects = [(await kept(server, "Observation", id))["subject"]["reference"] for id in ids[2:]]
    assert subjects == [f"Patient/{ids[0]}/_history/1", "Patient/q/_history/2", f"{base}Patient/7/_history/3"]


# ── a Bundle as a resource ────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("inner", ["collection", "transaction", "batch"])
async def test_a_bundle_in_an_entry_is_kept_as_it_is(server, caller, kind, inner):
    body = bundle(post(resource(), U1), type=inner)
    if inner == "collection":
        del body.data["entry"][0]["request"]
    answer = await run(
        server, caller, post(body), put(resource("Bundle", id="b", type="document")), kind=kind
    )
    assert statuses(answer)[0] == "201", answer
    id = answer["entry"][0]["response"]["location"].split("/")[1]
    assert (await kept(server, "Bundle", id))["entry"] == body.data["entry"]
    assert (await server.store.history("Patient")).total == 0
