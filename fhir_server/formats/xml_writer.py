"""JSON → XML: one writer per element, made from the definitions when its type is first written.

Numbers are never parsed: their text goes from one form to the other. Source: FHIR R4 xml.html.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import msgspec

from fhir_server.definitions import Definitions
from fhir_server.errors import InvalidContent
from fhir_server.formats.xml_fields import DIV, FHIR, Field, Form, fields
from fhir_server.formats.xml_parsing import parse_div
from fhir_server.formats.xml_values import Unwritable, escaped, text_of

Json = dict[str, Any]
Put = Callable[[str], None]
Write = Callable[[Any, Json, Put], None]

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_decoder = json.JSONDecoder(parse_float=str, parse_int=str)


LARGE = 2**20
"""Bytes from which the entries of a Bundle are parsed one after another, so that no tree of all of them is made."""
_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BUNDLE = msgspec.Raw(b'"Bundle"')
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


def to_xml(definitions: Definitions, content: bytes) -> bytes:
    """``content``, a valid resource as JSON, in XML: elements in the standard's order, numbers as they were written.

    Raises InvalidContent for what R4 does not know, and for the few characters that XML cannot hold.
    """
    try:
        return _writer(definitions).document(_tree(content))
    except (Unwritable, TypeError, AttributeError, ValueError, msgspec.DecodeError) as error:
        reason = str(error) if isinstance(error, Unwritable) else "it has another structure than R4 defines"
        raise InvalidContent(f"this resource cannot be written as XML: {reason}") from error


def _tree(content: bytes) -> Json:
    """``content`` parsed, numbers as their text; the entries of a large Bundle as an iterator."""
    if len(content) < LARGE:
        tree: Json = _decoder.decode(content.decode())
        return tree
    raw = _raw_members.decode(content)
    entries = raw.pop("entry", None) if raw.get("resourceType") == _BUNDLE else None
    tree = {name: _parsed(value) for name, value in raw.items()}
    if entries is not None:
        tree["entry"] = map(_parsed, _raw_list.decode(entries))
    return tree


def _parsed(raw: msgspec.Raw) -> Any:
    return _decoder.decode(bytes(raw).decode())


class _Members:
    """The writers of an object's members: ``ranks`` and ``writes`` by JSON name, ``attributes`` in order."""

    __slots__ = ("attributes", "ranks", "writes")

    def __init__(self) -> None:
        self.ranks: dict[str, int] = {}
        self.writes: dict[str, Write] = {}
        self.attributes: tuple[str, ...] = ()

    def children(self, node: Json, put: Put) -> None:
        """Write the child elements of ``node``."""
        writes = self.writes
        try:
            for name in sorted(node, key=self.ranks.__getitem__):
                writes[name](node[name], node, put)
        except KeyError as error:
            raise Unwritable(f"R4 has no member {str(error)[:64]} there") from error

    def element(self, tag: str, node: Json, put: Put) -> None:
        """Write the element ``tag`` with the attributes and children of ``node``."""
        put(f"<{tag}")
        for name in self.attributes:
            if name in node:
                put(f' {name}="{escaped(node[name])}"')
        put(">")
        self.children(node, put)
        put(f"</{tag}>")


