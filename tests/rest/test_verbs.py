"""Each FHIR interaction over HTTP: status, headers and body."""

import orjson
import pytest

from fhir_server.interactions.context import Operation, Outcome
from fhir_server.rest.routes import ROUTES

EXACT = (
    b'{ "resourceType": "Observation", "status": "final", "code": {"text": "K+"},'
    b' "valueQuantity": {"value": 1.00, "unit": "mmol/L"}, "note": [{"text": "3.1400 \\u5f20"}] }'
)
BASE = "http://fhir.test/fhir"
DATE = "Mon, 02 Mar 2026 01:12:00 GMT"


async def test_create(post):
    answer = await post("Patient")
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["location"] == f"{BASE}/Patient/{made['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["last-modified"] == DATE
    assert made["meta"] == {"versionId": "1", "lastUpdated": "2026-03-02T01:12:00.000Z"}
    assert made["name"] == [{"family": "张", "given": ["伟"]}]


async def test_read(client, post):
    location = (await post("Patient")).headers["location"]
    answer = await client.get(location.partition("/_history")[0])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["last-modified"] == DATE
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "location" not in answer.headers


async def test_the_client_s_own_bytes_are_served(client, post):
    made = (await post("Observation", EXACT)).json()
    answer = await client.get(f"/fhir/Observation/{made['id']}")
    assert b'"value": 1.00' in answer.content or b'"value":1.00' in answer.content
    assert b'"3.1400 \\u5f20"' in answer.content
    assert list(orjson.loads(answer.content)) == [
        "resourceType", "id", "meta", "status", "code", "valueQuantity", "note",
    ]  # fmt: skip


async def test_head_is_a_read_without_its_body(client, post):
    path = f"/fhir/Patient/{(await post('Patient')).json()['id']}"
    read, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    same = ("content-length", "content-type", "etag", "last-modified")
    assert [head.headers[name] for name in same] == [read.headers[name] for name in same]


async def test_head_of_what_is_not_there(client):
    answer = await client.head("/fhir/Patient/none")
    assert (answer.status_code, answer.content) == (404, b"")


async def test_vread(client, put):
    await put("Patient/1", {"resourceType": "Patient", "id": "1", "gender": "male"})
    await put("Patient/1", {"resourceType": "Patient", "id": "1", "gender": "female"})
    answers = [await client.get(f"/fhir/Patient/1/_history/{version}") for version in (1, 2)]
    assert [answer.json()["gender"] for answer in answers] == ["male", "female"]
    assert [answer.headers["etag"] for answer in answers] == ['W/"1"', 'W/"2"']


