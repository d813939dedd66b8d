"""Which form an answer gets. Source: RFC 9110 §12.5.1; FHIR R4 http.html#mime-type."""

import pytest

from fhir_server.errors import NotAcceptable
from fhir_server.rest.binary import resource_form
from fhir_server.rest.compression import choose_encoding
from fhir_server.rest.media import JSON, format_media, negotiate

CHOSEN = {
    "*/*": "application/fhir+json",
    "application/*": "application/fhir+json",
    "application/fhir+json": "application/fhir+json",
    "APPLICATION/FHIR+XML": "application/fhir+xml",
    "application/json": "application/json",
    "text/json": "text/json",
    "application/xml": "application/xml",
    "text/xml;q=0.5": "text/xml",
    "application/fhir+xml, application/fhir+json;q=0.1": "application/fhir+xml",
    "application/fhir+xml;q=0.1, application/fhir+json": "application/fhir+json",
    "application/fhir+json;q=0.9, application/fhir+xml;q=0.9": "application/fhir+json",
    "application/fhir+xml, application/fhir+json": "application/fhir+xml",
    "*/*, application/fhir+xml": "application/fhir+xml",
    "application/fhir+json;q=0, */*": "application/fhir+xml",
    "application/fhir+xml;q=0.5, application/*;q=0.7": "application/fhir+json",
    "text/html,application/xhtml+xml,*/*;q=0.8": "application/fhir+json",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "application/xml",
    "application/fhir+json; fhirVersion=4.0": "application/fhir+json; fhirVersion=4.0",
    "application/fhir+xml; fhirVersion=3.0, application/fhir+json;q=0.1": "application/fhir+json",
    "application/fhir+json;q=banana": "application/fhir+json",
}


@pytest.mark.parametrize("accept", CHOSEN)
def test_what_accept_means(accept):
    assert negotiate(accept).content_type.decode() == f"{CHOSEN[accept]}; charset=utf-8"
    assert negotiate(accept).is_xml == ("xml" in CHOSEN[accept])


def test_the_plain_form_is_one_object_so_that_it_is_cheap_to_know():
    assert negotiate("application/fhir+json") is JSON
    assert format_media("json") is JSON


@pytest.mark.parametrize(
    "accept",
    [
        "text/turtle",
        "application/json;q=0",
        "application/fhir+json;q=0.000",
        "application/fhir+json; fhirVersion=3.0",
        "",
    ],
)
def test_what_cannot_be_made(accept):
    with pytest.raises(NotAcceptable, match=r"allowed: application/fhir\+json, application/fhir\+xml"):
        negotiate(accept)


@pytest.mark.parametrize(
    "format", ["json", "application/json", "text/json", "application/fhir+json", "application/fhir json"]
)
def test_format_json(format):
    assert format_media(format) is JSON


@pytest.mark.parametrize(
    "format", ["xml", "text/xml", "application/xml", "application/fhir+xml", "application/fhir xml"]
)
def test_format_xml(format):
    assert format_media(format).content_type == b"application/fhir+xml; charset=utf-8"


@pytest.mark.parametrize("format", ["html", "ttl", "", "application/fhir+json; fhirVersion=3.0"])
def test_format_that_cannot_be_made(format):
    with pytest.raises(NotAcceptable, match="allowed: json, xml"):
        format_media(format)


BINARIES = {
    None: None,
    "*/*": None,
    "image/png": None,
    "image/*": None,
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/*,*/*;q=0.8": None,
    "application/xml;q=0.9, */*;q=0.1": None,
    "application/fhir+json": "application/fhir+json",
    "application/fhir+xml, image/png;q=0.5": "application/fhir+xml",
    "application/fhir+json, */*": "application/fhir+json",
    "application/json": "application/json",
    "application/json, image/png": None,
}


@pytest.mark.parametrize("accept", BINARIES)
def test_a_binary_is_given_as_what_it_is_unless_fhir_is_asked_for(accept):
    form = resource_form(accept, "image/png")
    assert (form and form.content_type.decode().partition(";")[0]) == BINARIES[accept]


def test_a_binary_of_another_type_is_refused_with_its_own():
    with pytest.raises(NotAcceptable, match="image/png, application"):
        resource_form("image/jpeg", "image/png")


ENCODINGS = {
    b"": None,
    b"gzip": "gzip",
    b"zstd": "zstd",
    b"gzip, deflate, br, zstd": "zstd",
    b"gzip;q=1.0, zstd;q=0.5": "gzip",
    b"GZIP": "gzip",
    b"gzip;q=0": None,
    b"*": "zstd",
    b"*, zstd;q=0": "gzip",
    b"br": None,
    b"identity, gzip;q=0.5": None,
    b"identity;q=0.5, gzip": "gzip",
    b"gzip;q=banana": "gzip",
}


@pytest.mark.parametrize("accept", ENCODINGS)
def test_which_encoding_is_chosen(accept):
    assert choose_encoding(accept) == ENCODINGS[accept]
