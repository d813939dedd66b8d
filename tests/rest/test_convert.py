"""``$convert``: the same resource in the other format."""

import pytest

JSON = b'{"resourceType":"Observation","status":"final","code":{"text":"K"},"valueQuantity":{"value":1.00}}'
XML = (
    b'<?xml version="1.0" encoding="UTF-8"?><Observation xmlns="http://hl7.org/fhir"><status value="final"/><code>'
    b'<text value="K"/></code><valueQuantity><value value="1.00"/></valueQuantity></Observation>'
)
AS = {"json": "application/fhir+json", "xml": "application/fhir+xml"}
BODIES = {"json": JSON, "xml": XML}


@pytest.mark.parametrize("sent", AS)
@pytest.mark.parametrize("asked", AS)
async def test_a_resource_comes_back_in_the_format_that_is_asked_for(client, untouched, sent, asked):
    headers = {"Content-Type": AS[sent], "Accept": AS[asked]}
    answer = await client.post("/fhir/$convert", content=BODIES[sent], headers=headers)
    assert (answer.status_code, answer.content) == (200, BODIES[asked])
    assert answer.headers["content-type"].startswith(AS[asked])


async def test_it_may_stand_in_a_parameters(client):
    body = b'{"resourceType":"Parameters","parameter":[{"name":"input","resource":%b}]}' % JSON
    answer = await client.post(
        "/fhir/$convert?_format=xml", content=body, headers={"Content-Type": AS["json"]}
    )
    assert answer.content == XML


@pytest.mark.parametrize(
    ("kind", "body", "status", "place"),
    [
        ("json", b'{"resourceType":"Patient","gender":"banana","oops":1}', 422, "Patient.gender"),
        ("xml", XML.replace(b"<status", b"<oops/><status"), 400, "Observation.oops"),
        ("json", b'{"resourceType":"Parameters"}', 400, "Parameters.parameter"),
    ],
)
async def test_what_is_not_right_is_refused(client, untouched, kind, body, status, place):
    answer = await client.post("/fhir/$convert", content=body, headers={"Content-Type": AS[kind]})
    assert answer.status_code == status
    assert place in [item["expression"][0] for item in answer.json()["issue"]]
