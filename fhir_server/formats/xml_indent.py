"""XML for people: one element a line. The narrative stays as it is, because white space counts there."""

from __future__ import annotations

from typing import Any

from lxml import etree

from fhir_server.formats.xml_fields import DIV
from fhir_server.formats.xml_parsing import parse_xml

STEP = "  "


def indent(xml: bytes) -> bytes:
    """``xml``, a resource without white space between its elements, with line breaks and indentation."""
    root = parse_xml(xml)
    _indent(root, "\n")
    indented: bytes = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return indented


def _indent(element: Any, outer: str) -> None:
    """``outer`` is the line break before the element's own tag."""
    children = [] if element.tag == DIV else list(element)
    if not children:
        return
    element.text = outer + STEP
    for child in children:
        _indent(child, outer + STEP)
        child.tail = outer + STEP
    children[-1].tail = outer
