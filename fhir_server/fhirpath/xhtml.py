"""What may stand in a narrative: XHTML without anything that acts, loads or belongs to the head of a page.

Source: FHIR R4 narrative.html#xhtml (HTML 4.0 chapters 7 to 11 without 9.4, and 15).
"""

from __future__ import annotations

import re
from html.entities import name2codepoint
from typing import Any

from lxml import etree

SPACE = "http://www.w3.org/1999/xhtml"
LONGEST = 5_000_000
"""Characters of a narrative."""

_ELEMENTS = """
    div span bdo p br h1 h2 h3 h4 h5 h6 address hr pre blockquote q
    em strong dfn code samp kbd var cite abbr acronym sub sup tt i b big small
    ul ol li dl dt dd
    table caption colgroup col thead tfoot tbody tr th td
    a img map area
"""
_EVERYWHERE = """
    id class title style lang xml:lang xml:space dir accesskey tabindex
    span width align valign char charoff abbr axis headers scope rowspan colspan
"""
ELEMENTS = frozenset(_ELEMENTS.split())
EVERYWHERE = frozenset(_EVERYWHERE.split())
BY_ELEMENT = {
    "a": frozenset({"href", "name", "charset", "type", "hreflang", "rel", "rev", "shape", "coords"}),
    "img": frozenset({"src", "alt", "longdesc", "height", "usemap", "ismap", "border"}),
    "map": frozenset({"name"}),
    "area": frozenset({"shape", "coords", "href", "nohref", "alt"}),
    "table": frozenset({"summary", "border", "frame", "rules", "cellspacing", "cellpadding"}),
    "blockquote": frozenset({"cite"}),
    "q": frozenset({"cite"}),
    "td": frozenset({"nowrap"}),
    "th": frozenset({"nowrap"}),
    "pre": frozenset({"space"}),
}
_XML = "{http://www.w3.org/XML/1998/namespace}"
_ACTIVE = re.compile(
    r"\s*(?:javascript|vbscript|data:text)|expression\s*\(|@import|behaviou?r\s*:", re.IGNORECASE
)
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_OF_XML = frozenset({"amp", "lt", "gt", "quot", "apos"})


def is_narrative(text: Any) -> bool:
    """Whether ``text`` is one ``div`` that keeps the rules and says or shows something."""
    if not isinstance(text, str) or len(text) > LONGEST or "<!" in text.replace("<!--", ""):
        return False
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        root = etree.fromstring(_ENTITY.sub(_character, text).encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return False
    if root.tag != f"{{{SPACE}}}div" or not all(_is_allowed(element) for element in root.iter()):
        return False
    return bool("".join(root.itertext()).strip()) or root.find(f".//{{{SPACE}}}img") is not None


def _character(match: re.Match[str]) -> str:
    """The characters that HTML has names for; XML's own stay as they are."""
    name = match[1]
    return match[0] if name in _OF_XML or name not in name2codepoint else f"&#{name2codepoint[name]};"


def _is_allowed(element: Any) -> bool:
    if not isinstance(element.tag, str):
        return False
    space, _, name = element.tag.rpartition("}")
    if space != "{" + SPACE or name not in ELEMENTS:
        return False
    own = EVERYWHERE | BY_ELEMENT.get(name, frozenset())
    return all(
        key.replace(_XML, "xml:") in own and not _ACTIVE.search(value)
        for key, value in element.attrib.items()
    )
