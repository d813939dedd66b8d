"""XML in and out through the door: every interaction, every answer, errors too."""

import orjson
import pytest
from lxml import etree

XML = {"Content-Type": "application/fhir+xml"}
AS_XML = {"Accept": "application/fhir+xml"}
SENT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!-- from the HIS -->\n<Patient xmlns="http://hl7.org/fhir">\n'
    '  <id value="p1"/>\n  <name><family value="张"/></name>\n  <gender value="male"/>\n</Patient>'
).encode()
NAMES = {"f": "http://hl7.org/fhir"}


def values(answer, path):
    root = etree.fromstring(answer.content)
    return [str(item) for item in root.xpath(path, namespaces=NAMES)]


@pytest.fixture
async def p1(client):
    made = await client.put("/fhir/Patient/p1", content=SENT, headers=XML)
    assert made.status_code == 201
    return made


async def test_a_resource_sent_as_xml_is_kept_as_json(client, p1):
    assert p1.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert p1.json()["name"] == [{"family": "张"}]
    assert (await client.get("/fhir/Patient/p1")).json()["gender"] == "male"


@pytest.mark.parametrize(
    ("headers", "query", "kind"),
    [
        (AS_XML, "", "application/fhir+xml"),
        ({"Accept": "text/xml"}, "", "text/xml"),
        ({"Accept": "application/fhir+json;q=0.5, application/xml"}, "", "application/xml"),
        ({}, "?_format=xml", "application/fhir+xml"),
        ({"Accept": "application/fhir+json"}, "?_format=application/fhir+xml", "application/fhir+xml"),
    ],
)
async def test_a_read_as_xml(client, p1, headers, query, kind):
    answer = await client.get(f"/fhir/Patient/p1{query}", headers=headers)
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert answer.headers["etag"] == 'W/"1"'
    assert "accept" in answer.headers["vary"]
    assert values(answer, "//f:family/@value") == ["张"]
    head = await client.head(f"/fhir/Patient/p1{query}", headers={**headers, "Accept-Encoding": "identity"})
    assert (head.content, int(head.headers["content-length"])) == (b"", len(answer.content))


async def test_json_under_the_name_that_was_asked_for(client, p1):
    answer = await client.get("/fhir/Patient/p1", headers={"Accept": "application/json"})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json()["id"] == "p1"


async def test_pretty_xml_has_one_element_a_line_and_the_same_content(client, p1):
    plain = (await client.get("/fhir/Patient/p1?_format=xml")).content
    pretty = (await client.get("/fhir/Patient/p1?_format=xml&_pretty=true")).content
    assert b'\n  <id value="p1"/>\n' in pretty
    parser = etree.XMLParser(remove_blank_text=True)
    assert etree.tostring(etree.fromstring(pretty, parser)) == etree.tostring(etree.fromstring(plain))


INTERACTIONS = {
    "history of an instance": ("GET", "Patient/p1/_history", None, "Bundle"),
    "history of a type": ("GET", "Patient/_history", None, "Bundle"),
    "history of the system": ("GET", "_history", None, "Bundle"),
    "vread": ("GET", "Patient/p1/_history/1", None, "Patient"),
    "a search": ("GET", "Patient?name=张", None, "Bundle"),
    "a part": ("GET", "Patient/p1?_summary=true", None, "Patient"),
    "capabilities": ("GET", "metadata", None, "CapabilityStatement"),
    "an update": ("PUT", "Patient/p1", SENT, "Patient"),
    "a create": ("POST", "Patient", SENT, "Patient"),
    "an unknown id": ("GET", "Patient/none", None, "OperationOutcome"),
    "an unknown address": ("GET", "Patient/p1/name/0", None, "OperationOutcome"),
    "a wrong verb": ("DELETE", "metadata", None, "OperationOutcome"),
    "a bad parameter": ("GET", "Patient?banana=1", None, "OperationOutcome"),
    "a bad body": ("PUT", "Patient/p1", b"<Patient", "OperationOutcome"),
}


@pytest.mark.parametrize("what", INTERACTIONS)
async def test_everything_answers_in_xml(client, p1, what):
    method, path, body, root = INTERACTIONS[what]
    answer = await client.request(method, f"/fhir/{path}", content=body, headers={**XML, **AS_XML})
    assert answer.headers["content-type"] == "application/fhir+xml; charset=utf-8"
    assert etree.QName(etree.fromstring(answer.content)).localname == root


async def test_an_error_before_the_query_is_read_is_in_xml_too(anonymous):
    answer = await anonymous.get("/fhir/Patient/p1?_format=xml")
    assert answer.status_code == 401
    assert values(answer, "//f:issue/f:code/@value") == ["login"]


