from __future__ import annotations

import orjson
import pytest

from fhir_server.errors import InvalidContent
from fhir_server.model.bundle import (
    history_entry,
    make_bundle,
    plain_entry,
    read_entries,
    resources,
    response_entry,
    search_entry,
)

PATIENT = b'{"resourceType":"Patient","id":"1","x":1.00}'


def test_entries_keep_the_bytes_of_their_resources() -> None:
    raw = (
        b'{"resourceType":"Bundle","type":"transaction","entry":['
        b'{"fullUrl":"urn:uuid:1","resource": {"resourceType":"Observation", "value": 1.00} ,'
        b'"request":{"method":"POST","url":"Observation","ifNoneExist":"identifier=a|b"}},'
        b'{"request":{"method":"DELETE","url":"Patient/1","ifMatch":"W/\\"2\\""}},{"link":[]}]}'
    )
    first, second, third = read_entries(raw)
    assert first.full_url == "urn:uuid:1"
    assert first.content == b'{"resourceType":"Observation", "value": 1.00}'
    assert first.request is not None
    assert (first.request.method, first.request.url) == ("POST", "Observation")
    assert first.request.if_none_exist == "identifier=a|b"
    assert (second.content, second.full_url) == (b"", None)
    assert second.request is not None
    assert second.request.if_match == 'W/"2"'
    assert third.request is None


def test_a_bundle_without_entries_has_none() -> None:
    assert read_entries(b'{"resourceType":"Bundle","type":"batch"}') == ()


@pytest.mark.parametrize(
    "raw",
    [
        b'{"entry":{}}',
        b'{"entry":[1]}',
        b'{"entry":[{"request":{"url":"x"}}]}',
        b'{"entry":[{"fullUrl":1}]}',
        b"{",
    ],
)
def test_a_malformed_entry_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidContent, match="the Bundle cannot be read"):
        read_entries(raw)


def test_parsed_resources_come_in_order() -> None:
    bundle = {"entry": [{"resource": {"id": "1"}}, {"request": {}}, {"resource": {"id": "2"}}]}
    assert [item["id"] for item in resources(bundle)] == ["1", "2"]
    assert list(resources({})) == []


def test_a_searchset_holds_the_stored_bytes() -> None:
    raw = make_bundle(
        "searchset",
        [
            search_entry("http://x/fhir/Patient/1", PATIENT),
            search_entry("http://x/fhir/Patient/2", PATIENT, "include"),
            search_entry("http://x/fhir/Patient/3", PATIENT, score=0.5),
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
        "type": "searchset",
        "total": 7,
        "link": [
            {"relation": "self", "url": 'http://x/fhir/Patient?name="张"'},
            {"relation": "next", "url": "http://x/?page=2"},
        ],
        "entry": [
            {"fullUrl": f"http://x/fhir/Patient/{n}", "resource": orjson.loads(PATIENT), "search": search}
            for n, search in enumerate(
                ({"mode": "match"}, {"mode": "include"}, {"mode": "match", "score": 0.5}), start=1
            )
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
