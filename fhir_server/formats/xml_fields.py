"""How each JSON member looks in XML: as an attribute, an element with a value, with children, a resource or XHTML.

Source: FHIR R4 xml.html, json.html#xml.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import Member

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
IN_FHIR = f"{{{FHIR}}}"
DIV = f"{{{XHTML}}}div"


class Form(Enum):
    """What a member becomes in XML."""

    ATTRIBUTE = "attribute"
    PRIMITIVE = "primitive"
    COMPLEX = "complex"
    RESOURCE = "resource"
    XHTML = "xhtml"


class Field(msgspec.Struct, frozen=True, gc=False):
    """One member of an object: ``rank`` is its place in the standard's order (choices of one element share it).

    ``path`` leads to its own members, "" for a primitive, whose extensions are those of ``Element``.
    """

    name: str
    form: Form
    rank: int
    is_list: bool
    type: str
    path: str


def fields(definitions: Definitions, path: str) -> Mapping[str, Field]:
    """The fields under ``path`` (a type or an element, see ``Definitions.members``) by JSON name, in order."""
    kind = definitions.types[path.partition(".")[0]].kind
    ranks: dict[str, int] = {}
    found = {}
    for name, member in definitions.members(path).items():
        rank = ranks.setdefault(member.element.path, len(ranks))
        form = _form(member, is_resource=kind == "resource" and "." not in path)
        found[name] = Field(name, form, rank, member.element.is_list, member.type, member.path)
    return found


def _form(member: Member, *, is_resource: bool) -> Form:
    if member.type == "Resource":
        return Form.RESOURCE
    if member.type == "xhtml":
        return Form.XHTML
    if member.path:
        return Form.COMPLEX
    is_id = member.json_name == "id" and not is_resource
    return Form.ATTRIBUTE if is_id or member.element.path == "Extension.url" else Form.PRIMITIVE
