import pytest

from fhir_server.errors import UnsupportedMedia
from fhir_server.rest.headers import (
    JSON_TYPES,
    PATCH_TYPES,
    RESOURCE_TYPES,
    Preference,
    check_content_type,
    http_date,
    parse_http_date,
    parse_prefer,
)


@pytest.mark.parametrize(
    "text",
    [
        "application/fhir+json",
        "application/json;charset=UTF-8",
        'application/fhir+json; charset="utf-8"',
        "application/fhir+json; charset=us-ascii; fhirVersion=4.0",
    ],
)
def test_json_content_types(text):
    check_content_type(text, JSON_TYPES)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "none"),
        ("text/plain", "text/plain"),
        ("application/fhir+xml", r"application/fhir\+xml"),
        ("application/json-patch+json", "json-patch"),
        ("application/json; charset=gbk", "charset gbk"),
        ("application/fhir+json; fhirVersion=3.0", r"fhirVersion 3\.0"),
    ],
)
def test_other_content_types_are_named_in_the_refusal(text, named):
    with pytest.raises(UnsupportedMedia, match=named):
        check_content_type(text, JSON_TYPES)


def test_a_patch_has_a_type_of_its_own():
    check_content_type("application/json-patch+json", PATCH_TYPES)
    with pytest.raises(UnsupportedMedia):
        check_content_type("text/plain", PATCH_TYPES)


@pytest.mark.parametrize(
    ("text", "preference"),
    [
        ("return=minimal", Preference("minimal")),
        ("return=OperationOutcome", Preference("OperationOutcome")),
        ("return=representation", Preference("representation")),
        ('handling=lenient, return="minimal"', Preference("minimal", True)),
        ("handling=strict; return=minimal", Preference("minimal", False)),
        ("respond-async, return=banana", Preference("representation", None, True)),
    ],
)
def test_prefer(text, preference):
    assert parse_prefer(text) == preference


def test_xml_is_read_where_resources_are():
    assert check_content_type("application/fhir+xml; charset=UTF-8", RESOURCE_TYPES) == "application/fhir+xml"
    assert check_content_type("text/xml", PATCH_TYPES) == "text/xml"


def test_http_dates_both_ways():
    assert http_date(1_772_413_920) == b"Mon, 02 Mar 2026 01:12:00 GMT"
    assert parse_http_date("Mon, 02 Mar 2026 01:12:00 GMT") == 1_772_413_920
    assert parse_http_date("yesterday") is None
