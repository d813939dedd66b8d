"""Which resources stand together on one shard: everything of one patient.

The shard key of a Patient, and of whatever has one patient as its subject, is ``Patient/id``; of everything else its
own ``Type/id``. So the searches of one patient's record go to one shard, and a write of one patient's data is a
transaction of one shard.
Source: our own; the elements are those of R4's Patient compartment that occur once at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhir_server.search.index import IndexValues
from fhir_server.search.parameters import arm_key

_SUBJECTS: Final = {
    "subject": """AdverseEvent Basic CarePlan CareTeam ChargeItem ClinicalImpression Communication
        CommunicationRequest Composition Condition DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest
        DocumentReference Encounter Flag Goal ImagingStudy Invoice List MeasureReport Media MedicationAdministration
        MedicationDispense MedicationRequest MedicationStatement Observation Procedure QuestionnaireResponse
        RequestGroup RiskAssessment ServiceRequest Specimen""",
    "patient": """AllergyIntolerance BodyStructure Claim ClaimResponse Consent CoverageEligibilityRequest
        CoverageEligibilityResponse DetectedIssue EpisodeOfCare ExplanationOfBenefit FamilyMemberHistory Immunization
        ImmunizationEvaluation ImmunizationRecommendation MolecularSequence NutritionOrder RelatedPerson
        SupplyDelivery VisionPrescription""",
    "beneficiary": "Coverage",
    "individual": "ResearchSubject",
    "for": "Task",
}
_VERSION: Final = "/_history/"

SUBJECT_KEYS: Final[Mapping[str, int]] = {
    type: arm_key(type, path, "reference") for path, types in _SUBJECTS.items() for type in types.split()
}
"""Type → the arm of its one reference to the patient. A search by a parameter that reads this arm alone, for values of
type Patient, may have the shard keys of these patients in its filter."""


def patient_key(id: str) -> str:
    """The shard key of the patient ``id`` and of his record."""
    return f"Patient/{id}"


def shard_key(type: str, id: str, values: IndexValues | None) -> str:
    """The shard key of a resource with these index values (None: it is deleted)."""
    subject = SUBJECT_KEYS.get(type)
    if subject is not None and values is not None:
        for key, target, of in values.references:
            if key == subject and of == "Patient" and _VERSION not in target:
                return patient_key(target)
    return f"{type}/{id}"
