"""JSON → XML: order, attributes, twins, escapes. Source: FHIR R4 xml.html, json.html#xml."""

import pytest

from fhir_server.definitions import load_definitions
from fhir_server.errors import InvalidContent
from fhir_server.formats import from_xml, to_xml

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


@pytest.fixture(scope="module")
def definitions():
    return load_definitions()


@pytest.fixture
def write(definitions):
    return lambda json: to_xml(definitions, json.encode()).decode().removeprefix(HEAD)


def patient(inside):
    return f'<Patient xmlns="http://hl7.org/fhir">{inside}</Patient>'


WRITTEN = {
    "the standard's order, whatever JSON's is": (
        '{"birthDate":"1970","gender":"male","id":"1","resourceType":"Patient"}',
        '<id value="1"/><gender value="male"/><birthDate value="1970"/>',
    ),
    "ids and urls as attributes": (
        '{"resourceType":"Patient","extension":[{"valueString":"a","id":"e","url":"u"}]}',
        '<extension id="e" url="u"><valueString value="a"/></extension>',
    ),
    "a twin inside its element": (
        '{"resourceType":"Patient","_birthDate":{"id":"b","extension":[{"url":"u","valueCode":"c"}]},"birthDate":"1970"}',
        '<birthDate id="b" value="1970"><extension url="u"><valueCode value="c"/></extension></birthDate>',
    ),
    "a twin alone": (
        '{"resourceType":"Patient","_birthDate":{"extension":[{"url":"u","valueCode":"c"}]}}',
        '<birthDate><extension url="u"><valueCode value="c"/></extension></birthDate>',
    ),
    "twins in step": (
        '{"resourceType":"Patient","name":[{"given":["a",null],"_given":[null,{"id":"x","extension":[{"url":"u"}]}]}]}',
        '<name><given value="a"/><given id="x"><extension url="u"></extension></given></name>',
    ),
    "twins alone": (
        '{"resourceType":"Patient","name":[{"_given":[{"id":"1"},{"id":"2"}]}]}',
        '<name><given id="1"/><given id="2"/></name>',
    ),
    "an id as the only extra": (
        '{"resourceType":"Patient","gender":"male","_gender":{"id":"g"}}',
        '<gender id="g" value="male"/>',
    ),
    "what would break an attribute": (
        '{"resourceType":"Patient","name":[{"text":"a<b>&\\"\\n\\t\\r张𠮷"}]}',
        '<name><text value="a&lt;b&gt;&amp;&quot;&#10;&#9;&#13;张𠮷"/></name>',
    ),
    "booleans and whole numbers": (
        '{"resourceType":"Patient","active":true,"deceasedBoolean":false,"multipleBirthInteger":2}',
        '<active value="true"/><deceasedBoolean value="false"/><multipleBirthInteger value="2"/>',
    ),
    "contained resources": (
        '{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o"}]}',
        '<contained><Organization><id value="o"/></Organization></contained>',
    ),
}


@pytest.mark.parametrize("what", WRITTEN)
def test_how_json_is_written(write, what):
    json, inside = WRITTEN[what]
    assert write(json) == patient(inside)


@pytest.mark.parametrize("number", ["1.00", "1e2", "-0", "0.10", "1E-5", "123456789012345678901234567890.5"])
def test_a_number_keeps_its_text(write, number):
    xml = write(f'{{"resourceType":"Observation","valueQuantity":{{"value":{number}}}}}')
    assert f'<value value="{number}"/>' in xml


@pytest.mark.parametrize("narrative", ["<p>a</p>", "<div>a</div>", "<div", "<!DOCTYPE a><div/>", "x"])
def test_what_is_no_narrative_never_reaches_the_document(write, narrative):
    with pytest.raises(InvalidContent, match="narrative"):
        write(f'{{"resourceType":"Patient","text":{{"status":"generated","div":"{narrative}"}}}}')


@pytest.mark.parametrize(
    "json",
    [
        '{"resourceType":"Patient","oops":1}',
        '{"resourceType":"Oops"}',
        '{"resourceType":"Patient","name":"a"}',
        '{"resourceType":"Patient","gender":{"a":1}}',
        '{"resourceType":"Patient","gender":["\\"/><evil x=\\""]}',
        '{"resourceType":"Patient","contained":[1]}',
        '{"resourceType":"Patient","name":[{"text":"\\ufffe"}]}',
    ],
)
def test_what_has_no_form_in_xml_is_refused(write, json):
    with pytest.raises(InvalidContent, match="cannot be written as XML"):
        write(json)


def test_a_quote_in_the_place_of_a_number_cannot_break_out(write):
    xml = write('{"resourceType":"Patient","multipleBirthInteger":"1\\"><evil/>"}')
    assert xml == patient('<multipleBirthInteger value="1&quot;&gt;&lt;evil/&gt;"/>')


def test_a_narrative_comes_back_as_it_was(definitions):
    div = '<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p>张 &amp; <b title=\\"a\\">b</b>\\n</p></div>'
    json = f'{{"resourceType":"Patient","text":{{"status":"generated","div":"{div}"}}}}'
    assert from_xml(definitions, to_xml(definitions, json.encode())).decode() == json
