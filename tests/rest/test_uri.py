import pytest

from fhir_server.errors import InvalidContent
from fhir_server.rest.uri import split_path, split_query

PATHS = [
    (b"/fhir", ["fhir"]),
    (b"/fhir/", ["fhir"]),
    (b"/fhir/Patient/1", ["fhir", "Patient", "1"]),
    (b"/fhir/Patient/1/_history/2/", ["fhir", "Patient", "1", "_history", "2"]),
    (b"/fhir/Patient/%E5%BC%A0", ["fhir", "Patient", "张"]),
    (b"/fhir/Patient//1", ["fhir", "Patient", "", "1"]),
]
QUERIES = [
    (b"", ()),
    (b"name=a&name=b", (("name", "a"), ("name", "b"))),
    (b"name=%E5%BC%A0%E4%BC%9F", (("name", "张伟"),)),
    (b"a=1+2&b=1%2B2", (("a", "1 2"), ("b", "1+2"))),
    (b"identifier=http://x%7C1", (("identifier", "http://x|1"),)),
    (b"a=&=b&&c", (("a", ""), ("c", ""))),
    (b"a=b=c", (("a", "b=c"),)),
]


@pytest.mark.parametrize(("raw", "segments"), PATHS)
def test_a_path_is_split_then_decoded(raw, segments):
    assert split_path(raw) == segments


@pytest.mark.parametrize(("raw", "pairs"), QUERIES)
def test_a_query_is_split_then_decoded(raw, pairs):
    assert split_query(raw) == pairs


@pytest.mark.parametrize("text", ["%D5%C5%CE%B0", "a%FF", "%zz", "%", "%4", "100%", "%C3%28"])
def test_what_cannot_be_decoded_is_refused_and_not_replaced(text):
    with pytest.raises(InvalidContent, match="the query"):
        split_query(b"name=" + text.encode())
    with pytest.raises(InvalidContent, match="the path"):
        split_path(b"/fhir/Patient/" + text.encode())


def test_the_byte_that_is_not_utf_8_is_named():
    with pytest.raises(InvalidContent, match="byte 2 of the decoded text is not UTF-8"):
        split_query(b"name=ab%D5%C5")


@pytest.mark.parametrize("raw", ["name=张".encode(), b"name=\xff"])
def test_raw_bytes_beyond_ascii_are_refused(raw):
    with pytest.raises(InvalidContent, match="percent-encoded"):
        split_query(raw)
