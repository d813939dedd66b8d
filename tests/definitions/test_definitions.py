from __future__ import annotations

import re
import time

import pytest

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.definitions.types import Element, ElementType


def test_r4_has_146_resource_types_and_209_types(definitions: Definitions) -> None:
    assert len(definitions.resource_types) == 146
    assert len(definitions.types) == 209
    assert {"Patient", "Bundle", "Binary", "Parameters"} <= definitions.resource_types
    assert definitions.resource_types.isdisjoint({"Resource", "DomainResource"})
    assert definitions.version == "4.0.1"


def test_unknown_type_is_a_key_error(definitions: Definitions) -> None:
    with pytest.raises(KeyError):
        definitions.type("Patientt")
    assert "Patientt" not in definitions.types


def test_an_element_tells_its_cardinality_types_binding_and_flags(definitions: Definitions) -> None:
    elements = definitions.type("Observation").elements
    status = elements["Observation.status"]
    assert (status.min, status.max, status.is_list, status.is_choice) == (1, 1, False, False)
    assert status.types == (ElementType("code"),)
    assert status.binding is not None
    assert status.binding.strength == "required"
    assert status.binding.value_set == "http://hl7.org/fhir/ValueSet/observation-status"
    assert status.is_modifier
    assert status.is_summary
    subject = elements["Observation.subject"]
    assert subject.types == (ElementType("Reference", ("Patient", "Group", "Device", "Location")),)
    assert elements["Observation.category"].is_list
    assert elements["Observation.value[x]"].is_choice
    assert elements["Observation.referenceRange.low"].types == (
        ElementType("Quantity", (), ("SimpleQuantity",)),
    )


def test_a_reference_to_any_resource_has_no_targets(definitions: Definitions) -> None:
    focus = definitions.type("Observation").elements["Observation.focus"]
    assert focus.types == (ElementType("Reference"),)


def test_elements_stand_in_the_order_of_the_standard(definitions: Definitions) -> None:
    paths = list(definitions.type("Period").elements)
    assert paths == ["Period", "Period.id", "Period.extension", "Period.start", "Period.end"]


def test_an_element_has_its_own_invariants_only(definitions: Definitions) -> None:
    def keys(element: Element) -> list[str]:
        return [constraint.key for constraint in element.constraints]

    patient = definitions.type("Patient").elements
    assert keys(patient["Patient.contact"]) == ["pat-1"]
    assert keys(patient["Patient.birthDate"]) == []
    assert "dom-2" in keys(definitions.type("Patient").root)
    assert keys(definitions.type("BackboneElement").root) == ["ele-1"]
    assert keys(definitions.type("Period").root) == ["ele-1", "per-1"]


def test_members_spell_out_choices(definitions: Definitions) -> None:
    members = definitions.members("Observation")
    assert members["valueQuantity"].type == "Quantity"
    assert members["valueQuantity"].path == "Quantity"
    assert members["valueString"].path == ""
    assert members["effectiveDateTime"].element.path == "Observation.effective[x]"
    assert "value[x]" not in members
    assert "value" not in members


def test_members_of_inherited_elements_are_there(definitions: Definitions) -> None:
    assert {
        "id",
        "meta",
        "implicitRules",
        "language",
        "text",
        "contained",
        "extension",
    } <= definitions.members("Patient").keys()
    assert "contained" not in definitions.members("Bundle")


