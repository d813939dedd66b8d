"""Every search parameter of R4 becomes arms; what shares a path shares its rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_server.definitions import Definitions, load_definitions
from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import Unprocessable
from fhir_server.fhirpath import ExpressionError
from fhir_server.search.arms import Name
from fhir_server.search.arms import Path as ArmPath
from fhir_server.search.corrections import EXPRESSIONS, NOT_INDEXED, PRIMARY_DATES
from fhir_server.search.parameters import Arm, TypeParameters, arm_key
from fhir_server.search.registry import Registry

EVERY_RESOURCE = {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"}


def definition(expression: str, **changes: object) -> SearchParameterDefinition:
    values: dict[str, object] = {
        "url": "http://example.org/sp",
        "code": "mine",
        "base": ("Patient",),
        "kind": "token",
        "expression": expression,
    }
    return SearchParameterDefinition(**(values | changes))  # type: ignore[arg-type]


def test_every_type_has_its_parameters_and_no_two_arms_have_one_key(
    registry: Registry, definitions: Definitions
) -> None:
    arms: dict[int, Arm] = {}
    count = 0
    for type in definitions.resource_types:
        parameters = registry.parameters(type)
        assert parameters.keys() >= EVERY_RESOURCE
        assert all(parameter.keys or parameter.column for parameter in parameters.values())
        count += len(parameters)
        for key, arm in registry.arms(type).items():
            assert arms.setdefault(key, arm) is arm
    assert (len(definitions.resource_types), count) == (146, 2862)


def test_every_definition_of_r4_is_used_or_left_out_on_purpose(
    registry: Registry, definitions: Definitions
) -> None:
    used = {
        parameter.url
        for type in definitions.resource_types
        for parameter in registry.parameters(type).values()
    }
    unused = {item.code for item in definitions.search_parameters if item.url not in used}
    assert unused <= NOT_INDEXED


def test_every_correction_and_every_primary_date_is_about_something(
    registry: Registry, definitions: Definitions
) -> None:
    published = {
        (item.url, text)
        for item in definitions.search_parameters
        for text in (item.expression, *(expression for _, expression in item.components))
    }
    assert EXPRESSIONS.keys() <= published
    for type, codes in PRIMARY_DATES.items():
        kinds = [registry.parameter(type, code).kind for code in codes]
        assert kinds == ["date"] * len(codes), type


def test_an_unknown_type_or_parameter_is_a_key_error(registry: Registry) -> None:
    with pytest.raises(KeyError):
        registry.parameters("Patienten")
    with pytest.raises(KeyError):
        registry.parameter("Patient", "shoe-size")


# ── what is shared ────────────────────────────────────────────────────────────


def test_patient_reads_the_rows_of_subject(registry: Registry) -> None:
    patient, subject = (
        registry.parameter("Observation", "patient"),
        registry.parameter("Observation", "subject"),
    )
    assert patient.keys == subject.keys == (arm_key("Observation", "subject", "reference"),)
    assert (patient.target, patient.targets, subject.target) == ("Patient", ("Patient",), None)
    assert subject.targets == ("Device", "Group", "Location", "Patient")
    assert subject.identifier_keys == (arm_key("Observation", "subject", "identifier"),)


def test_phone_and_email_read_the_rows_of_telecom(registry: Registry) -> None:
    phone, telecom = registry.parameter("Patient", "phone"), registry.parameter("Patient", "telecom")
    assert phone.keys == telecom.keys
    assert (phone.system, registry.parameter("Patient", "email").system, telecom.system) == (
        "phone",
        "email",
        None,
    )


def test_name_reads_its_parts_and_family_one_of_them(registry: Registry) -> None:
    parts = ("text", "family", "given", "prefix", "suffix")
    assert registry.parameter("Patient", "name").keys == tuple(
        arm_key("Patient", f"name.{part}", "string") for part in parts
    )
    assert registry.parameter("Patient", "family").keys == (arm_key("Patient", "name.family", "string"),)
    assert registry.parameter("Patient", "phonetic").keys == registry.parameter("Patient", "name").keys
    assert set(registry.parameter("Patient", "address-city").keys) < set(
        registry.parameter("Patient", "address").keys
    )


def test_combined_parameters_of_observation_store_nothing_twice(registry: Registry) -> None:
    def keys(code: str) -> set[int]:
        return set(registry.parameter("Observation", code).keys)

    assert keys("combo-code") == keys("code") | keys("component-code")
    assert keys("combo-value-quantity") == keys("value-quantity") | keys("component-value-quantity")
    assert keys("combo-code-value-quantity") == keys("code-value-quantity") | keys(
        "component-code-value-quantity"
    )


def test_a_composite_knows_the_kinds_of_its_components(registry: Registry) -> None:
    parameter = registry.parameter("Observation", "code-value-quantity")
    assert [(part.code, part.kind) for part in parameter.components] == [
        ("code", "token"),
        ("value-quantity", "quantity"),
    ]


def test_id_and_last_updated_are_columns(registry: Registry) -> None:
    assert registry.parameter("Task", "_id").column == "id"
    assert registry.parameter("Task", "_lastUpdated").column == "updated"


# ── collisions ────────────────────────────────────────────────────────────────


def test_two_arms_with_one_number_are_refused() -> None:
    known = TypeParameters()
    known.keep(Arm(7, "Patient", ArmPath((Name("gender"),)), "token"))
    assert known.keep(Arm(7, "Patient", ArmPath((Name("gender"),)), "token")) == 7
    with pytest.raises(Unprocessable, match="gender and active of Patient have the same index number"):
        known.keep(Arm(7, "Patient", ArmPath((Name("active"),)), "token"))


# ── custom parameters ─────────────────────────────────────────────────────────


@pytest.fixture
def own(definitions: Definitions) -> Registry:
    return Registry(definitions)


def test_a_custom_parameter_is_known_at_once(own: Registry) -> None:
    before = own.revision
    own.parameters("Patient")
    own.add(definition("Patient.maritalStatus"))
    assert own.parameter("Patient", "mine").keys == (arm_key("Patient", "maritalStatus", "token"),)
    assert own.revision == before + 1


def test_a_custom_parameter_of_every_resource_is_known_to_all(own: Registry) -> None:
    own.add(definition("Resource.language", base=("Resource",)))
    assert own.parameter("Slot", "mine").keys == (arm_key("Slot", "language", "token"),)


def test_one_that_only_some_sides_restrict_keeps_the_restriction_in_its_path(own: Registry) -> None:
    own.add(
        definition(
            "Observation.subject.where(resolve() is Patient) | Observation.performer",
            base=("Observation",),
            kind="reference",
        )
    )
    parameter = own.parameter("Observation", "mine")
    assert parameter.target is None
    assert own.parameter("Observation", "subject").keys[0] not in parameter.keys
    assert own.parameter("Observation", "performer").keys[0] in parameter.keys


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"expression": "Patient.shoeSize"}, "no element shoeSize"),
        ({"expression": "Patient.name.("}, "expected a name"),
        ({"expression": "Patient.gender", "kind": "date"}, "nothing that a date parameter can hold"),
        ({"expression": "Observation.code"}, "no part of it is about Patient"),
        ({"expression": "Patient.contact.where(nonsense())"}, r"no function nonsense\(\)"),
        ({"expression": "Patient.gender", "code": "family"}, "already has a parameter family"),
        ({"expression": "Patient.gender", "base": ("Patienten",)}, "not a resource type"),
        ({"expression": "Patient", "kind": "composite"}, "at least two components"),
        (
            {
                "expression": "Patient",
                "kind": "composite",
                "components": (("urn:x", "gender"), ("urn:y", "active")),
            },
            "urn:x is not a known SearchParameter",
        ),
    ],
)
def test_a_custom_parameter_that_cannot_work_is_refused_and_nothing_changes(
    own: Registry, changes: dict[str, object], text: str
) -> None:
    before = set(own.parameters("Patient"))
    with pytest.raises(Unprocessable, match=text) as caught:
        own.add(definition(str(changes.pop("expression")), **changes))
    assert isinstance(caught.value, ExpressionError | Unprocessable)
    assert set(own.parameters("Patient")) == before
    assert own.revision == 0


def test_a_definition_takes_the_place_of_the_one_with_its_url(own: Registry) -> None:
    own.add(definition("Patient.maritalStatus"))
    own.add(definition("Person.gender", code="sex", base=("Person",)))
    assert "mine" not in own.parameters("Patient")
    assert own.parameter("Person", "sex").keys == own.parameter("Person", "gender").keys


def profile(tmp_path: Path, expression: str) -> Definitions:
    resource = {
        "resourceType": "SearchParameter",
        "url": "http://example.org/sp",
        "code": "mine",
        "base": ["Patient"],
        "type": "token",
        "expression": expression,
    }
    (tmp_path / "mine.json").write_text(json.dumps(resource), encoding="utf-8")
    return load_definitions(tmp_path)


def test_parameters_of_the_profiles_folder_are_there_from_the_start(tmp_path: Path) -> None:
    assert Registry(profile(tmp_path, "Patient.maritalStatus")).parameter("Patient", "mine").kind == "token"


def test_a_faulty_parameter_in_the_profiles_folder_is_found_at_start(tmp_path: Path) -> None:
    with pytest.raises(ExpressionError, match="no element shoeSize"):
        Registry(profile(tmp_path, "Patient.shoeSize"))
