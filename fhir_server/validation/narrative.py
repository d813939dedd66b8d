"""The narrative's XHTML: well formed, one ``<div>``, and nothing that runs or loads on its own.

A document type, and with it every entity of one's own, is refused before anything is parsed, so there is
nothing to expand and nothing to fetch. Elements and attributes are an allow-list.
Source: FHIR R4 narrative.html, invariants txt-1 and txt-2.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.parsers import expat

NAMESPACE = "http://www.w3.org/1999/xhtml"
PREFIX = f"{{{NAMESPACE}}}"
ELEMENTS = """
    a abbr acronym address area b bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt
    em font h1 h2 h3 h4 h5 h6 hr i img ins kbd li map ol p pre q samp small span strong sub sup table tbody td
    tfoot th thead tr tt u ul var
"""
ATTRIBUTES = """
    abbr accesskey align alt axis bgcolor border cellpadding cellspacing char charoff charset cite class color
    cols colspan compact coords datetime dir face frame headers height href hreflang id ismap lang longdesc name
    nohref noshade nowrap rel rev rowspan rules scope shape size span src start style summary tabindex target
    title type usemap valign value width
"""
KNOWN_TAGS = frozenset(PREFIX + name for name in ELEMENTS.split())
XML_ATTRIBUTES = {f"{{http://www.w3.org/XML/1998/namespace}}{name}" for name in ("lang", "space")}
KNOWN_ATTRIBUTES = frozenset(ATTRIBUTES.split()) | XML_ATTRIBUTES
LINKS = frozenset({"cite", "href", "longdesc", "src", "usemap"})
SCHEMES = frozenset({"http", "https", "ftp", "mailto", "tel", "urn", "cid", "file", "data"})
SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):", re.ASCII)
INVISIBLE = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028\u2029\ufeff]")
ACTIVE_STYLE = re.compile(r"expression\(|javascript:|vbscript:|behaviou?r:|-moz-binding|@import|\\|/\*")


def narrative_fault(div: str) -> str | None:
    """What is wrong with the XHTML ``div``: the end of a sentence that begins "the narrative …"; None when fine."""
    if "<!DOCTYPE" in div:
        return "may not have a document type or declare entities"
    if "<?" in div:
        return "may not contain processing instructions"
    try:
        root = ElementTree.fromstring(div)  # noqa: S314 - there is no document type, so no entity to expand
    except ElementTree.ParseError as error:
        return _not_well_formed(error)
    return _tag_fault(root) or _attribute_fault(root) or _empty_fault(root)


def _not_well_formed(error: ElementTree.ParseError) -> str:
    line, column = error.position
    reason = expat.ErrorString(error.code)
    return f"must be well-formed XHTML: {reason} (line {line}, column {column + 1}); &nbsp; is written &#160;"


def _tag_fault(root: ElementTree.Element) -> str | None:
    if root.tag != f"{PREFIX}div":
        return f'must be one <div xmlns="{NAMESPACE}">'
    strange = {element.tag for element in root.iter()} - KNOWN_TAGS
    if not strange:
        return None
    names = ", ".join(sorted(_short(tag.removeprefix(PREFIX)) for tag in strange))
    return f"may hold only text, formatting, links and images, not: {names}"


def _attribute_fault(root: ElementTree.Element) -> str | None:
    given = [item for element in root.iter() if element.attrib for item in element.attrib.items()]
    return next((fault for name, value in given if (fault := _one_attribute_fault(name, value))), None)


def _one_attribute_fault(name: str, value: str) -> str | None:
    if name not in KNOWN_ATTRIBUTES:
        return f"may not have the attribute {_short(name)}"
    if name in LINKS:
        return _link_fault(name, INVISIBLE.sub("", value).lower())
    if name == "style" and ACTIVE_STYLE.search(INVISIBLE.sub("", value).lower()):
        return "may not have a style that runs or loads something"
    return None


def _link_fault(attribute: str, address: str) -> str | None:
    scheme = SCHEME.match(address)
    if scheme and scheme[1] not in SCHEMES:
        return f"may not link to an address that begins with {_short(scheme[1])}:"
    if address.startswith("data:") and not (attribute == "src" and address.startswith("data:image/")):
        return "may embed only images"
    return None


def _empty_fault(root: ElementTree.Element) -> str | None:
    has_text = any(not text.isspace() for text in root.itertext())
    return None if has_text or root.find(f".//{PREFIX}img") is not None else "must have some text or an image"


def _short(name: str) -> str:
    return name if len(name) <= 32 and name.isascii() else "one with an unusual name"
