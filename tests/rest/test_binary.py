"""Binary in its own media type. Source: FHIR R4 binary.html#rest."""

import base64

import pytest

from fhir_server.rest.binary import is_binary

PNG = bytes(range(256)) * 20
RESOURCE = {"Accept": "application/fhir+json"}


@pytest.fixture
async def kept(client):
    made = await client.put("/fhir/Binary/b1", content=PNG, headers={"Content-Type": "image/png"})
    assert made.status_code == 201
    return made


async def test_what_is_put_is_wrapped(client, kept):
    found = (await client.get("/fhir/Binary/b1", headers=RESOURCE)).json()
    assert (found["contentType"], base64.b64decode(found["data"])) == ("image/png", PNG)


@pytest.mark.parametrize("path", ["Binary/b1", "Binary/b1/_history/1"])
@pytest.mark.parametrize("accept", ["*/*", "image/png", "text/html, image/*;q=0.9, */*;q=0.1"])
async def test_a_read_gives_the_content(client, kept, path, accept):
    answer = await client.get(f"/fhir/{path}", headers={"Accept": accept})
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["etag"] == 'W/"1"'
    head = await client.head(f"/fhir/{path}", headers={"Accept": accept})
    assert (head.content, head.headers["content-length"]) == (b"", str(len(PNG)))


async def test_what_is_given_out_runs_nothing_in_a_browser(client):
    await client.put(
        "/fhir/Binary/b2", content=b"<script>", headers={"Content-Type": "text/html; charset=gbk"}
    )
    answer = await client.get("/fhir/Binary/b2")
    assert answer.headers["content-type"] == "text/html; charset=gbk"
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_fhir_is_given_to_who_asks_for_it(client, kept):
    assert (await client.get("/fhir/Binary/b1?_format=json")).json()["resourceType"] == "Binary"
    assert (await client.get("/fhir/Binary/b1?_format=xml")).text.count("<Binary ") == 1
    answer = await client.get("/fhir/Binary/b1", headers={"Accept": "application/fhir+xml"})
    assert b'<contentType value="image/png"/>' in answer.content
    assert (await client.get("/fhir/Binary/b1?_summary=true")).json()["contentType"] == "image/png"


async def test_another_type_is_refused_with_what_is_allowed(client, kept):
    answer = await client.get("/fhir/Binary/b1", headers={"Accept": "image/jpeg"})
    assert answer.status_code == 406
    assert "image/png" in answer.json()["issue"][0]["details"]["text"]


async def test_a_known_binary_is_not_sent_again(client, kept):
    answer = await client.get("/fhir/Binary/b1", headers={"If-None-Match": 'W/"1"'})
    assert (answer.status_code, answer.content) == (304, b"")


async def test_whose_rules_hold_is_kept_and_told(client):
    headers = {"Content-Type": "text/plain", "X-Security-Context": "Patient/1"}
    made = await client.post("/fhir/Binary", content=b"a", headers=headers)
    assert made.json()["securityContext"] == {"reference": "Patient/1"}
    answer = await client.get(f"/fhir/Binary/{made.json()['id']}")
    assert (answer.content, answer.headers["x-security-context"]) == (b"a", "Patient/1")


WHOLE = {
    "fhir+json": (
        "application/fhir+json",
        b'{"resourceType":"Binary","contentType":"text/plain","data":"YQ=="}',
    ),
    "json that is a Binary": (
        "application/json",
        b' {"resourceType" : "Binary","contentType":"text/plain","data":"YQ=="}',
    ),
    "fhir+xml": (
        "application/fhir+xml",
        b'<Binary xmlns="http://hl7.org/fhir"><contentType value="text/plain"/><data value="YQ=="/></Binary>',
    ),
    "xml that is a Binary": (
        "text/xml",
        b'<?xml version="1.0"?><!-- a --><Binary xmlns="http://hl7.org/fhir"><contentType value="text/plain"/>'
        b'<data value="YQ=="/></Binary>',
    ),
    "anything": ("text/plain", b"a"),
}


@pytest.mark.parametrize("what", WHOLE)
async def test_a_binary_may_come_as_a_resource(client, what):
    kind, body = WHOLE[what]
    made = await client.post("/fhir/Binary", content=body, headers={"Content-Type": kind})
    assert made.status_code == 201
    assert (made.json()["contentType"], made.json()["data"]) == ("text/plain", "YQ==")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"a":1}'),
        ("application/xml", b"<a/>"),
        ("application/pdf", b"%PDF"),
        ("a/b", b""),
    ],
)
async def test_json_and_xml_of_others_are_content_like_any_other(client, kind, body):
    made = await client.post("/fhir/Binary", content=body, headers={"Content-Type": kind})
    answer = await client.get(f"/fhir/Binary/{made.json()['id']}")
    assert (answer.content, answer.headers["content-type"]) == (body, kind)


def test_whether_a_body_is_a_binary_is_told_at_once():
    """Each of these would take minutes if what stands before the root were looked at again and again."""
    assert is_binary(b"<!----> <?a?>\n" * 50_000 + b'<f:Binary xmlns:f="http://hl7.org/fhir"/>')
    assert not is_binary(b"<!---->" * 50_000 + b"<Patient/>")
    assert not is_binary(b"<!--" * 50_000)


async def test_a_media_type_that_no_header_may_say_is_given_as_octets(client, put):
    await put("Binary/b3", {"resourceType": "Binary", "id": "b3", "contentType": "图 像", "data": "YQ=="})
    assert (await client.get("/fhir/Binary/b3")).headers["content-type"] == "application/octet-stream"


async def test_fhir_of_another_kind_is_no_binary(client):
    answer = await client.post(
        "/fhir/Binary",
        content=b'{"resourceType":"Patient"}',
        headers={"Content-Type": "application/fhir+json"},
    )
    assert answer.status_code == 400