@pytest.mark.parametrize(
    ("path", "member", "type", "entry"),
    [
        ("Patient", "contact", "BackboneElement", "Patient.contact"),
        ("Patient.contact", "name", "HumanName", "HumanName"),
        ("Patient.name", "given", "string", ""),
        ("HumanName", "period", "Period", "Period"),
        ("Patient.name.period", "start", "dateTime", ""),
        ("Questionnaire.item", "item", "BackboneElement", "Questionnaire.item"),
        ("Questionnaire.item.item.item", "linkId", "string", ""),
        ("Bundle.entry", "resource", "Resource", "Resource"),
        ("Bundle.entry", "link", "BackboneElement", "Bundle.link"),
        ("Patient", "contained", "Resource", "Resource"),
        ("Timing", "repeat", "Element", "Timing.repeat"),
        ("Timing.repeat", "boundsDuration", "Duration", "Duration"),
        ("Observation.valueQuantity", "unit", "string", ""),
        ("Patient.birthDate", "extension", "Extension", "Extension"),
        ("string", "extension", "Extension", "Extension"),
        ("Narrative", "div", "xhtml", ""),
        ("Parameters.parameter.part", "part", "BackboneElement", "Parameters.parameter"),
    ],
)
def test_members_lead_on(definitions: Definitions, path: str, member: str, type: str, entry: str) -> None:
    found = definitions.members(path)[member]
    assert (found.type, found.path, found.json_name) == (type, entry, member)


@pytest.mark.parametrize("path", ["Nothing", "Patient.nothing", "Patient.contact.nothing.at.all", ""])
def test_members_of_no_element_are_a_key_error(definitions: Definitions, path: str) -> None:
    with pytest.raises(KeyError):
        definitions.members(path)


def test_every_member_of_every_type_leads_on(definitions: Definitions) -> None:
    seen: set[str] = set()
    waiting = list(definitions.types)
    while waiting:
        path = waiting.pop()
        if path and path not in seen:
            seen.add(path)
            waiting.extend(member.path for member in definitions.members(path).values())
    assert len(seen) > 600


def test_only_reference_has_a_text_member_called_reference(definitions: Definitions) -> None:
    """``model.rewriting`` replaces every text member of that name: Reference.reference or a uri."""
    found = [
        element
        for name in definitions.types
        for element in definitions.type(name).elements.values()
        if element.name == "reference"
    ]
    assert len(found) > 3
    replaced = {"Reference", "Identifier", "BackboneElement", "uri"}
    texts = [item.path for item in found if item.types[0].code not in replaced]
    assert texts == ["Reference.reference"]


# ── what R4 itself got wrong ──────────────────────────────────────────────────


def test_corrected_invariants(definitions: Definitions) -> None:
    by_key = {item.key: item.expression for item in definitions.type("Appointment").root.constraints}
    assert "'noshow'" in by_key["app-4"]
    assert "no-show" not in by_key["app-4"]
    entry = definitions.type("Bundle").elements["Bundle.entry"]
    assert {item.key: item.expression for item in entry.constraints}["bdl-8"].startswith("fullUrl.empty() or")
    repeat = definitions.type("Timing").elements["Timing.repeat"]
    assert "when in" not in {item.key: item.expression for item in repeat.constraints}["tim-9"]


def test_components_of_document_relationship_stand_at_their_own_definitions(definitions: Definitions) -> None:
    by_url = {item.url.rpartition("/")[2]: item for item in definitions.search_parameters}
    parts = {
        url.rpartition("-")[2]: expression
        for url, expression in by_url["DocumentReference-relationship"].components
    }
    assert parts == {"relatesto": "target", "relation": "code"}


def test_resource_id_is_an_id_and_element_id_a_string(definitions: Definitions) -> None:
    assert definitions.members("Patient")["id"].type == "id"
    assert definitions.members("Bundle")["id"].type == "id"
    assert definitions.members("HumanName")["id"].type == "string"
    assert definitions.members("Extension")["url"].type == "uri"