async def test_a_refused_format_is_told_in_json(client, p1):
    answer = await client.get("/fhir/Patient/p1", headers={"Accept": "text/turtle"})
    assert (answer.status_code, answer.json()["resourceType"]) == (406, "OperationOutcome")


async def test_a_search_by_form_may_name_its_format(client, p1):
    answer = await client.post("/fhir/Patient/_search", data={"_format": "xml", "gender": "male"})
    assert values(answer, "//f:entry//f:gender/@value") == ["male"]
    assert values(answer, "//f:link/f:url/@value")[0].endswith("/fhir/Patient?gender=male&_format=xml")


@pytest.mark.parametrize(
    ("prefer", "root"), [("return=OperationOutcome", "OperationOutcome"), ("return=minimal", None)]
)
async def test_prefer_in_xml(client, p1, prefer, root):
    answer = await client.put("/fhir/Patient/p1", content=SENT, headers={**XML, **AS_XML, "Prefer": prefer})
    found = etree.QName(etree.fromstring(answer.content)).localname if answer.content else None
    assert (answer.status_code, found) == (200, root)


async def test_a_transaction_in_xml(client):
    bundle = f"""<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/>
      <entry><fullUrl value="urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059"/>
        <resource>{SENT.decode().partition("-->")[2]}</resource>
        <request><method value="POST"/><url value="Patient"/></request></entry>
      <entry><resource><Observation><status value="final"/><code><text value="K"/></code>
        <subject><reference value="urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059"/></subject>
        <valueQuantity><value value="4.20"/></valueQuantity></Observation></resource>
        <request><method value="POST"/><url value="Observation"/></request></entry></Bundle>"""
    answer = await client.post("/fhir", content=bundle.encode(), headers={**XML, **AS_XML})
    assert values(answer, "//f:response/f:status/@value") == ["201 Created", "201 Created"]
    found = await client.get("/fhir/Observation?_format=xml")
    assert values(found, "//f:valueQuantity/f:value/@value") == ["4.20"]
    assert values(found, "//f:subject/f:reference/@value")[0].startswith("Patient/")


async def test_a_fhirpath_patch_in_xml(client, p1):
    patch = """<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>
      <part><name value="type"/><valueCode value="replace"/></part>
      <part><name value="path"/><valueString value="Patient.gender"/></part>
      <part><name value="value"/><valueCode value="female"/></part></parameter></Parameters>"""
    answer = await client.patch("/fhir/Patient/p1", content=patch, headers={**XML, **AS_XML})
    assert values(answer, "/f:Patient/f:gender/@value") == ["female"]


async def test_every_fault_of_an_xml_body_is_told_with_its_line(client):
    body = b'<Patient xmlns="http://hl7.org/fhir">\n<oops/>\n<gender/>\n</Patient>'
    answer = await client.post("/fhir/Patient", content=body, headers=XML)
    texts = [issue["details"]["text"] for issue in answer.json()["issue"]]
    assert answer.status_code == 400
    assert [text.partition(":")[0] for text in texts] == ["line 2", "line 3"]


async def test_a_large_answer_is_converted_whole(client, post):
    entries = [
        {
            "resource": {"resourceType": "Basic", "code": {"text": "x" * 200}},
            "request": {"method": "POST", "url": "Basic"},
        }
        for _ in range(300)
    ]
    assert (
        await post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    ).status_code == 200
    answer = await client.get("/fhir/Basic?_count=300&_format=xml")
    assert len(values(answer, "//f:Basic/f:id/@value")) == 300


async def test_what_xml_cannot_hold_is_refused_in_words(client, put):
    await put("Basic/b1", {"resourceType": "Basic", "id": "b1", "code": {"text": "a\ufffe"}})
    answer = await client.get("/fhir/Basic/b1?_format=xml")
    assert "U+FFFE" in values(answer, "//f:details/f:text/@value")[0]
    assert orjson.loads((await client.get("/fhir/Basic/b1")).content)["code"] == {"text": "a\ufffe"}


async def test_the_links_of_a_page_lead_to_pages_of_the_same_form(client, p1, post):
    await post("Patient")
    about = {"status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/p1"}}
    await post("Observation", {"resourceType": "Observation", **about})
    for path in ("Patient", "Patient/_history", "_history", "Patient/p1/$everything"):
        answer = await client.get(f"/fhir/{path}?_count=1&_format=xml&_pretty=true")
        (following,) = values(answer, "//f:link[f:relation/@value='next']/f:url/@value")
        page = await client.get(following)
        assert page.headers["content-type"] == "application/fhir+xml; charset=utf-8"
        assert len(values(page, "//f:entry/f:fullUrl/@value")) == 1
