import pytest

from fhir_server.errors import NotAcceptable, UnsupportedMedia
from fhir_server.rest.headers import (
    JSON_TYPES,
    PATCH_TYPES,
    Preference,
    check_accept,
    check_content_type,
    check_format,
    http_date,
    parse_http_date,
    parse_prefer,
)

JSON_ACCEPTS = [
    "*/*",
    "application/fhir+json",
    "application/json",
    "application/fhir+json; fhirVersion=4.0",
    "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    "application/fhir+xml, application/fhir+json;q=0.1",
    "application/*",
    "APPLICATION/JSON",
]
OTHER_ACCEPTS = [
    "application/fhir+xml",
    "text/turtle",
    "application/json;q=0",
    "application/json;q=0.000",
    "application/fhir+json; fhirVersion=3.0",
    "",
]


@pytest.mark.parametrize("accept", JSON_ACCEPTS)
def test_accept_that_json_satisfies(accept):
    check_accept(accept)


@pytest.mark.parametrize("accept", OTHER_ACCEPTS)
def test_accept_that_json_does_not_satisfy(accept):
    with pytest.raises(NotAcceptable, match=r"application/fhir\+json"):
        check_accept(accept)


@pytest.mark.parametrize(
    "format", ["json", "application/json", "application/fhir+json", "application/fhir json"]
)
def test_format_json(format):
    check_format(format)


@pytest.mark.parametrize("format", ["xml", "application/fhir+xml", "html", "ttl", ""])
def test_format_that_cannot_be_made(format):
    with pytest.raises(NotAcceptable, match="allowed: json"):
        check_format(format)


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
    ],
)
def test_other_content_types_are_named_in_the_refusal(text, named):
    with pytest.raises(UnsupportedMedia, match=named):
        check_content_type(text, JSON_TYPES)


def test_a_patch_has_a_type_of_its_own():
    check_content_type("application/json-patch+json", PATCH_TYPES)
    with pytest.raises(UnsupportedMedia):
        check_content_type("application/json", PATCH_TYPES)


@pytest.mark.parametrize(
    ("text", "preference"),
    [
        ("return=minimal", Preference("minimal")),
        ("return=OperationOutcome", Preference("OperationOutcome")),
        ("return=representation", Preference("representation")),
        ('handling=lenient, return="minimal"', Preference("minimal", True)),
        ("handling=strict; return=minimal", Preference("minimal", False)),
        ("respond-async, return=banana", Preference("representation", None)),
    ],
)
def test_prefer(text, preference):
    assert parse_prefer(text) == preference


def test_http_dates_both_ways():
    assert http_date(1_772_413_920) == b"Mon, 02 Mar 2026 01:12:00 GMT"
    assert parse_http_date("Mon, 02 Mar 2026 01:12:00 GMT") == 1_772_413_920
    assert parse_http_date("yesterday") is None