class _Writer:
    """The writers of one set of definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._known: dict[str, _Members] = {}

    def document(self, node: Json) -> bytes:
        parts: list[str] = [DECLARATION]
        kind = node.get("resourceType")
        self._resource(node, parts.append, f'{kind} xmlns="{FHIR}"')
        return "".join(parts).encode()

    def _resource(self, node: Json, put: Put, start: str | None = None) -> None:
        kind = node.get("resourceType")
        if kind not in self._definitions.resource_types:
            raise Unwritable(f"R4 has no resource type {str(kind)[:64]!r}")
        put(f"<{start or kind}>")
        self._members(str(kind)).children(node, put)
        put(f"</{kind}>")

    def _members(self, path: str) -> _Members:
        """The writers under ``path``; made when first asked for, together with all that they lead to."""
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = _Members()
            table = fields(self._definitions, path)
            known.attributes = tuple(name for name, field in table.items() if field.form is Form.ATTRIBUTE)
            for field in table.values():
                self._add(known, field)
            if (
                path in self._definitions.resource_types
            ):  # ExampleScenario.instance has an element of this name
                known.ranks["resourceType"], known.writes["resourceType"] = -1, _nothing
        return known

    def _add(self, members: _Members, field: Field) -> None:
        members.ranks[field.name] = field.rank
        members.writes[field.name] = self._write(field)
        if field.form is Form.PRIMITIVE:
            members.ranks["_" + field.name] = field.rank
            members.writes["_" + field.name] = self._write_lone_twin(field)

    def _write(self, field: Field) -> Write:
        if field.form is Form.ATTRIBUTE:
            return _nothing
        if field.form is Form.XHTML:
            return _write_xhtml
        if field.form is Form.PRIMITIVE:
            return self._write_primitives(field) if field.is_list else self._write_primitive(field)
        make = self._write_resource if field.form is Form.RESOURCE else self._write_complex
        return _each(make(field)) if field.is_list else make(field)

    def _write_resource(self, field: Field) -> Write:
        def write(value: Json, node: Json, put: Put) -> None:
            put(f"<{field.name}>")
            self._resource(value, put)
            put(f"</{field.name}>")

        return write

    def _write_complex(self, field: Field) -> Write:
        tag, members = field.name, self._members(field.path)

        def write(value: Json, node: Json, put: Put) -> None:
            members.element(tag, value, put)

        return write

    def _write_primitive(self, field: Field) -> Write:
        tag, twin = field.name, "_" + field.name
        start = f'<{tag} value="'

        def write(value: Any, node: Json, put: Put) -> None:
            if twin in node:
                self._write_twin(tag, value, node[twin], put)
            else:
                put(f'{start}{text_of(value)}"/>')

        return write

    def _write_primitives(self, field: Field) -> Write:
        tag, twin = field.name, "_" + field.name

        def write(values: list[Any], node: Json, put: Put) -> None:
            for value, extra in zip_longest(values, node.get(twin) or ()):
                self._write_twin(tag, value, extra, put)

        return write

    def _write_lone_twin(self, field: Field) -> Write:
        """``_name`` where ``name`` is missing; beside it, both are written together."""
        tag = field.name

        def write(value: Any, node: Json, put: Put) -> None:
            if tag not in node:
                for extra in value if field.is_list else (value,):
                    self._write_twin(tag, None, extra, put)

        return write

    def _write_twin(self, tag: str, value: Any, extra: Json | None, put: Put) -> None:
        put(f"<{tag}")
        if extra and "id" in extra:
            put(f' id="{escaped(extra["id"])}"')
        if value is not None:
            put(f' value="{text_of(value)}"')
        if extra and len(extra) > ("id" in extra):
            put(">")
            self._members("Element").children(extra, put)
            put(f"</{tag}>")
        else:
            put("/>")


_writer = lru_cache(maxsize=4)(_Writer)


def _each(write: Write) -> Write:
    def write_each(values: Iterable[Any], node: Json, put: Put) -> None:
        for value in values:
            write(value, node, put)

    return write_each


def _nothing(value: Any, node: Json, put: Put) -> None:
    """For members that are written elsewhere: attributes, and the resourceType."""


def _write_xhtml(value: str, node: Json, put: Put) -> None:
    put(_checked_div(value))


def _checked_div(div: str) -> str:
    """``div``, which must be one well-formed XHTML ``<div>``: it is put into the document as it is."""
    try:
        root = parse_div(div)
    except InvalidContent as error:
        raise Unwritable("its narrative is not well-formed XHTML") from error
    if root.tag != DIV:
        raise Unwritable("its narrative is not an XHTML div")
    return div
