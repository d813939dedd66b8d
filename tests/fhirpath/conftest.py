"""One model for all FHIRPath tests, and the Patient that the tables are about."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.definitions import load_definitions
from fhir_server.fhirpath import Model


@pytest.fixture(scope="session")
def model() -> Model:
    return Model(load_definitions())


@pytest.fixture
def patient() -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": "p1",
        "contained": [{"resourceType": "Organization", "id": "o", "name": "Clinic"}],
        "extension": [
            {"url": "urn:nation", "valueCodeableConcept": {"text": "Han"}},
            {"url": "urn:age", "valueAge": {"value": 3.5}},
        ],
        "active": True,
        "name": [
            {"use": "official", "family": "Chapman", "given": ["Eve", "Ann"]},
            {"use": "nickname", "given": ["Evi"]},
        ],
        "telecom": [{"system": "phone", "value": "0571-1"}, {"system": "email", "value": "a@example.org"}],
        "gender": "female",
        "birthDate": "1980-02-29",
        "_birthDate": {"id": "b1", "extension": [{"url": "urn:time", "valueTime": "08:30:00"}]},
        "deceasedDateTime": "2020-01-02",
        "multipleBirthInteger": 2,
        "contact": [{"name": {"family": "Kontakt"}}],
        "generalPractitioner": [
            {"reference": "Practitioner/2/_history/3"},
            {"reference": "http://other.example.org/Practitioner/9"},
            {"reference": "#o"},
            {"display": "someone"},
        ],
        "managingOrganization": {"reference": "Organization/1"},
    }
