"""XML → JSON: what is kept, what is dropped, what is refused and where. Source: FHIR R4 xml.html."""

import pytest

from fhir_server.definitions import load_definitions
from fhir_server.errors import InvalidContent
from fhir_server.formats import from_xml
from fhir_server.formats.xml_faults import MOST_FAULTS

DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>张伟<br/> &amp; 李娜</p></div>'


@pytest.fixture(scope="module")
def definitions():
    return load_definitions()


@pytest.fixture
def read(definitions):
    return lambda xml: from_xml(definitions, xml.encode() if isinstance(xml, str) else xml).decode()


@pytest.fixture
def faults(read):
    def told(xml):
        with pytest.raises(InvalidContent) as refused:
            read(xml)
        return [(issue.expression, issue.text) for issue in refused.value.issues]

    return told


def patient(inside):
    return f'<Patient xmlns="http://hl7.org/fhir">{inside}</Patient>'


def observation(inside):
    return f'<Observation xmlns="http://hl7.org/fhir">{inside}</Observation>'


KEPT = {
    "a resource's id is an element, an element's an attribute": (
        '<id value="1"/><name id="n"><given value="伟"/></name>',
        '"id":"1","name":[{"id":"n","given":["伟"]}]',
    ),
    "an extension's url is an attribute": (
        '<extension url="http://x.org/a"><valueInteger value="3"/></extension>',
        '"extension":[{"url":"http://x.org/a","valueInteger":3}]',
    ),
    "a primitive's id and extensions stand in its twin": (
        '<birthDate id="b" value="1970-01-01"><extension url="u"><valueCode value="c"/></extension></birthDate>',
        '"birthDate":"1970-01-01","_birthDate":{"id":"b","extension":[{"url":"u","valueCode":"c"}]}',
    ),
    "an extension alone is enough": (
        '<birthDate><extension url="u"><valueCode value="c"/></extension></birthDate>',
        '"_birthDate":{"extension":[{"url":"u","valueCode":"c"}]}',
    ),
    "values and twins keep step": (
        '<name><given value="a"/><given id="2"><extension url="u"><valueBoolean value="true"/></extension></given>'
        '<given value="c"/></name>',
        '"name":[{"given":["a",null,"c"],"_given":[null,{"id":"2","extension":[{"url":"u","valueBoolean":true}]},'
        "null]}]",
    ),
    "an element that may repeat is an array even when it stands once": (
        '<address><line value="l"/><city value="c"/></address>',
        '"address":[{"line":["l"],"city":"c"}]',
    ),
    "a contained resource is written without its wrapper": (
        '<contained><Organization><id value="o"/></Organization></contained>',
        '"contained":[{"resourceType":"Organization","id":"o"}]',
    ),
    "comments, instructions and a schema location are dropped": (
        '<!-- secret --><?x y?><active xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" value="true"/>',
        '"active":true',
    ),
    "white space inside a value is kept when it is escaped": (
        '<name><text value="a&#10;b&#9;c &lt;&quot;&gt;"/></name>',
        '"name":[{"text":"a\\nb\\tc <\\"\u003e"}]',
    ),
    "CDATA is text of the narrative": (
        '<text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><![CDATA[a<b]]></div></text>',
        '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">a&lt;b</div>"}',
    ),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_xml_means_in_json(read, what):
    inside, json = KEPT[what]
    assert read(patient(inside)) == '{"resourceType":"Patient",' + json + "}"


@pytest.mark.parametrize("number", ["1.00", "1e2", "-0", "0.10", "1E-5", "123456789012345678901234567890.5"])
def test_a_decimal_keeps_its_text(read, number):
    found = read(observation(f'<valueQuantity><value value="{number}"/></valueQuantity>'))
    assert found == f'{{"resourceType":"Observation","valueQuantity":{{"value":{number}}}}}'


def test_the_narrative_is_kept_without_prefixes_of_the_document(read):
    xml = patient(f'<text><status value="generated"/>{DIV}</text>').replace(
        "<Patient ", '<Patient xmlns:h="urn:other" '
    )
    assert read(xml).endswith(f'"div":{_json(DIV)}}}}}')


def _json(text):
    return '"' + text.replace('"', '\\"') + '"'


def test_a_prefix_may_stand_for_the_namespace(read):
    xml = '<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="false"/></f:Patient>'
    assert read(xml) == '{"resourceType":"Patient","active":false}'


def test_resources_stand_in_bundles_and_parameters(read):
    bundle = (
        '<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><resource><Patient><id value="1"/>'
        "</Patient></resource></entry></Bundle>"
    )
    assert read(bundle).endswith('"entry":[{"resource":{"resourceType":"Patient","id":"1"}}]}')
    parameters = (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="a"/><resource><Patient/></resource>'
        '</parameter><parameter><name value="b"/><part><name value="c"/><valueDecimal value="1.0"/></part>'
        "</parameter></Parameters>"
    )
    assert read(parameters) == (
        '{"resourceType":"Parameters","parameter":[{"name":"a","resource":{"resourceType":"Patient"}},'
        '{"name":"b","part":[{"name":"c","valueDecimal":1.0}]}]}'
    )


REFUSED = {
    "unknown": (patient("<nme/>"), "Patient.nme", "no element that Patient has"),
    "in another namespace": (patient('<active xmlns="urn:x" value="true"/>'), "Patient.active", "urn:x"),
    "no namespace": ("<Patient/>", "Patient", "is no resource of R4"),
    "an unknown resource": (patient("").replace("Patient", "Patients"), "Patients", "is no resource of R4"),
    "out of order": (
        patient('<birthDate value="1970"/><gender value="male"/>'),
        "Patient.gender",
        "stands too late",
    ),
    "torn apart": (
        patient('<name><text value="a"/></name><active value="true"/><name><text value="b"/></name>'),
        "Patient.active",
        "stands too late",
    ),
    "once too often": (
        patient('<birthDate value="1970"/><birthDate value="1971"/>'),
        "Patient.birthDate[1]",
        "only once",
    ),
    "an object once too often": (
        patient(
            '<maritalStatus><text value="a"/></maritalStatus><maritalStatus><text value="b"/></maritalStatus>'
        ),
        "Patient.maritalStatus[1]",
        "only once",
    ),
    "without value": (patient("<birthDate/>"), "Patient.birthDate", "neither a value nor an extension"),
    "with an empty value": (patient('<birthDate value=""/>'), "Patient.birthDate", "empty value"),
    "without children": (patient("<name/>"), "Patient.name", "is empty"),
    "text in a resource": (patient("male"), "Patient", "text between"),
    "text in a primitive": (patient("<gender>male</gender>"), "Patient.gender", "text between"),
    "text after an element": (patient('<gender value="male"/>x'), "Patient", "text between"),
    "a strange attribute": (patient('<gender code="male" value="male"/>'), "Patient.gender", "'code'"),
    "an attribute of a resource": (patient("").replace(" ", ' id="1" ', 1), "Patient", "'id'"),
    "an empty attribute": (patient('<name id=""><text value="a"/></name>'), "Patient.name", "attribute id"),
    "no boolean": (patient('<active value="1"/>'), "Patient.active", "true or false"),
    "no number": (patient('<multipleBirthInteger value="two"/>'), "Patient.multipleBirthInteger", "a number"),
    "no JSON number": (observation('<valueInteger value="+5"/>'), "Observation.valueInteger", "a number"),
    "no resource inside": (patient("<contained/>"), "Patient.contained", "one resource"),
    "two resources inside": (
        patient("<contained><Patient/><Patient/></contained>"),
        "Patient.contained",
        "one resource",
    ),
    "a narrative in FHIR's namespace": (
        patient('<text><status value="generated"/><div>a</div></text>'),
        "Patient.text.div",
        "no element",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_and_where(faults, what):
    xml, path, text = REFUSED[what]
    assert any(place == path and text in told and "line 1: " in told for place, told in faults(xml)), faults(
        xml
    )


def test_every_fault_is_told_at_once_with_its_line_and_place(faults):
    found = faults(
        patient(
            '\n<name><given value="a"/></name>\n<name><given value=""/></name>\n<oops/>\n<deceasedBoolean value="x"/>\n'
            "<contained><Patient><gender/></Patient></contained>"
        )
    )
    assert [place for place, _ in found] == [
        "Patient.name[1].given",
        "Patient.oops",
        "Patient.deceasedBoolean",
        "Patient.contained",
        "Patient.contained.gender",
    ]
    assert [text.split(":")[0] for _, text in found] == ["line 3", "line 4", "line 5", "line 6", "line 6"]


def test_no_more_faults_are_told_than_anyone_reads(faults):
    assert len(faults(patient("<oops/>" * 500))) == MOST_FAULTS


BROKEN = {
    "not closed": (b"<Patient xmlns='http://hl7.org/fhir'><name>", "not well-formed"),
    "nothing": (b"", "not well-formed"),
    "JSON": (b'{"resourceType":"Patient"}', "not well-formed"),
    "a document type": (b'<!DOCTYPE a [<!ENTITY x "y">]><Patient xmlns="http://hl7.org/fhir"/>', "DOCTYPE"),
    "an entity of HTML": (patient("&nbsp;").encode(), "nbsp"),
    "GB18030": (b'<?xml version="1.0" encoding="GB18030"?>' + patient("").encode(), "another encoding"),
    "no UTF-8": (patient('<id value="张"/>').encode("gbk"), "not UTF-8: byte"),
    "UTF-16": (patient("").encode("utf-16"), "UTF-8"),
    "too deep": (patient("<extension url='a'>" * 200 + "</extension>" * 200).encode(), "inside each other"),
    "much too deep": (
        patient("<extension url='a'>" * 9000 + "</extension>" * 9000).encode(),
        "inside each other",
    ),
    "a very long value": (patient(f'<id value="{"a" * 11_000_000}"/>').encode(), "10 MB"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_documents_are_refused(faults, what):
    xml, text = BROKEN[what]
    assert text.lower() in faults(xml)[0][1].lower()


def test_a_byte_order_mark_is_no_fault(read):
    assert read(b"\xef\xbb\xbf" + patient("<active value='true'/>").encode()).endswith('"active":true}')


def test_a_document_that_would_fill_the_memory_is_refused(faults, monkeypatch):
    monkeypatch.setattr("fhir_server.formats.xml_parsing.MOST_TAGS", 10)
    assert "more than 10 tags" in faults(patient("<a/>" * 9))[0][1]