async def test_update_to_a_new_id_and_again(put):
    first = await put("Patient/p1", {"resourceType": "Patient", "id": "p1"})
    second = await put("Patient/p1", {"resourceType": "Patient", "id": "p1", "gender": "male"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["location"] == f"{BASE}/Patient/p1/_history/1"
    assert second.headers["etag"] == 'W/"2"'
    assert second.json()["gender"] == "male"


async def test_delete_then_read_then_update(client, put):
    await put("Patient/p1", {"resourceType": "Patient", "id": "p1"})
    deleted = await client.delete("/fhir/Patient/p1")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-length" not in deleted.headers
    assert deleted.headers["etag"] == 'W/"2"'
    gone = await client.get("/fhir/Patient/p1")
    assert gone.status_code == 410
    assert gone.headers["etag"] == 'W/"2"'
    assert (await client.get("/fhir/Patient/p1/_history/2")).status_code == 410
    assert (await client.delete("/fhir/Patient/p1")).status_code == 204
    assert (await put("Patient/p1", {"resourceType": "Patient", "id": "p1"})).status_code == 201


async def test_patch(client, put):
    await put("Observation/o1", EXACT.replace(b'"status"', b'"id":"o1","status"'))
    steps = b'[{"op":"replace","path":"/status","value":"amended"}]'
    answer = await client.patch(
        "/fhir/Observation/o1", content=steps, headers={"Content-Type": "application/json-patch+json"}
    )
    assert answer.status_code == 200
    assert answer.json()["status"] == "amended"
    assert answer.headers["etag"] == 'W/"2"'
    assert answer.headers["location"] == f"{BASE}/Observation/o1/_history/2"
    assert b"1.00" in answer.content


async def test_history_of_instance_type_and_system(client, put):
    await put("Patient/a", {"resourceType": "Patient", "id": "a"})
    await put("Organization/b", {"resourceType": "Organization", "id": "b", "name": "x"})
    await put("Patient/a", {"resourceType": "Patient", "id": "a", "gender": "male"})
    for path, versions in [("Patient/a/_history", 2), ("Patient/_history", 2), ("_history", 3)]:
        bundle = (await client.get(f"/fhir/{path}")).json()
        assert (bundle["type"], bundle["total"]) == ("history", versions)
    assert "_Client" not in (await client.get("/fhir/_history")).text


async def test_search_by_get_and_by_form_is_the_same(client, post):
    await post("Patient")
    await post("Patient", {"resourceType": "Patient", "name": [{"family": "王"}]})
    by_get = (await client.get("/fhir/Patient", params={"name": "张", "gender": "male"})).json()
    by_form = (await client.post("/fhir/Patient/_search?gender=male", data={"name": "张"})).json()
    assert len(by_get["entry"]) == 1
    assert by_form["entry"] == by_get["entry"]
    assert by_get["link"][0]["url"].startswith(f"{BASE}/Patient?name=")


async def test_search_by_post_without_a_body_uses_the_query(client, post):
    await post("Patient")
    answer = await client.post("/fhir/Patient/_search?gender=male")
    assert len(answer.json()["entry"]) == 1


async def test_the_next_page_is_a_link_that_works(client, post):
    for _ in range(3):
        await post("Patient")
    seen, url = [], "/fhir/Patient?_count=2"
    while url:
        page = (await client.get(url)).json()
        seen += [entry["resource"]["id"] for entry in page["entry"]]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    assert len(seen) == len(set(seen)) == 3


async def test_transaction_and_batch(post, client):
    entry = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    for kind in ("transaction", "batch"):
        answer = await post("", {"resourceType": "Bundle", "type": kind, "entry": [entry, entry]})
        bundle = answer.json()
        assert (answer.status_code, bundle["type"]) == (200, f"{kind}-response")
        assert [one["response"]["status"][:3] for one in bundle["entry"]] == ["201", "201"]
    assert (await client.get("/fhir/Patient?_summary=count")).json()["total"] == 4


async def test_the_base_with_and_without_a_slash(post, client):
    bundle = {"resourceType": "Bundle", "type": "batch"}
    assert (await post("", bundle)).status_code == 200
    answer = await client.post("/fhir", json=bundle, headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code == 200


async def test_metadata_declares_what_the_table_answers(anonymous, server):
    answer = await anonymous.get("/fhir/metadata")
    statement = answer.json()
    rest = statement["rest"][0]
    assert (answer.status_code, statement["fhirVersion"]) == (200, "4.0.1")
    assert {one["type"] for one in rest["resource"]} == server.definitions.resource_types
    assert statement["implementation"]["url"] == BASE
    declared = {one["code"] for one in rest["resource"][0]["interaction"]} | {
        one["code"] for one in rest["interaction"]
    }
    assert declared == {route.interaction for route in ROUTES} - {
        "capabilities",
        "operation",
        "search-compartment",
        "delete-history",
        "delete-history-version",
    } | {"batch"}
    assert "DELETE [type]/[id]/_history" in rest["documentation"]


async def test_an_operation_of_the_referral_is_found(client):
    answer = await client.get("/fhir/Task/none/$available-actions")
    assert answer.status_code == 404
    assert "Task/none" in answer.json()["issue"][0]["details"]["text"]


async def test_read_takes_a_part(client, put):
    await put(
        "Patient/p1",
        {
            "resourceType": "Patient",
            "id": "p1",
            "gender": "male",
            "birthDate": "1970-01-01",
            "photo": [{"title": "x"}],
        },
    )
    summary = (await client.get("/fhir/Patient/p1?_summary=true")).json()
    part = (await client.get("/fhir/Patient/p1?_elements=gender")).json()
    assert summary.keys() == {"resourceType", "id", "meta", "gender", "birthDate"}
    assert part.keys() == {"resourceType", "id", "meta", "gender"}
    assert part["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert (await client.get("/fhir/Patient/p1?_summary=banana")).status_code == 400
    assert (await client.get("/fhir/Patient/p1?name=x")).status_code == 400


@pytest.mark.parametrize("path", ["Patient/p1", "Patient", "metadata", "Patient/p1/_history"])
async def test_pretty_moves_white_space_only(client, put, path):
    await put("Patient/p1", {"resourceType": "Patient", "id": "p1", "gender": "male"})
    plain = await client.get(f"/fhir/{path}")
    pretty = await client.get(f"/fhir/{path}?_pretty=true&_format=json")
    assert {**pretty.json(), "link": None} == {**plain.json(), "link": None}
    assert all(link["url"].endswith("?_pretty=true&_format=json") for link in pretty.json().get("link", ()))
    assert pretty.text.startswith('{\n  "resourceType"')


async def test_pretty_keeps_decimals(client, post):
    made = (await post("Observation?_pretty=true", EXACT)).json()
    answer = await client.get(f"/fhir/Observation/{made['id']}?_pretty=true")
    assert b'"value": 1.00' in answer.content


async def test_an_operation_that_leaves_a_version_answers_with_its_etag(client, put, server, monkeypatch):
    await put("Patient/p1", {"resourceType": "Patient", "id": "p1"})
    made = await put("Patient/p1", {"resourceType": "Patient", "id": "p1", "gender": "male"})

    async def run(server, caller, invocation):
        return Outcome(200, await server.store.read(invocation.type, invocation.id))

    touch = Operation("touch", ("Patient",), "instance", True, run, {"url": "http://x/touch"})
    monkeypatch.setitem(server.operations, "touch", (touch,))
    answer = await client.post("/fhir/Patient/p1/$touch")
    assert answer.content == made.content
    assert (answer.headers["etag"], answer.headers["last-modified"]) == ('W/"2"', DATE)
