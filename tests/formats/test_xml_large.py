"""Large Bundles are read and written entry by entry; the content and the faults are the same."""

import orjson
import pytest

from fhir_server.definitions import load_definitions
from fhir_server.errors import InvalidContent
from fhir_server.formats import from_xml, to_xml

DEFINITIONS = load_definitions()
INNER = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [{"resource": {"resourceType": "Basic", "id": "inner"}}],
}
BUNDLE = {
    "resourceType": "Bundle",
    "id": "b",
    "type": "batch",
    "link": [{"relation": "self", "url": "http://x.org"}],
    "entry": [
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Patient", "name": [{"family": "张"}]}},
        {"resource": INNER, "request": {"method": "POST", "url": "Bundle"}},
        {"resource": {"resourceType": "List", "entry": [{"item": {"display": "a"}}]}},
    ],
    "signature": {"who": {"display": "w"}},
}


@pytest.fixture(autouse=True, params=[1, 7, 100_000])
def entry_by_entry(request, monkeypatch):
    monkeypatch.setattr("fhir_server.formats.xml_parsing.LARGE", 0)
    monkeypatch.setattr("fhir_server.formats.xml_parsing.PIECE", request.param)
    monkeypatch.setattr("fhir_server.formats.xml_writer.LARGE", 0)


@pytest.mark.parametrize(
    "resource", [BUNDLE, INNER, {"resourceType": "Patient", "id": "p"}, {"resourceType": "Bundle"}]
)
def test_the_content_is_the_same(resource):
    json = orjson.dumps(resource)
    assert orjson.loads(from_xml(DEFINITIONS, to_xml(DEFINITIONS, json))) == resource


def test_faults_keep_their_place():
    xml = (
        to_xml(DEFINITIONS, orjson.dumps(BUNDLE))
        .replace(b"<family", b"<oops/><family")
        .replace(b"inner", b"")
    )
    with pytest.raises(InvalidContent) as refused:
        from_xml(DEFINITIONS, xml)
    assert [issue.expression for issue in refused.value.issues] == [
        "Bundle.entry[0].resource.name.oops",
        "Bundle.entry[1].resource.entry[0].resource.id",
    ]


def test_order_is_still_asked_for():
    xml = to_xml(DEFINITIONS, orjson.dumps(BUNDLE)).replace(b'<type value="batch"/>', b"")
    with pytest.raises(InvalidContent, match=r"Bundle\.type stands too late"):
        from_xml(DEFINITIONS, xml.replace(b"<signature>", b'<type value="batch"/><signature>'))


@pytest.mark.parametrize(
    "xml",
    [
        b'<entry xmlns="http://hl7.org/fhir"/>',
        b'<Bundle xmlns="http://hl7.org/fhir"><entry>',
        b"<a><entry/></a>",
        b"<",
    ],
)
def test_what_is_no_bundle_is_refused(xml):
    with pytest.raises(InvalidContent):
        from_xml(DEFINITIONS, xml)


def test_what_is_no_bundle_is_not_written():
    for json in (
        b'{"resourceType":"Bundle","entry":{"a":1}}',
        b'{"resourceType":"Bundle","entry":[1]}',
        b"[]",
    ):
        with pytest.raises(InvalidContent):
            to_xml(DEFINITIONS, json)
