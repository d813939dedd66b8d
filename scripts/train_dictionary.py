"""Makes a compression dictionary of the SQLite store from invented resources of all R4 types.

    .venv/bin/python scripts/train_dictionary.py NUMBER

writes ``fhir_server/stores/sqlite/dictionaries/NUMBER.zstd-dictionary``. The same number, program and
zstandard version give the same bytes. A number is never used twice: stored resources name the
dictionary they were compressed with. Nothing of any real or third-party resource goes in: shapes come
from the R4 definitions, texts from the tables below.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson
import zstandard

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fhir_server.definitions import Definitions, load_definitions  # noqa: E402

SIZE: Final = 32 * 1024
FREQUENT: Final = {
    "Observation": 300, "Patient": 60, "Encounter": 120, "Condition": 100, "DiagnosticReport": 100, "Procedure": 80,
    "MedicationRequest": 80, "Immunization": 40, "Claim": 60, "ExplanationOfBenefit": 40, "ServiceRequest": 80, "Task": 80,
    "Coverage": 30, "Provenance": 40, "DocumentReference": 30, "Organization": 20, "Practitioner": 20, "Location": 20,
    "CareTeam": 20, "CarePlan": 20, "Appointment": 20, "Specimen": 20, "AuditEvent": 40,
}  # fmt: skip
TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
CODINGS: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    "category": (
        (TERMINOLOGY + "observation-category", "laboratory", "Laboratory"),
        (TERMINOLOGY + "observation-category", "vital-signs", "Vital Signs"),
        (TERMINOLOGY + "observation-category", "survey", "Survey"),
        (TERMINOLOGY + "condition-category", "encounter-diagnosis", "Encounter Diagnosis"),
        (TERMINOLOGY + "v2-0074", "LAB", "Laboratory"),
        (TERMINOLOGY + "diagnostic-service-sections", "RAD", "Radiology"),
    ),
    "clinicalStatus": tuple((TERMINOLOGY + "condition-clinical", code, code.title()) for code in ("active", "resolved")),
    "verificationStatus": ((TERMINOLOGY + "condition-ver-status", "confirmed", "Confirmed"),),
    "class": tuple((TERMINOLOGY + "v3-ActCode", code, text) for code, text in (("AMB", "ambulatory"), ("IMP", "inpatient encounter"), ("EMER", "emergency"))),
    "participant.type": ((TERMINOLOGY + "v3-ParticipationType", "PPRF", "primary performer"),),
    "maritalStatus": tuple((TERMINOLOGY + "v3-MaritalStatus", code, code) for code in "MSD"),
    "interpretation": tuple((TERMINOLOGY + "v3-ObservationInterpretation", code, text) for code, text in (("H", "High"), ("L", "Low"), ("N", "Normal"))),
    "agent.type": ((TERMINOLOGY + "provenance-participant-type", "author", "Author"),),
    "identifier.type": tuple((TERMINOLOGY + "v2-0203", code, text) for code, text in (("MR", "Medical Record Number"), ("PLAC", "Placer Identifier"), ("FILL", "Filler Identifier"))),
    "adjudication.category": (("https://bluebutton.cms.gov/resources/codesystem/adjudication", "paid", "Paid"), (TERMINOLOGY + "adjudication", "submitted", "Submitted Amount")),
    "code": (
        ("http://loinc.org", "8302-2", "Body Height"), ("http://loinc.org", "29463-7", "Body Weight"),
        ("http://loinc.org", "85354-9", "Blood pressure panel"), ("http://loinc.org", "718-7", "Hemoglobin [Mass/volume] in Blood"),
        ("http://loinc.org", "2345-7", "Glucose [Mass/volume] in Serum or Plasma"), ("http://snomed.info/sct", "38341003", "Hypertension"),
        ("http://snomed.info/sct", "185349003", "Encounter for check up (procedure)"), ("http://snomed.info/sct", "44054006", "Diabetes mellitus type 2 (disorder)"),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "860975", "24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet"),
        ("http://hl7.org/fhir/sid/cvx", "140", "Influenza, seasonal, injectable, preservative free"), ("http://hl7.org/fhir/sid/icd-10", "I10", "特发性(原发性)高血压"),
        ("http://cmc.example.org/fhir/CodeSystem/referral-reason", "beyond-capability", "超出诊疗能力"),
    ),
}  # fmt: skip
TEXTS: Final = (
    "general practice",
    "血常规",
    "门诊",
    "住院",
    "晨溪县人民医院",
    "云栖镇卫生院",
    "Outpatient Encounter",
    "Routine check",
    "高血压病",
)
NAMES: Final = (
    ("张", "伟"),
    ("王", "秀英"),
    ("李", "娜"),
    ("陈", "建国"),
    ("Smith", "Anna"),
    ("Keller", "Paul"),
)
UNITS: Final = ("mg/dL", "mmol/L", "kg", "cm", "mm[Hg]", "%", "10*9/L", "/min", "Cel")
SYSTEMS: Final = (
    "urn:oid:2.16.156.10011.1.3", "http://cmc.example.org/sid/referral-task", "http://cmc.example.org/sid/uscc", "http://hl7.org/fhir/sid/us-npi",
    "http://hl7.org/fhir/sid/us-ssn", "http://cmc.example.org/sid/12999001MB0000019A/patient", "https://github.com/synthetichealth/synthea",
)  # fmt: skip
PROFILES: Final = (
    "http://hl7.org/fhir/StructureDefinition/",
    "http://cmc.example.org/fhir/StructureDefinition/cmc-",
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-",
)
DEPTH: Final = 5


class Maker:
    """Invents resources: every required element, and optional ones by chance."""

    def __init__(self, definitions: Definitions, seed: int) -> None:
        self._definitions = definitions
        self._chance = random.Random(seed)  # noqa: S311

    def resource(self, type: str) -> dict[str, Any]:
        """One resource of ``type``, stamped as the server stamps it."""
        head = {"resourceType": type, "id": self.uuid(), "meta": self._meta(type)}
        return head | {name: value for name, value in self._object(type, type, 0).items() if name not in head}

    def uuid(self) -> str:
        """A UUIDv7-like id."""
        digits = f"{self._chance.getrandbits(128):032x}"
        return f"019{digits[3:8]}-{digits[8:12]}-7{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def _meta(self, type: str) -> dict[str, Any]:
        meta: dict[str, Any] = {"versionId": "1", "lastUpdated": self._moment() + ".000Z"}
        if self._chance.random() < 0.5:
            meta["profile"] = [self._chance.choice(PROFILES) + type.lower()]
        return meta

    def _object(self, path: str, type: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        chosen: set[str] = set()
        for name, member in self._definitions.members(path).items():
            element = member.element
            skipped = (
                name in {"id", "contained", "extension", "modifierExtension", "implicitRules", "language"}
                or name[0] == "_"
            )
            likely = element.min > 0 or self._chance.random() < (0.45 if depth == 0 else 0.3)
            if skipped or not likely or element.path in chosen or depth > DEPTH:
                continue
            chosen.add(element.path)
            value = self._value(member.type, member.path, f"{path}.{name}", element, type, depth)
            if value not in ({}, None):
                made[name] = [value] if element.is_list else value
        return made

    def _value(self, code: str, inner: str, path: str, element: Any, type: str, depth: int) -> Any:
        if code in SPECIAL:
            return SPECIAL[code](self, path, element)
        if inner:
            return self._object(inner, type, depth + 1)
        return PRIMITIVES.get(code, Maker.text)(self)

    def concept(self, path: str, element: Any) -> dict[str, Any]:
        coding = self.coding(path, element)
        return {"coding": [coding], "text": coding["display"]}

    def coding(self, path: str, element: Any) -> dict[str, Any]:
        tail = next((name for name in CODINGS if path.endswith("." + name)), "code")
        system, code, display = self._chance.choice(CODINGS[tail])
        return {"system": system, "code": code, "display": display}

    def code(self, path: str, element: Any) -> str:
        allowed = self._definitions.required_codes(element.binding.value_set) if element.binding else None
        return self._chance.choice(sorted(allowed)) if allowed else "active"

    def reference(self, path: str, element: Any) -> dict[str, Any]:
        targets = element.types[0].targets or ("Patient",)
        target = "Patient" if path.endswith((".subject", ".patient")) else self._chance.choice(targets)
        made = {"reference": f"{target}/{self.uuid()}"}
        return made | ({"display": self.text()} if self._chance.random() < 0.3 else {})

    def quantity(self, path: str, element: Any) -> dict[str, Any]:
        unit = self._chance.choice(UNITS)
        value = round(self._chance.uniform(1, 200), 2)
        return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}

    def name(self, path: str, element: Any) -> dict[str, Any]:
        family, given = self._chance.choice(NAMES)
        return {"use": "official", "text": family + given, "family": family, "given": [given]}

    def identifier(self, path: str, element: Any) -> dict[str, Any]:
        made = {
            "use": "official",
            "system": self._chance.choice(SYSTEMS),
            "value": str(self._chance.getrandbits(40)),
        }
        return made | (
            {"type": self.concept("identifier.type", element)} if self._chance.random() < 0.3 else {}
        )

    def narrative(self, path: str, element: Any) -> dict[str, Any]:
        return {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{self.text()}</b></p></div>',
        }

    def telecom(self, path: str, element: Any) -> dict[str, Any]:
        return {"system": "phone", "value": f"1{self._chance.getrandbits(33):010d}", "use": "mobile"}

    def text(self) -> str:
        return self._chance.choice(TEXTS)

    def date(self) -> str:
        return f"{self._chance.randint(1950, 2026)}-{self._chance.randint(1, 12):02d}-{self._chance.randint(1, 28):02d}"

    def _moment(self) -> str:
        return f"{self.date()}T{self._chance.randint(0, 23):02d}:{self._chance.randint(0, 59):02d}:{self._chance.randint(0, 59):02d}"

    def date_time(self) -> str:
        return self._moment() + self._chance.choice(("+08:00", "-05:00", "Z"))

    def period(self, path: str, element: Any) -> dict[str, Any]:
        return {"start": self.date_time(), "end": self.date_time()}

    def integer(self) -> int:
        return self._chance.randint(1, 20)

    def decimal(self) -> float:
        return round(self._chance.uniform(0, 500), 2)

    def flag(self) -> bool:
        return self._chance.random() < 0.5

    def uri(self) -> str:
        return self._chance.choice(SYSTEMS)


SPECIAL: Final[Mapping[str, Callable[[Maker, str, Any], Any]]] = {
    "CodeableConcept": Maker.concept, "Coding": Maker.coding, "code": Maker.code, "Reference": Maker.reference, "Quantity": Maker.quantity,
    "HumanName": Maker.name, "Identifier": Maker.identifier, "Narrative": Maker.narrative, "ContactPoint": Maker.telecom, "Period": Maker.period,
}  # fmt: skip
PRIMITIVES: Final[Mapping[str, Callable[[Maker], Any]]] = {
    "boolean": Maker.flag, "integer": Maker.integer, "positiveInt": Maker.integer, "unsignedInt": Maker.integer, "decimal": Maker.decimal,
    "date": Maker.date, "dateTime": Maker.date_time, "instant": Maker.date_time, "uri": Maker.uri, "url": Maker.uri, "canonical": Maker.uri,
}  # fmt: skip


def train(number: int) -> bytes:
    """The dictionary ``number``."""
    definitions = load_definitions()
    maker = Maker(definitions, number)
    samples = [
        orjson.dumps(maker.resource(type))
        for type in sorted(definitions.resource_types)
        for _ in range(FREQUENT.get(type, 6))
    ]
    return zstandard.train_dictionary(SIZE, samples, dict_id=number, k=256, d=8).as_bytes()


def main() -> None:
    """Write the dictionary whose number is the argument."""
    number = int(sys.argv[1])
    target = ROOT / "fhir_server/stores/sqlite/dictionaries" / f"{number}.zstd-dictionary"
    dictionary = train(number)
    target.write_bytes(dictionary)
    print(f"{target.relative_to(ROOT)}: {len(dictionary)} bytes")


if __name__ == "__main__":
    main()
