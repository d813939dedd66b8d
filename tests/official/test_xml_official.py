"""JSON ↔ XML of all official examples. Both packs are public builds of R4's examples, the XML one the source form.

XML is compared as C14N without comments and without white space between FHIR's elements; JSON exactly, numbers as
text, the narrative as C14N. Where the two builds say different things is listed below, by name and with the reason.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree

from fhir_server.definitions import load_definitions
from fhir_server.formats import from_xml, to_xml
from fhir_server.formats.xml_fields import DIV
from fhir_server.model.exact import ExactNumber, loads_exact

EXPONENT = "the JSON build writes these decimals in another notation than the XML source"
REFERENCE = "the XML source names another reference than the JSON build"
DIFFERENT = {
    "claim-example-oral-contained-identifier.xml": REFERENCE,
    "claim-example-vision-glasses.xml": REFERENCE,
    "claimresponse-example.xml": REFERENCE,
    "contract-example.xml": "the XML source names another content type than the JSON build",
    "coverageeligibilityresponse-example-benefits-2.xml": REFERENCE,
    "coverageeligibilityresponse-example-benefits.xml": REFERENCE,
    "deviceusestatement-example.xml": REFERENCE,
    "document-example-dischargesummary.xml": "the XML source names another format of the signature",
    "enrollmentresponse-example.xml": REFERENCE,
    "library-fhir-model-definition.xml": "the JSON build holds the library's content, the XML source does not",
    "medicationrequest0301.xml": REFERENCE,
    "observation-decimal.xml": EXPONENT,
    "observation-example-clinical-gender.xml": REFERENCE,
    "paymentreconciliation-example.xml": REFERENCE,
}
"""XML file → why its content is not that of the JSON of the same type and id."""
MADE_BY_THE_BUILD = {"text", "meta"}
"""The JSON build adds narratives and takes away ``meta.security`` of test data, so these are not compared across."""


@pytest.fixture(scope="module")
def definitions():
    return load_definitions()


@pytest.fixture(scope="module")
def examples(shared):
    """The official examples: name → bytes, as JSON and as XML."""
    return read_pack(shared, "r4-examples", ".json"), read_pack(shared, "r4-examples-xml", ".xml")


def read_pack(shared: Path, pack: str, suffix: str) -> dict[str, bytes]:
    file = shared / "data" / f"{pack}.tar.xz"
    if not file.exists():
        pytest.skip(f"{file.name} is not there")
    with tarfile.open(file, "r:xz") as archive:
        return {
            "/".join(Path(member.name).parts[-2:]): archive.extractfile(member).read()
            for member in archive
            if member.isfile() and member.name.endswith(suffix)
        }


def canonical_xml(raw: bytes | str) -> bytes:
    parser = etree.XMLParser(remove_comments=True, remove_pis=True, resolve_entities=False)
    root = etree.fromstring(raw, parser)
    strip(root)
    return etree.tostring(root, method="c14n")


def strip(element) -> None:
    """Take away white space between FHIR's elements; other text and that of the narrative stays."""
    if element.tag == DIV:
        return
    if not (element.text or "").strip():
        element.text = None
    for child in element:
        strip(child)
        if not (child.tail or "").strip():
            child.tail = None


def canonical_json(raw: bytes, *, without=frozenset()):
    def canon(value, name=""):
        if isinstance(value, dict):
            left = without if "resourceType" in value else frozenset()
            return {name: canon(item, name) for name, item in value.items() if name not in left}
        if isinstance(value, list):
            return [canon(item, name) for item in value]
        if name == "div" and isinstance(value, str) and value.startswith("<div"):
            return canonical_xml(value)
        return value.text if isinstance(value, ExactNumber) else value

    return canon(loads_exact(raw))


def test_the_comparisons_notice_a_planted_error():
    one, other = b'<a xmlns="urn:u"> <b value="1"/></a>', b'<a xmlns="urn:u"><b value="1.0"/></a>'
    assert canonical_xml(one) != canonical_xml(other)
    assert canonical_xml(one) == canonical_xml(b"<!-- c --><a xmlns='urn:u'><b  value='1' /></a>")
    assert canonical_xml(b"<a>text</a>") != canonical_xml(b"<a/>")
    assert canonical_json(b'{"a":1.0}') != canonical_json(b'{"a":1.00}')
    assert canonical_json(b'{"a":[1,2]}') != canonical_json(b'{"a":[2,1]}')
    div = b'{"div":"<div xmlns=\'http://www.w3.org/1999/xhtml\'>%b</div>"}'
    assert canonical_json(div % b"<b></b>") == canonical_json(div % b"<b/>")
    assert canonical_json(div % b"<b> </b>") != canonical_json(div % b"<b/>")


def test_every_json_example_comes_back_from_xml_as_it_was(definitions, examples):
    sources, _ = examples
    changed = [
        name
        for name, raw in sources.items()
        if canonical_json(from_xml(definitions, to_xml(definitions, raw))) != canonical_json(raw)
    ]
    assert (changed, len(sources) >= 579) == ([], True)


def test_every_xml_example_comes_back_from_json_as_it_was(definitions, examples):
    _, sources = examples
    changed = [
        name
        for name, raw in sources.items()
        if canonical_xml(to_xml(definitions, from_xml(definitions, raw))) != canonical_xml(raw)
    ]
    assert (changed, len(sources) >= 860) == ([], True)


def pairs(definitions, examples):
    """(XML file, JSON made of it, official JSON) of each example that is in both packs under one type and id."""
    sources, documents = examples
    official = {key(loads_exact(raw)): raw for raw in sources.values()}
    made = {name: from_xml(definitions, raw) for name, raw in documents.items()}
    keys = {name: key(loads_exact(raw)) for name, raw in made.items()}
    seen = Counter(keys.values())
    for name, raw in made.items():
        if keys[name] in official and seen[keys[name]] == 1:
            yield name.rpartition("/")[2], raw, official[keys[name]]


def key(resource):
    return resource["resourceType"], resource.get("id")


def test_the_official_xml_gives_the_official_json_and_back(definitions, examples):
    different, compared = set(), 0
    for name, made, official in pairs(definitions, examples):
        compared += 1
        ours, theirs = (canonical_json(raw, without=MADE_BY_THE_BUILD) for raw in (made, official))
        if ours != theirs:
            different.add(name)
    assert compared >= 570
    assert different == DIFFERENT.keys()


@pytest.fixture(scope="module")
def schema(shared):
    """R4's own XML schema of all resources."""
    file = shared / "data" / "r4-definitions.tar.xz"
    if not file.exists():
        pytest.skip(f"{file.name} is not there")
    return file


def test_what_we_write_is_valid_by_the_official_schema(definitions, examples, schema, tmp_path):
    with tarfile.open(schema, "r:xz") as archive:
        for member in archive:
            if "/schema/xsd/" in member.name and member.isfile():
                (tmp_path / Path(member.name).name).write_bytes(archive.extractfile(member).read())
    check = etree.XMLSchema(etree.parse(tmp_path / "fhir-single.xsd"))
    planted = b'<Patient xmlns="http://hl7.org/fhir"><gender value="male"/><active value="true"/></Patient>'
    assert not check.validate(etree.fromstring(planted))
    sources, _ = examples
    invalid = {
        name: str(check.error_log.last_error)
        for name, raw in sources.items()
        if not check.validate(etree.fromstring(to_xml(definitions, raw)))
    }
    assert list(invalid) == ["Questionnaire/qs1.json"]  # items without their required linkId
    assert "linkId" in invalid["Questionnaire/qs1.json"]
