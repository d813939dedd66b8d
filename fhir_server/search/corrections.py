"""Where R4's search parameters need a decision of ours. Each row was made on purpose.

Which of R4's own errors are corrected before they come here is in ``definitions/corrections.py``
(``DocumentReference-relationship``'s swapped components).
Source: FHIR R4 searchparameter-registry.html.
"""

from __future__ import annotations

from collections.abc import Mapping

EXPRESSIONS: Mapping[tuple[str, str], str] = {
    # The data type is dateTime; DateTime is FHIRPath's System type, which no element has.
    (
        "http://hl7.org/fhir/SearchParameter/Observation-code-value-date",
        "value.as(DateTime) | value.as(Period)",
    ): ("value.as(dateTime) | value.as(Period)"),
}
"""(SearchParameter URL, expression as published) → expression used; a composite's components likewise."""

NOT_INDEXED = frozenset({"_filter", "_query", "_list", "_has", "_type"})
"""Parameters that are no expression over a resource: they need machinery of their own."""

PRIMARY_DATES: Mapping[str, tuple[str, ...]] = {
    "AllergyIntolerance": ("date", "onset"),
    "Claim": ("created",),
    "ClaimResponse": ("created",),
    "Communication": ("sent",),
    "CommunicationRequest": ("authored",),
    "Condition": ("onset-date", "recorded-date"),
    "Contract": ("issued",),
    "Coverage": (),
    "CoverageEligibilityRequest": ("created",),
    "CoverageEligibilityResponse": ("created",),
    "DetectedIssue": ("identified",),
    "DeviceRequest": ("authored-on",),
    "DiagnosticReport": ("date", "issued"),
    "DocumentManifest": ("created",),
    "ExplanationOfBenefit": ("created",),
    "Goal": ("start-date",),
    "ImagingStudy": ("started",),
    "Media": ("created",),
    "MedicationAdministration": ("effective-time",),
    "MedicationDispense": ("whenhandedover", "whenprepared"),
    "MedicationRequest": ("authoredon",),
    "MedicationStatement": ("effective",),
    "NutritionOrder": ("datetime",),
    "PaymentNotice": ("created",),
    "PaymentReconciliation": ("created",),
    "Provenance": ("recorded",),
    "QuestionnaireResponse": ("authored",),
    "RequestGroup": ("authored",),
    "ServiceRequest": ("authored", "occurrence"),
    "Slot": ("start",),
    "Specimen": ("collected",),
    "SupplyDelivery": (),
    "Task": ("authored-on",),
}
"""Type → the parameters that hold its primary clinical date, the first that has a value counts."""

USUAL_PRIMARY_DATE = ("date",)
"""The primary date of a type that has no row: the parameter of this code, when it has one."""
