"""Where R4 4.0.1 itself is wrong, and what is used instead. Each row was decided on purpose.

Applied once, by ``scripts/build_definitions.py``; what is not listed is exactly as published.

Two further known errors need no row. One SearchParameter has an id of 67 characters: it is a left-over
of an extension and not among the 1,375 parameters of the standard, and ids are not kept anyway. The JSON
schema rejects ``_baseDefinition`` and ``_questionnaire``: our schema is made from the definitions, which
have both (every primitive has its twin).
"""

from __future__ import annotations

from collections.abc import Mapping

ELEMENT_TYPES: Mapping[str, str] = {"Resource.id": "id"}
"""Path where an element is first defined → type, where the package's is not the one of the standard's text."""

EXPRESSIONS: Mapping[str, str] = {
    # Tests 'no-show'; the code is 'noshow' (ValueSet appointmentstatus).
    "app-4": (
        "Appointment.cancelationReason.exists() implies "
        "(Appointment.status='noshow' or Appointment.status='cancelled')"
    ),
    # Empty, so neither true nor false, when an entry has no fullUrl.
    "bdl-8": "fullUrl.empty() or fullUrl.contains('/_history/').not()",
    # `in` needs one item on its left, `when` repeats: none of them may be a plain meal code.
    "tim-9": "offset.empty() or (when.exists() and when.where($this in ('C' | 'CM' | 'CD' | 'CV')).empty())",
}
"""Invariant key → expression."""

COMPONENTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    # The two expressions stand at each other's definition: relatesto is the target, relation the code.
    "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship": (
        ("http://hl7.org/fhir/SearchParameter/DocumentReference-relatesto", "target"),
        ("http://hl7.org/fhir/SearchParameter/DocumentReference-relation", "code"),
    )
}
"""SearchParameter URL → components (definition URL, expression)."""

PATTERNS: Mapping[str, str] = {
    # Means "any character of a FHIR string", but `[ \r\n\t\S]` leaves out no-break and other Unicode
    # spaces where `\S` knows them. The standard's text: nothing below U+0020 but tab, CR and LF.
    "string": r"[^\x00-\x08\x0b\x0c\x0e-\x1f]+",
    "markdown": r"[^\x00-\x08\x0b\x0c\x0e-\x1f]+",
    # White space around every group of four could be split in many ways: exponential in a backtracking
    # engine. The same language with white space after groups only.
    "base64Binary": r"[\t\n\r ]*([0-9a-zA-Z+/=]{4}[\t\n\r ]*)+",
}
"""Primitive → pattern, where the published one cannot be used."""

_ASCII_CLASSES = (
    (r"[^\s]", r"[^\x00-\x20]"),
    (r"\S", r"[^\x00-\x20]"),
    (r"\s", r"[\t\n\r ]"),
    (r"\-", "-"),
    (r"[A-Za-z0-9-\.]", r"[A-Za-z0-9.-]"),
)


def engine_safe(name: str, published: str) -> str:
    """The pattern of primitive ``name``, with white space spelled out in ASCII as XML Schema means it."""
    pattern = PATTERNS.get(name, published)
    if name in PATTERNS:
        return pattern
    for old, new in _ASCII_CLASSES:
        pattern = pattern.replace(old, new)
    return pattern
