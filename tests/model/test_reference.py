from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.model.reference import (
    ParsedReference,
    is_absolute,
    is_conditional,
    parse_reference,
    split_canonical,
)

BASE = "http://county.example.org/fhir"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Patient/1", ParsedReference("Patient", "1")),
        ("Patient/1/_history/2", ParsedReference("Patient", "1", "2")),
        ("Patient/1#name", ParsedReference("Patient", "1", None, None, "name")),
        (f"{BASE}/Patient/1", ParsedReference("Patient", "1")),
        (f"{BASE}/Patient/1/_history/2", ParsedReference("Patient", "1", "2")),
        (
            "http://other.org/fhir/Patient/1",
            ParsedReference("Patient", "1", None, "http://other.org/fhir/Patient/1"),
        ),
        ("https://o/Patient/1/_history/7", ParsedReference("Patient", "1", "7", "https://o/Patient/1")),
        (f"{BASE}x/Patient/1", ParsedReference("Patient", "1", None, f"{BASE}x/Patient/1")),
        ("#p1", ParsedReference(None, None, None, None, "p1")),
        ("#", ParsedReference(None, None, None, None, "")),
        (
            "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
            ParsedReference(None, None, None, "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
        ),
        ("urn:oid:2.16.156.10011.1.3", ParsedReference(None, None, None, "urn:oid:2.16.156.10011.1.3")),
        ("http://x.org/q|1.0", ParsedReference(None, None, "1.0", "http://x.org/q")),
        (
            "http://x.org/ValueSet/a|1.0#f",
            ParsedReference("ValueSet", "a", "1.0", "http://x.org/ValueSet/a", "f"),
        ),
        (
            "Practitioner?identifier=http://n|1",
            ParsedReference(None, None, None, "Practitioner?identifier=http://n|1"),
        ),
        ("Patient", ParsedReference(None, None, None, "Patient")),
        ("patient/1", ParsedReference(None, None, None, "patient/1")),
        ("Patient/" + "a" * 65, ParsedReference(None, None, None, "Patient/" + "a" * 65)),
        ("", ParsedReference(None, None, None, "")),
    ],
)
def test_a_reference_is_taken_apart(text: str, expected: ParsedReference) -> None:
    assert parse_reference(text, BASE) == expected
    assert parse_reference(text, BASE + "/") == expected


def test_without_a_base_every_address_is_elsewhere() -> None:
    parsed = parse_reference(f"{BASE}/Patient/1")
    assert (parsed.type, parsed.id, parsed.url, parsed.is_local) == (
        "Patient",
        "1",
        f"{BASE}/Patient/1",
        False,
    )


def test_local_and_contained() -> None:
    assert parse_reference("Patient/1").is_local
    assert not parse_reference("Patient/1#x").is_contained
    assert parse_reference("#x").is_contained
    assert not parse_reference("urn:uuid:1").is_contained


@given(st.text())
def test_any_text_is_parsed(text: str) -> None:
    parsed = parse_reference(text, BASE)
    assert parsed.is_local or parsed.is_contained or parsed.url is not None


@pytest.mark.parametrize(
    ("text", "absolute"),
    [
        ("http://x", True),
        ("urn:uuid:1", True),
        ("Patient/1", False),
        ("#x", False),
        ("Patient?a=http://x", False),
    ],
)
def test_is_absolute(text: str, absolute: bool) -> None:
    assert is_absolute(text) is absolute


def test_canonicals_are_split_and_conditionals_known() -> None:
    assert split_canonical("http://x/y|2") == ("http://x/y", "2")
    assert split_canonical("http://x/y") == ("http://x/y", None)
    assert is_conditional("Practitioner?identifier=a|b")
    assert not is_conditional("Practitioner/1?x")
