"""batch: each entry on its own."""

from __future__ import annotations

import pytest
from interaction_cases import BASE, ask, bundle, expect, parsed, post, put, resource

from fhir_server.errors import InvalidContent, NotFound, NotSupported, Unauthenticated
from fhir_server.interactions.addresses import Address, interaction_at, parse_address
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update

NUMBER = {"identifier": [{"system": "urn:s", "value": "1"}]}


async def run(server, caller, *entries, **options):
    return parsed(await transaction(server, caller, bundle(*entries, type="batch"), base=BASE, **options))


def statuses(answer):
    return [entry["response"]["status"][:3] for entry in answer["entry"]]


async def test_failures_stay_with_their_entries(server, caller):
    await update(server, caller, resource(id="p"), id="p")
    answer = await run(
        server,
        caller,
        post(resource(gender="banana")),
        post(resource()),
        put(resource(id="p"), ifMatch='W/"7"'),
        ask("GET", "Patient/none"),
        ask("GET", "Patient/p"),
        ask("DELETE", "Patient/p"),
        ask("GET", "Patient?nonsense=1"),
        {"request": {"method": "GET", "url": "_Client/1"}},
        {"resource": {"resourceType": "Patient"}},
    )
    assert answer["type"] == "batch-response"
    assert statuses(answer) == ["422", "201", "412", "404", "410", "204", "400", "404", "400"]
    outcome = answer["entry"][0]["response"]["outcome"]
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[0].resource.gender"]
    assert answer["entry"][2]["response"]["etag"] == 'W/"2"'
    assert answer["entry"][4]["response"]["etag"] == 'W/"2"'
    assert server.validate(answer) == []


async def test_every_interaction_can_stand_in_a_batch(server, caller):
    patch = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2FjdGl2ZSIsInZhbHVlIjp0cnVlfV0=",
    }
    await update(server, caller, resource(id="p"), id="p")
    answer = await run(
        server,
        caller,
        ask("GET", "Patient/p"),
        ask("GET", "Patient/p/_history/1"),
        ask("GET", "Patient/p/_history"),
        ask("GET", "_history?_count=1"),
        ask("GET", "Patient?active=true"),
        ask("HEAD", f"{BASE}/Patient/p"),
        {"resource": patch, "request": {"method": "PATCH", "url": "/Patient/p"}},
        put(resource(**NUMBER), url="Patient?identifier=urn:s|1"),
        post(resource(**NUMBER), ifNoneExist="identifier=urn:s|1"),
    )
    assert statuses(answer) == ["200"] * 8 + ["201"], "creates come before updates"
    assert answer["entry"][0]["resource"]["active"] is True
    assert answer["entry"][2]["resource"]["total"] == 2
    assert answer["entry"][3]["resource"]["type"] == "history"
    assert answer["entry"][4]["resource"]["entry"][0]["resource"]["id"] == "p"
    assert "resource" not in answer["entry"][5]


async def test_references_between_entries_are_not_resolved(server, caller):
    body = resource("Observation", subject={"reference": "urn:uuid:1"})
    answer = await run(server, caller, post(resource(), "urn:uuid:1"), post(body))
    assert statuses(answer) == ["201", "201"]
    kept = (
        await server.store.read("Observation", answer["entry"][1]["response"]["location"].split("/")[1])
    ).content
    assert b'"reference":"urn:uuid:1"' in kept


async def test_a_batch_of_many_writes(server, caller):
    answer = await run(server, caller, *(put(resource(id=f"p{n}")) for n in range(100)))
    assert statuses(answer) == ["201"] * 100
    assert [e["response"]["location"] for e in answer["entry"]][:2] == [
        "Patient/p0/_history/1",
        "Patient/p1/_history/1",
    ]


async def test_a_caller_without_access_gets_nothing(server):
    await expect(Unauthenticated, transaction(server, None, bundle(post(resource()), type="batch")))


@pytest.mark.parametrize("size", [10, 2**20 - 30, 2**20 - 29, 2**20 + 5])
async def test_broken_utf8_anywhere_refuses_the_whole_and_names_the_byte(server, caller, size):
    head = b'{"resourceType":"Bundle","type":"batch","entry":[{"fullUrl":"' + "患".encode() * 3 + b"x" * size
    whole = head + b"\xd6\xd0" + b'","request":{"method":"GET","url":"Patient"}}]}'
    error = await expect(InvalidContent, transaction(server, caller, whole))
    assert f"byte {len(head)} " in error.issues[0].text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("Patient/1", Address("Patient", "1")),
        ("/Patient/1", Address("Patient", "1")),
        (f"{BASE}/Patient/1/_history/2", Address("Patient", "1", "2", history=True)),
        ("Patient?name=a%2Cb", Address("Patient", query="name=a%2Cb")),
        ("Patient/_history?_count=1", Address("Patient", history=True, query="_count=1")),
        ("_history", Address(history=True)),
        ("?_type=Patient", Address(query="_type=Patient")),
        (f"{BASE}?_type=Patient", Address(query="_type=Patient")),
        ("metadata", Address(metadata=True)),
        ("Patient/1/Observation?code=x", Address("Patient", "1", member="Observation", query="code=x")),
        ("Patient/1/*", Address("Patient", "1", member="*")),
        ("Task/1/$accept", Address("Task", "1", operation="accept")),
        ("Patient/$everything?_count=1", Address("Patient", operation="everything", query="_count=1")),
        ("$meta", Address(operation="meta")),
        ("Patient/1/%24everything", Address("Patient", "1", operation="everything")),
    ],
)
def test_addresses(url, expected):
    assert parse_address(url, BASE) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        BASE,
        f"{BASE}/",
        "Patient/1/2",
        "a/b/c/d",
        "Patient/a b",
        "urn:uuid:1",
        "Patient/_search",
        "Patient/1/$",
    ],
)
def test_what_is_no_address(url):
    with pytest.raises(NotFound):
        parse_address(url, BASE)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PUT", "Patient"),
        ("PATCH", "Patient"),
        ("DELETE", "Patient"),
        ("DELETE", "Patient?"),
        ("POST", "Patient/1"),
        ("PUT", "Patient/1?name=x"),
        ("PATCH", "Patient/1?name=x"),
        ("DELETE", "Patient/1?name=x"),
        ("POST", "Patient?name=x"),
        ("DELETE", "Patient/1/_history?_count=1"),
        ("DELETE", "Patient/_history"),
        ("DELETE", "Patient/1/$x"),
        ("PUT", "metadata"),
        ("GET", "metadata?x=y"),
        ("POST", "?name=x"),
        ("GET", "Patient/1/Observation/_history"),
        ("GET", "Patient/1/Observation/$x"),
        ("GET", "Patient/_history/3"),
    ],
)
def test_what_a_method_cannot_do_at_an_address(method, url):
    with pytest.raises(NotSupported, match=method):
        interaction_at(method, parse_address(url, BASE))
