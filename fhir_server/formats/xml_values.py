"""Primitive values between their two spellings: an attribute's text in XML, a string, number or boolean in JSON.

Source: FHIR R4 xml.html, json.html#primitive, datatypes.html#primitive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from fhir_server.formats.xml_faults import Faults

Json = dict[str, Any]
Convert = Callable[[Any, str, Faults], Any]
"""(element, text of its value, faults) → the value for orjson."""

# ── from XML ──────────────────────────────────────────────────────────────────

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BOOLEANS = {"true": True, "false": False}


def _string(element: Any, text: str, faults: Faults) -> str:
    if not text or text.isspace():
        faults.add(element, "has an empty value")
    return text


def _boolean(element: Any, text: str, faults: Faults) -> bool | None:
    found = _BOOLEANS.get(text.strip())
    if found is None:
        faults.add(element, "must be true or false", code="value")
    return found


def _number(element: Any, text: str, faults: Faults) -> orjson.Fragment:
    """The number with its own text; JSON has no other form for it than XML."""
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        faults.add(element, "must be a number such as 5.40, -3 or 1e2", code="value")
    return orjson.Fragment(text)


_CONVERTERS: Mapping[str, Convert] = {
    "boolean": _boolean,
    **dict.fromkeys(("decimal", "integer", "positiveInt", "unsignedInt"), _number),
}


def converter(type: str) -> Convert:
    """How the text of a value of the primitive ``type`` is read."""
    return _CONVERTERS.get(type, _string)


def append(node: Json, name: str, value: Any, extra: Json | None) -> None:
    """One more value of a repeating primitive; values and extensions keep step (json.html#primitive)."""
    twin = "_" + name
    values, extras = node.get(name), node.get(twin)
    count = len(extras or ()) if values is None else len(values)
    _extend(node, name, values, value, count)
    _extend(node, twin, extras, extra, count)


def _extend(node: Json, name: str, items: list[Any] | None, item: Any, count: int) -> None:
    """Add ``item`` to ``items``, which are made (after ``count`` nulls) when there is a first one to keep."""
    if items is not None:
        items.append(item)
    elif item is not None:
        node[name] = [None] * count + [item]


# ── to XML ────────────────────────────────────────────────────────────────────

_SPECIAL = re.compile('[&<>"\t\n\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}


class Unwritable(Exception):
    """The tree is not a resource of R4, or a text has a character that XML 1.0 has no form for."""


def text_of(value: Any) -> str:
    """A value (a string, a number's text or a boolean) for an attribute. Raises Unwritable."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return escaped(value)


def escaped(text: str) -> str:
    """``text`` for an attribute in double quotes; white space other than a blank must be escaped to survive."""
    return _SPECIAL.sub(_escape, text) if _SPECIAL.search(text) else text


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character not in _ESCAPES:
        raise Unwritable(f"it holds the character U+{ord(character):04X}, which XML 1.0 has no form for")
    return _ESCAPES[character]
