"""Bytes → elements, by a parser that knows no document type, no entities but XML's own five, and no network.

Source: FHIR R4 xml.html, security.html#narrative.
"""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

from fhir_server.errors import InvalidContent

MOST_TAGS = 8_000_000
"""Tags of one document, start and end counted: an element costs about 200 bytes until it is read."""
_ENCODING = re.compile(rb"""<\?xml[^>]*\bencoding\s*=\s*["']([^"'>]*)["']""")
_UTF8 = frozenset({b"utf-8", b"utf8", b"us-ascii", b"ascii"})
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_xml(xml: bytes) -> Any:
    """The root element (of lxml) of ``xml``. Raises InvalidContent for what is not well formed or not safe."""
    xml = xml.removeprefix(_BYTE_ORDER_MARK)
    _check_safe(xml)
    _check_utf8(xml)
    try:
        return etree.fromstring(xml, _parser())
    except etree.XMLSyntaxError as error:
        raise InvalidContent(f"the body is not well-formed XML: {error.msg}") from error


def parse_div(text: str) -> Any:
    """The root element of a narrative. Raises InvalidContent for what is not well formed or not safe."""
    if text.startswith("<?xml"):
        raise InvalidContent("a narrative may not have an XML declaration")
    return parse_xml(text.encode())


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False
    )


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
