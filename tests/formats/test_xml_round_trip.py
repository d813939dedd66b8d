"""Random resources, made from the definitions, survive JSON → XML → JSON; broken XML is refused, never a crash."""

from __future__ import annotations

from xml.sax.saxutils import escape

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from fhir_server.definitions import load_definitions
from fhir_server.errors import InvalidContent
from fhir_server.formats import from_xml, to_xml
from fhir_server.formats.xml_fields import FHIR, Form, fields
from fhir_server.model.exact import ExactNumber, dumps_exact, loads_exact

DEFINITIONS = load_definitions()
TYPES = sorted(DEFINITIONS.resource_types)
CHARACTERS = st.characters(
    exclude_categories=["Cs", "Cc"], include_characters="\t\n\r", exclude_characters="\ufffe\uffff"
)
TEXTS = st.text(CHARACTERS, min_size=1, max_size=12).filter(lambda text: not text.isspace())
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True).map(
    ExactNumber
)
WHOLE = st.integers(0, 2**31 - 1)
VALUES = {
    "boolean": st.booleans(),
    "decimal": NUMBERS,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "positiveInt": WHOLE,
    "unsignedInt": WHOLE,
    "xhtml": TEXTS.map(
        lambda text: (
            f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{escape(text, {chr(13): "&#13;"})}<br/></p></div>'
        )
    ),
}


@st.composite
def objects(draw, path, depth):
    """Some members of ``path``, in any order, at most one for each choice."""
    table = fields(DEFINITIONS, path)
    able = [field for field in table.values() if depth > 0 or field.form in {Form.PRIMITIVE, Form.ATTRIBUTE}]
    chosen = draw(st.lists(st.sampled_from(able), min_size=1, max_size=4, unique_by=lambda field: field.rank))
    node = {}
    for field in chosen:
        node.update(draw(members(field, depth)))
    return node


@st.composite
def resources(draw, depth, kinds=TYPES):
    kind = draw(st.sampled_from(kinds))
    return {"resourceType": kind, **draw(objects(kind, depth))}


def members(field, depth):
    if field.form is Form.PRIMITIVE:
        return primitives(field)
    if field.form is Form.RESOURCE:
        value = resources(depth - 1)
    elif field.form is Form.COMPLEX:
        value = objects(field.path, depth - 1)
    else:
        value = VALUES.get(field.type, TEXTS)
    values = st.lists(value, min_size=1, max_size=2) if field.is_list else value
    return values.map(lambda found: {field.name: found})


EXTRAS = st.fixed_dictionaries(
    {"extension": st.just([{"url": "http://x.org/a", "valueString": "b"}])}, optional={"id": st.just("i1")}
)


@st.composite
def primitives(draw, field):
    """A value, extensions, or both; in a list, values and extensions keep step."""
    value = VALUES.get(field.type, TEXTS)
    one = st.tuples(value, st.none() | EXTRAS) | st.tuples(st.none(), EXTRAS)
    found = draw(st.lists(one, min_size=1, max_size=3)) if field.is_list else [draw(one)]
    columns = {field.name: [item[0] for item in found], "_" + field.name: [item[1] for item in found]}
    kept = {name: column for name, column in columns.items() if any(item is not None for item in column)}
    return kept if field.is_list else {name: column[0] for name, column in kept.items()}


def text_of(value):
    """``value`` with every number as it is written, so that 1.0 is not 1.00."""
    if isinstance(value, dict):
        return {name: text_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [text_of(item) for item in value]
    return value.text if isinstance(value, ExactNumber) else value


def test_the_comparison_notices_a_planted_error():
    assert text_of(loads_exact('{"a":[1.0]}')) != text_of(loads_exact('{"a":[1.00]}'))
    assert text_of(loads_exact('{"a":1,"b":"2"}')) == text_of(loads_exact('{"b":"2","a":1}'))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(resources(3))
def test_a_resource_comes_back_from_xml_as_it_was(resource):
    json = dumps_exact(resource)
    xml = to_xml(DEFINITIONS, json)
    assert text_of(loads_exact(from_xml(DEFINITIONS, xml))) == text_of(loads_exact(json))
    assert etree.fromstring(xml).tag == f"{{{FHIR}}}{resource['resourceType']}"


SAMPLE = to_xml(
    DEFINITIONS,
    b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Observation","status":"final",'
    b'"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">a<br/>b</div>"},'
    b'"_issued":{"extension":[{"url":"u","valueDecimal":1.0}]},"contained":[{"resourceType":"Patient","id":"p"}]}}]}',
)
PIECES = [
    b"<",
    b">",
    b"/",
    b'"',
    b"&",
    b"&#0;",
    b"<!--",
    b"<?a b?>",
    b"]]>",
    b"<![CDATA[",
    b"\xff",
    b" xmlns=''",
    b"<a/>",
]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SAMPLE)), st.integers(0, 40), st.sampled_from(PIECES) | st.binary(max_size=4))
def test_spoilt_xml_is_read_or_refused_in_words(place, length, piece):
    spoilt = SAMPLE[:place] + piece + SAMPLE[place + length :]
    try:
        json = from_xml(DEFINITIONS, spoilt)
    except InvalidContent as error:
        assert all(issue.text for issue in error.issues)
    else:
        assert orjson.loads(json)["resourceType"] == "Bundle"


@pytest.mark.parametrize("kind", TYPES)
def test_every_member_of_every_type_has_its_form(kind):
    """Each member by itself, so that none is left to chance: a list is a list again, a number a number."""
    for field in fields(DEFINITIONS, kind).values():
        value = {
            Form.PRIMITIVE: SAMPLES.get(field.type, "a"),
            Form.COMPLEX: {"id": "x"},
            Form.RESOURCE: {"resourceType": "Basic", "id": "b"},
        }[field.form]
        json = {"resourceType": kind, field.name: [value] if field.is_list else value}
        assert orjson.loads(from_xml(DEFINITIONS, to_xml(DEFINITIONS, orjson.dumps(json)))) == json


SAMPLES = {"boolean": True, "decimal": 1.5, "integer": 1, "positiveInt": 1, "unsignedInt": 0}