@pytest.mark.parametrize(
    ("type", "text", "fits"),
    [
        ("string", "no\u00a0break\u3000space", True),
        ("string", "two\r\n\tlines", True),
        ("string", "bell\x07", False),
        ("string", "", False),
        ("markdown", "\u00a0", True),
        ("code", "a\u00a0b", True),
        ("code", "a b", True),
        ("code", "a  b", False),
        ("code", " a", False),
        ("uri", "http://例.cn/\u00a0", True),
        ("uri", "http://x /", False),
        ("id", "a" * 64, True),
        ("id", "a" * 65, False),
        ("id", "a_b", False),
        ("base64Binary", "QUJD\r\nREVG ", True),
        ("base64Binary", "QUJ", False),
        ("base64Binary", "####", False),
        ("date", "2026-02", True),
        ("date", "2026-2", False),
        ("dateTime", "2026-03-02T09:12:00+08:00", True),
        ("dateTime", "2026-03-02T09:12:00", False),
        ("decimal", "-1.00e2", True),
        ("decimal", "01", False),
        ("oid", "urn:oid:2.16.156.10011.1.3", True),
        ("uuid", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520", False),
        ("unsignedInt", "0", True),
        ("positiveInt", "0", False),
        ("boolean", "true", True),
        ("boolean", "truefalse", False),
    ],
)
def test_patterns(definitions: Definitions, type: str, text: str, fits: bool) -> None:
    pattern = definitions.type(type).pattern
    assert pattern is not None
    assert (re.fullmatch(pattern, text) is not None) is fits


def test_patterns_mean_the_same_in_every_engine(definitions: Definitions) -> None:
    patterns = [item.pattern for item in definitions.types.values() if item.pattern]
    assert len(patterns) == 19
    assert not [pattern for pattern in patterns if re.search(r"\\[sSdDwWbB]", pattern)]


def test_the_base64_pattern_takes_linear_time(definitions: Definitions) -> None:
    pattern = definitions.type("base64Binary").pattern
    assert pattern is not None
    start = time.perf_counter()
    assert re.fullmatch(pattern, "QUJD \n " * 20_000 + "#") is None
    assert time.perf_counter() - start < 2


# ── codes, compartments, operations ───────────────────────────────────────────


@pytest.mark.parametrize(
    ("value_set", "codes"),
    [
        ("administrative-gender", {"male", "female", "other", "unknown"}),
        ("administrative-gender|4.0.1", {"male", "female", "other", "unknown"}),
        ("days-of-week", {"mon", "tue", "wed", "thu", "fri", "sat", "sun"}),
    ],
)
def test_required_codes(definitions: Definitions, value_set: str, codes: set[str]) -> None:
    assert definitions.required_codes(f"http://hl7.org/fhir/ValueSet/{value_set}") == codes


def test_a_heading_is_not_among_the_codes_to_choose_from(definitions: Definitions) -> None:
    codes = definitions.required_codes("http://hl7.org/fhir/ValueSet/item-type")
    assert codes is not None
    assert "question" not in codes
    assert "string" in codes


@pytest.mark.parametrize(
    "value_set",
    [
        "http://hl7.org/fhir/ValueSet/mimetypes",
        "http://hl7.org/fhir/ValueSet/currencies",
        "http://hl7.org/fhir/ValueSet/ucum-units",
        "http://loinc.org/vs/LL379-9",
        "http://example.org/not-here",
    ],
)
def test_open_value_sets_have_no_list(definitions: Definitions, value_set: str) -> None:
    assert definitions.required_codes(value_set) is None


def test_compartments(definitions: Definitions) -> None:
    assert set(definitions.compartments) == {
        "Patient",
        "Encounter",
        "Practitioner",
        "RelatedPerson",
        "Device",
    }
    assert definitions.compartments["Patient"]["Observation"] == ("subject", "performer")
    assert "ActivityDefinition" not in definitions.compartments["Patient"]


def test_operations(definitions: Definitions) -> None:
    assert len(definitions.operations) == 46
    everything = next(item for item in definitions.operations if item.url.endswith("/Patient-everything"))
    assert (everything.code, everything.types) == ("everything", ("Patient",))
    assert (everything.on_system, everything.on_type, everything.on_instance) == (False, True, True)
    assert {"start", "end", "_since", "return"} <= {item.name for item in everything.parameters}
    lookup = next(item for item in definitions.operations if item.url.endswith("/CodeSystem-lookup"))
    designation = next(item for item in lookup.parameters if item.name == "designation")
    assert (designation.use, designation.max, [part.name for part in designation.parts]) == (
        "out",
        None,
        ["language", "use", "value"],
    )


def test_loading_costs_little() -> None:
    start = time.perf_counter()
    definitions = load_definitions()
    assert definitions.type("Patient").kind == "resource"
    assert time.perf_counter() - start < 0.5
