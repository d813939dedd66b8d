"""Conditional requests and ``Prefer``."""

import pytest

P1 = {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "http://x", "value": "1"}]}
NEW = {name: value for name, value in P1.items() if name != "id"}
DATE = "Mon, 02 Mar 2026 01:12:00 GMT"


@pytest.fixture
async def p1(put):
    assert (await put("Patient/p1", P1)).status_code == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": 'W/"1"'}, 304),
        ({"If-None-Match": '"1"'}, 304),
        ({"If-None-Match": 'W/"7", W/"1"'}, 304),
        ({"If-None-Match": 'W/"2"'}, 200),
        ({"If-Modified-Since": DATE}, 304),
        ({"If-Modified-Since": "Mon, 02 Mar 2026 01:11:59 GMT"}, 200),
        ({"If-Modified-Since": "some day"}, 200),
        ({"If-None-Match": 'W/"2"', "If-Modified-Since": DATE}, 200),
    ],
)
async def test_conditional_read(client, p1, headers, status):
    answer = await client.get("/fhir/Patient/p1", headers=headers)
    assert answer.status_code == status
    assert answer.headers["etag"] == 'W/"1"'
    assert (answer.content == b"") == (status == 304)


async def test_if_match(put, p1):
    stale = await put("Patient/p1", P1, **{"If-Match": 'W/"7"'})
    assert (stale.status_code, stale.headers["etag"]) == (412, 'W/"1"')
    good = await put("Patient/p1", P1, **{"If-Match": 'W/"1"'})
    assert (good.status_code, good.headers["etag"]) == (200, 'W/"2"')


async def test_if_match_on_delete_and_patch(client, p1):
    wrong = {"If-Match": 'W/"7"', "Content-Type": "application/json-patch+json"}
    assert (await client.delete("/fhir/Patient/p1", headers=wrong)).status_code == 412
    assert (await client.patch("/fhir/Patient/p1", content=b"[]", headers=wrong)).status_code == 412
    assert (await client.delete("/fhir/Patient/p1", headers={"If-Match": 'W/"1"'})).status_code == 204


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
async def test_a_malformed_etag_is_refused(put, p1, header):
    answer = await put("Patient/p1", P1, **{header: "banana"})
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == [f"http.{header}"]


async def test_if_none_match_star_writes_only_what_is_new(put):
    assert (await put("Patient/p1", P1, **{"If-None-Match": "*"})).status_code == 201
    assert (await put("Patient/p1", P1, **{"If-None-Match": "*"})).status_code == 412


async def test_conditional_create(post, client):
    only = {"If-None-Exist": "identifier=http://x|1"}
    first, second = await post("Patient", NEW, **only), await post("Patient", NEW, **only)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    await post("Patient", NEW)
    several = await post("Patient", NEW, **only)
    assert several.status_code == 412
    assert several.json()["issue"][0]["code"] == "multiple-matches"


async def test_conditional_update(put, client):
    path = "Patient?identifier=http://x%7C1"
    first, second = await put(path, NEW), await put(path, NEW)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["etag"] == 'W/"2"'
    assert (await put("Patient", NEW)).status_code == 412


@pytest.mark.parametrize(
    ("prefer", "type"),
    [
        (None, "Patient"),
        ("return=representation", "Patient"),
        ("return=OperationOutcome", "OperationOutcome"),
        ("return=minimal", None),
    ],
)
async def test_prefer_return(post, prefer, type):
    answer = await post("Patient", NEW, **({"Prefer": prefer} if prefer else {}))
    assert answer.status_code == 201
    assert answer.headers["location"].endswith("/_history/1")
    assert answer.headers["content-length"] == str(len(answer.content))
    assert (answer.json()["resourceType"] if answer.content else None) == type


async def test_prefer_an_outcome_of_a_delete(client, p1):
    answer = await client.delete("/fhir/Patient/p1", headers={"Prefer": "return=OperationOutcome"})
    assert (answer.status_code, answer.headers["etag"]) == (200, 'W/"2"')
    assert answer.json()["issue"][0]["severity"] == "information"


async def test_prefer_handling(client):
    strict = await client.get("/fhir/Patient?banana=1", headers={"Prefer": "handling=strict"})
    lenient = await client.get("/fhir/Patient?banana=1", headers={"Prefer": "handling=lenient"})
    assert strict.status_code == 400
    assert lenient.status_code == 200
    assert lenient.json()["entry"][0]["search"]["mode"] == "outcome"
