"""Bytes → elements, by a parser that knows no document type, no entities but XML's own five, and no network.

Source: FHIR R4 xml.html, security.html#narrative.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lxml import etree

from fhir_server.errors import InvalidContent
from fhir_server.formats.xml_fields import IN_FHIR

MOST_TAGS = 8_000_000
"""Tags of one document, start and end counted: an element costs about 200 bytes until it is read."""
LARGE = 2**20
"""Bytes from which a Bundle is read entry by entry, so that its elements are never there all at once."""
PIECE = 65_536
_OPTIONS: Mapping[str, Any] = {
    "encoding": "utf-8",
    "resolve_entities": False,
    "load_dtd": False,
    "no_network": True,
    "huge_tree": False,
}
_ENCODING = re.compile(rb"""<\?xml[^>]*\bencoding\s*=\s*["']([^"'>]*)["']""")
_UTF8 = frozenset({b"utf-8", b"utf8", b"us-ascii", b"ascii"})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_xml(xml: bytes, entry: Callable[[Any], None] | None = None) -> Any:
    """The root element (of lxml) of ``xml``. Raises InvalidContent for what is not well formed or not safe.

    ``entry`` is given each entry of a large Bundle as soon as it has been read; the element is emptied after that.
    """
    xml = xml.removeprefix(_BYTE_ORDER_MARK)
    _check_safe(xml)
    _check_utf8(xml)
    try:
        if entry is None or len(xml) < LARGE:
            return etree.fromstring(xml, etree.XMLParser(**_OPTIONS))
        return _parse_by_entry(xml, entry)
    except etree.XMLSyntaxError as error:
        raise _told(str(error.msg)) from error


def _told(message: str) -> InvalidContent:
    if "XML_PARSE_HUGE" in message:  # libxml2's own limits
        return InvalidContent(
            "the XML is beyond what is read here: a value has at most 10 MB, and at most 64 elements stand inside "
            "each other; longer contents can be sent as JSON",
            code="too-costly",
        )
    return InvalidContent(f"the body is not well-formed XML: {message}")


def _parse_by_entry(xml: bytes, entry: Callable[[Any], None]) -> Any:
    parser = etree.XMLPullParser(events=("end",), tag=f"{IN_FHIR}entry", **_OPTIONS)
    for start in range(0, len(xml), PIECE):
        parser.feed(xml[start : start + PIECE])
        for _, element in parser.read_events():
            parent = element.getparent()
            if parent is not None and parent.tag == f"{IN_FHIR}Bundle" and parent.getparent() is None:
                entry(element)
                element.clear(keep_tail=True)
    return parser.close()


def parse_div(text: str) -> Any:
    """The root element of a narrative. Raises InvalidContent for what is not well formed or not safe."""
    if text.startswith("<?xml"):
        raise InvalidContent("a narrative may not have an XML declaration")
    return parse_xml(text.encode())


def _check_safe(xml: bytes) -> None:
    if b"<!DOCTYPE" in xml:
        raise InvalidContent("an XML resource may not have a document type (DOCTYPE) or declare entities")
    if xml.count(b"<") > MOST_TAGS:
        raise InvalidContent(f"the XML has more than {MOST_TAGS} tags", code="too-costly")


def _check_utf8(xml: bytes) -> None:
    declared = _ENCODING.match(xml)
    if declared and declared[1].lower() not in _UTF8:
        raise InvalidContent("FHIR's XML is UTF-8; the XML declaration names another encoding")
    try:
        xml.decode()
    except UnicodeDecodeError as error:
        raise InvalidContent(
            f"the body is not UTF-8: byte {error.start} cannot be read; FHIR's XML is UTF-8, not GBK or GB18030"
        ) from error
