from __future__ import annotations

import orjson

from fhir_server.model.bundle import (
    history_entry,
    make_bundle,
    plain_entry,
    response_entry,
)

PATIENT = b'{"resourceType":"Patient","id":"1","x":1.00}'


def test_a_collection_holds_the_stored_bytes() -> None:
    raw = make_bundle(
        "collection",
        [
            plain_entry("http://x/fhir/Patient/1", PATIENT),
            plain_entry("http://x/fhir/Patient/2", PATIENT),
            plain_entry("http://x/fhir/Patient/3", PATIENT),
        ],
        links=[("self", 'http://x/fhir/Patient?name="张"'), ("next", "http://x/?page=2")],
        total=7,
        id="b1",
        updated="2026-03-02T01:12:00.000Z",
    )
    assert raw.count(PATIENT) == 3
    assert orjson.loads(raw) == {
        "resourceType": "Bundle",
        "id": "b1",
        "meta": {"lastUpdated": "2026-03-02T01:12:00.000Z"},
        "type": "collection",
        "total": 7,
        "link": [
            {"relation": "self", "url": 'http://x/fhir/Patient?name="张"'},
            {"relation": "next", "url": "http://x/?page=2"},
        ],
        "entry": [
            {"fullUrl": f"http://x/fhir/Patient/{n}", "resource": orjson.loads(PATIENT)} for n in (1, 2, 3)
        ],
    }


def test_an_empty_searchset_has_no_entry_member_but_its_total() -> None:
    assert make_bundle("searchset", [], total=0) == b'{"resourceType":"Bundle","type":"searchset","total":0}'


def test_a_history_tells_method_and_version() -> None:
    change = {
        "method": "PUT",
        "url": "Patient/1",
        "status": "200",
        "etag": 'W/"2"',
        "updated": "2026-03-02T01:12:00.000Z",
    }
    gone = change | {"method": "DELETE", "status": "204"}
    raw = make_bundle(
        "history",
        [
            history_entry("http://x/Patient/1", PATIENT, **change),
            history_entry("http://x/Patient/1", b"", **gone),
        ],
    )
    first, second = orjson.loads(raw)["entry"]
    assert first["resource"] == orjson.loads(PATIENT)
    assert first["request"] == {"method": "PUT", "url": "Patient/1"}
    assert first["response"] == {"status": "200", "etag": 'W/"2"', "lastModified": "2026-03-02T01:12:00.000Z"}
    assert "resource" not in second
    assert second["request"]["method"] == "DELETE"


def test_a_response_entry_has_what_is_given() -> None:
    full = response_entry(
        "201 Created",
        location="Patient/1/_history/1",
        etag='W/"1"',
        updated="2026-03-02T01:12:00.000Z",
        content=PATIENT,
        outcome=b'{"resourceType":"OperationOutcome"}',
        full_url="http://x/Patient/1",
    )
    assert orjson.loads(full) == {
        "fullUrl": "http://x/Patient/1",
        "resource": orjson.loads(PATIENT),
        "response": {
            "status": "201 Created",
            "location": "Patient/1/_history/1",
            "etag": 'W/"1"',
            "lastModified": "2026-03-02T01:12:00.000Z",
            "outcome": {"resourceType": "OperationOutcome"},
        },
    }
    assert response_entry("204 No Content") == b'{"response":{"status":"204 No Content"}}'
    assert plain_entry("urn:uuid:1", PATIENT) == b'{"fullUrl":"urn:uuid:1","resource":%b}' % PATIENT
