"""Writes over HTTP: patches of every kind, by id and by criteria, deletes by criteria, removal for good, races."""

from __future__ import annotations

import asyncio

import httpx
import orjson
import pytest

from fhir_server.security.clients import Clients

BASE = "http://fhir.test/fhir"
NUMBER = {"identifier": [{"system": "urn:s", "value": "1"}]}
CRITERIA = "identifier=urn:s|1"
DECIMAL = (
    b'{"resourceType":"Observation","id":"o","status":"final","code":{"text":"K+"},'
    b'"valueQuantity":{"value":1.00,"unit":"mmol/L"}}'
)
FHIR_PATCH = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "replace"},
                {"name": "path", "valueString": "Observation.status"},
                {"name": "value", "valueCode": "amended"},
            ],
        }
    ],
}
XML_PATCH = b"""<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>
    <part><name value="type"/><valueCode value="replace"/></part>
    <part><name value="path"/><valueString value="Observation.value.value"/></part>
    <part><name value="value"/><valueDecimal value="2.50"/></part></parameter></Parameters>"""


@pytest.fixture
def patch(client):
    async def send(path, body, content_type, **headers):
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return await client.patch(
            f"/fhir/{path}", content=content, headers={"Content-Type": content_type, **headers}
        )

    return send


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (FHIR_PATCH, "application/fhir+json"),
        (FHIR_PATCH, "application/json; charset=utf-8"),
        ({"status": "amended"}, "application/merge-patch+json"),
        ([{"op": "replace", "path": "/status", "value": "amended"}], "application/json-patch+json"),
    ],
)
async def test_every_kind_of_patch(put, patch, body, content_type):
    await put("Observation/o", DECIMAL)
    stale = await patch("Observation/o", body, content_type, **{"If-Match": 'W/"7"'})
    assert stale.status_code == 412
    answer = await patch("Observation/o", body, content_type, **{"If-Match": 'W/"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert answer.headers["location"] == f"{BASE}/Observation/o/_history/2"
    assert answer.json()["status"] == "amended"
    assert b'"value":1.00' in answer.content


async def test_a_patch_in_xml_keeps_the_text_of_decimals(put, patch):
    await put("Observation/o", DECIMAL)
    answer = await patch("Observation/o", XML_PATCH, "application/fhir+xml", Accept="application/fhir+json")
    assert b'"value":2.50' in answer.content


async def test_conditional_patch(put, patch):
    await put("Observation/o", DECIMAL)
    answer = await patch("Observation?code:text=K%2B", FHIR_PATCH, "application/fhir+json")
    assert (answer.status_code, answer.json()["status"]) == (200, "amended")
    assert (await patch("Observation?_id=none", FHIR_PATCH, "application/fhir+json")).status_code == 404


async def test_conditional_delete(client, put, post):
    for id in "ab":
        await put(f"Patient/{id}", {"resourceType": "Patient", "id": id, **NUMBER})
    several = await client.delete(f"/fhir/Patient?{CRITERIA}")
    assert (several.status_code, several.json()["issue"][0]["code"]) == (412, "multiple-matches")
    one = await client.delete("/fhir/Patient?_id=a", headers={"If-Match": 'W/"1"'})
    assert (one.status_code, one.headers["etag"], one.content) == (204, 'W/"2"', b"")
    assert (await client.delete("/fhir/Patient?_id=none")).status_code == 204


async def declared(client):
    statement = (await client.get("/fhir/metadata")).json()
    return statement["rest"][0]["resource"][0]["conditionalDelete"]


async def test_the_statement_says_how_many_a_conditional_delete_removes(client):
    assert await declared(client) == "single"


class TestMultiple:
    """With FHIR_CONDITIONAL_DELETE=multiple."""

    @pytest.fixture
    def settings(self, settings):
        return settings.model_copy(update={"conditional_delete": "multiple"})

    async def test_all_that_match_are_deleted(self, client, put):
        for id in "ab":
            await put(f"Patient/{id}", {"resourceType": "Patient", "id": id, **NUMBER})
        answer = await client.delete(
            f"/fhir/Patient?{CRITERIA}", headers={"Prefer": "return=OperationOutcome"}
        )
        assert answer.status_code == 200
        assert "2 resources" in answer.json()["issue"][0]["details"]["text"]
        assert (await client.get("/fhir/Patient/b")).status_code == 410
        assert await declared(client) == "multiple"


# ── removing for good ─────────────────────────────────────────────────────────


@pytest.fixture
async def administrator(app, client):
    """A client that was added as an administrator."""
    server = app.server
    clients = Clients(server.store, server.now, server.new_id)
    _, secret = await clients.add("Organization/h1", "admin", id="admin", administrator=True)
    transport = httpx.ASGITransport(app.asgi)
    async with httpx.AsyncClient(transport=transport, base_url="http://fhir.test", trust_env=False) as http:
        answer = await http.post(
            "/auth/token", data={"grant_type": "client_credentials"}, auth=("admin", secret)
        )
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield http


async def test_versions_and_resources_are_removed_by_administrators_only(client, put, administrator):
    for _ in range(3):
        await put("Patient/p", {"resourceType": "Patient", "id": "p"})
    for method, path in (
        ("DELETE", "Patient/p/_history/1"),
        ("DELETE", "Patient/p/_history"),
        ("POST", "Patient/p/$purge"),
    ):
        refused = await client.request(method, f"/fhir/{path}")
        assert (refused.status_code, refused.json()["issue"][0]["code"]) == (403, "forbidden")
    assert (await administrator.delete("/fhir/Patient/p/_history/3")).status_code == 409
    assert (await administrator.delete("/fhir/Patient/p/_history/1")).status_code == 204
    assert (await client.get("/fhir/Patient/p/_history/1")).status_code == 404
    assert (await administrator.delete("/fhir/Patient/p/_history")).status_code == 204
    assert (await client.get("/fhir/Patient/p/_history")).json()["total"] == 1
    done = await administrator.post("/fhir/Patient/p/$purge")
    assert (done.status_code, done.json()["resourceType"]) == (200, "OperationOutcome")
    assert (await client.get("/fhir/Patient/p")).status_code == 404
    audits = (await client.get("/fhir/AuditEvent?_total=accurate")).json()
    assert audits["total"] == 3
    assert audits["entry"][0]["resource"]["agent"][0]["altId"] == "admin"


# ── Bundles ───────────────────────────────────────────────────────────────────


async def test_a_bundle_posted_to_its_type_is_a_resource(client, post):
    entry = {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}}
    body = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    made = await post("Bundle", body)
    assert (made.status_code, made.json()["type"], made.json()["entry"]) == (201, "transaction", [entry])
    assert (await client.get("/fhir/Patient?_total=accurate")).json()["total"] == 0


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_bundle_may_ask_for_anything(post, put, kind):
    await put("Patient/p", {"resourceType": "Patient", "id": "p"})
    urls = ["metadata", f"{BASE}/Patient/p", "Patient/p/_history", "Patient/p/$everything", "?_type=Patient"]
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    answer = (await post("", {"resourceType": "Bundle", "type": kind, "entry": entries})).json()
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["200 OK"] * 5
    assert answer["entry"][0]["resource"]["resourceType"] == "CapabilityStatement"


# ── races ─────────────────────────────────────────────────────────────────────


async def test_a_thousand_parallel_conditional_creates_make_one(client, post):
    body = orjson.dumps({"resourceType": "Patient", **NUMBER})
    only = {"If-None-Exist": CRITERIA, "Prefer": "return=minimal"}
    answers = await asyncio.gather(*(post("Patient", body, **only) for _ in range(1000)))
    assert sorted(answer.status_code for answer in answers) == [200] * 999 + [201]
    assert {answer.headers["location"] for answer in answers} == {answers[0].headers["location"]}
    assert (await client.get(f"/fhir/Patient?{CRITERIA}&_summary=count")).json()["total"] == 1


async def test_parallel_conditional_updates_make_one(client, put):
    body = orjson.dumps({"resourceType": "Patient", **NUMBER})
    answers = await asyncio.gather(*(put(f"Patient?{CRITERIA}", body) for _ in range(300)))
    assert sorted(answer.status_code for answer in answers) == [200] * 299 + [201]
    assert sorted(int(answer.headers["etag"][3:-1]) for answer in answers) == list(range(1, 301))
