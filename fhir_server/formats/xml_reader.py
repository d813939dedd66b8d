"""XML → JSON: one reader per element, made from the definitions when its type is first read.

Source: FHIR R4 xml.html, json.html#xml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

import orjson
from lxml import etree

from fhir_server.definitions import Definitions
from fhir_server.errors import InvalidContent
from fhir_server.formats.xml_faults import Faults, local_name
from fhir_server.formats.xml_fields import DIV, FHIR, IN_FHIR, Field, Form, fields
from fhir_server.formats.xml_parsing import parse_xml
from fhir_server.formats.xml_values import Convert, append, converter
from fhir_server.model.resource import MAX_DEPTH

Json = dict[str, Any]

INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"
"""Attributes of this namespace (a schemaLocation) say nothing about the resource and are passed over."""


def from_xml(definitions: Definitions, xml: bytes) -> bytes:
    """The resource in ``xml`` as JSON bytes: numbers keep their text, comments are dropped, the narrative is kept.

    Raises InvalidContent when it is not well formed, and with every fault at once (line and path) when elements are
    unknown, empty, repeated, out of the standard's order or have text where none belongs. Whether the values
    are right is the validator's to say.
    """
    state, reader = _State(), _reader(definitions)
    root = parse_xml(xml, lambda element: reader.entry(element, state))
    tree = reader.resource(root, state)
    state.faults.raise_any()
    return orjson.dumps(tree)


class _State:
    """One reading: its faults, how deep it is, and the entries of a large Bundle that have been read already."""

    __slots__ = ("depth", "entries", "faults")

    def __init__(self) -> None:
        self.faults = Faults()
        self.depth = 0
        self.entries: dict[Any, orjson.Fragment] = {}


Read = Callable[[Any, Json, _State], None]
Table = dict[str, tuple[int, Read]]


class _Members:
    """The readers of an element's children by tag, and the names of its attributes."""

    __slots__ = ("attributes", "by_tag")

    def __init__(self) -> None:
        self.by_tag: Table = {}
        self.attributes: frozenset[str] = frozenset()

    def read(self, element: Any, state: _State) -> Json | orjson.Fragment:
        """The object that ``element`` means; JSON when it has been read already."""
        if state.entries and element in state.entries:
            return state.entries.pop(element)
        node: Json = {}
        for name, value in element.items():
            self._attribute(element, name, value, node, state)
        self.children(element, node, state)
        if not node:
            state.faults.add(element, "is empty: it needs children or an extension")
        return node

    def children(self, element: Any, node: Json, state: _State) -> None:
        """Add to ``node`` what the children of ``element`` mean."""
        state.depth += 1
        if state.depth > MAX_DEPTH:
            raise InvalidContent(
                f"line {element.sourceline}: more than {MAX_DEPTH} elements inside each other",
                code="too-costly",
            )
        _refuse_text(element, element.text, state)
        rank, by_tag = -1, self.by_tag
        for child in element.iterchildren():
            tail = child.tail
            if tail is not None and not tail.isspace():
                _refuse_text(element, tail, state)
            known = by_tag.get(child.tag)
            if known is None:
                _stray(child, state)
                continue
            if known[0] < rank:
                state.faults.add(child, "stands too late: elements keep the order of the standard")
            rank = known[0]
            known[1](child, node, state)
        state.depth -= 1

    def _attribute(self, element: Any, name: str, value: str, node: Json, state: _State) -> None:
        if name in self.attributes:
            node[name] = value
            if not value.strip():
                state.faults.add(element, f"has an empty attribute {name}")
        else:
            _refuse_attribute(element, name, state)


class _Reader:
    """The readers of one set of definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._known: dict[str, _Members] = {}

    def resource(self, element: Any, state: _State) -> Json:
        """The resource that ``element`` is."""
        kind = element.tag.removeprefix(IN_FHIR)
        if kind not in self._definitions.resource_types or kind == element.tag:
            state.faults.add(element, f"is no resource of R4 in the namespace {FHIR}")
            return {}
        node: Json = {"resourceType": kind}
        for name in element.attrib:
            _refuse_attribute(element, name, state)
        self._members(kind).children(element, node, state)
        return node

    def entry(self, element: Any, state: _State) -> None:
        """Read one entry of a Bundle ahead of the rest."""
        state.depth = 1
        node = self._members("Bundle.entry").read(element, state)
        state.depth = 0
        state.entries[element] = orjson.Fragment(orjson.dumps(node))

    def _members(self, path: str) -> _Members:
        """The readers under ``path``; made when first asked for, together with all that they lead to."""
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = _Members()
            table = fields(self._definitions, path)
            known.attributes = frozenset(n for n, field in table.items() if field.form is Form.ATTRIBUTE)
            known.by_tag.update(self._by_tag(table))
        return known

    def _by_tag(self, table: Mapping[str, Field]) -> Table:
        return {
            DIV if field.form is Form.XHTML else IN_FHIR + field.name: (field.rank, self._read(field))
            for field in table.values()
            if field.form is not Form.ATTRIBUTE
        }

    def _read(self, field: Field) -> Read:
        if field.form is Form.PRIMITIVE:
            return self._read_primitive(field)
        value = self._read_value(field)
        return _add_each(field.name, value) if field.is_list else _add_one(field.name, value)

    def _read_value(self, field: Field) -> Callable[[Any, _State], Any]:
        if field.form is Form.XHTML:
            return _xhtml
        return self._inner_resource if field.form is Form.RESOURCE else self._members(field.path).read

    def _inner_resource(self, element: Any, state: _State) -> Json:
        """The resource inside an element such as ``contained``."""
        for name in element.attrib:
            _refuse_attribute(element, name, state)
        inner = [child for child in element.iterchildren() if isinstance(child.tag, str)]
        for text in (element.text, *(child.tail for child in element.iterchildren())):
            _refuse_text(element, text, state)
        if len(inner) != 1:
            state.faults.add(element, "must hold one resource")
            return {}
        return self.resource(inner[0], state)

    def _read_primitive(self, field: Field) -> Read:
        name, twin, is_list = field.name, "_" + field.name, field.is_list
        convert = converter(field.type)

        def read(element: Any, node: Json, state: _State) -> None:
            items = element.items()
            extra = None
            if len(items) == 1 and items[0][0] == "value" and element.text is None and len(element) == 0:
                value = convert(element, items[0][1], state.faults)
            else:
                value, extra = self._extended(element, items, convert, state)
            if is_list:
                append(node, name, value, extra)
            elif name in node or twin in node:
                state.faults.add(element, "may stand there only once")
            else:
                if value is not None:
                    node[name] = value
                if extra:
                    node[twin] = extra

        return read

    def _extended(
        self, element: Any, items: list[tuple[str, str]], convert: Convert, state: _State
    ) -> tuple[Any, Json | None]:
        """Value and extensions of a primitive that has more than a value."""
        given = dict(items)
        text = given.pop("value", None)
        extra: Json = {}
        inside = self._members("Element")
        for name, value in given.items():
            inside._attribute(element, name, value, extra, state)
        inside.children(element, extra, state)
        if text is None and "extension" not in extra:
            state.faults.add(element, "has neither a value nor an extension")
        return (None if text is None else convert(element, text, state.faults)), extra or None


_reader = lru_cache(maxsize=4)(_Reader)


def _add_one(name: str, value: Callable[[Any, _State], Any]) -> Read:
    def read(element: Any, node: Json, state: _State) -> None:
        if name in node:
            state.faults.add(element, "may stand there only once")
        node[name] = value(element, state)

    return read


def _add_each(name: str, value: Callable[[Any, _State], Any]) -> Read:
    def read(element: Any, node: Json, state: _State) -> None:
        items = node.get(name)
        if items is None:
            items = node[name] = []
        items.append(value(element, state))

    return read


def _refuse_attribute(element: Any, name: str, state: _State) -> None:
    if not name.startswith(INSTANCE):
        state.faults.add(element, f"has the attribute {name[:64]!r}, which does not belong there")


def _xhtml(element: Any, state: _State) -> str:
    """The narrative as text; prefixes of the outer document that it does not use are left out."""
    if len(element.nsmap) > 1:
        element = deepcopy(element)
        etree.cleanup_namespaces(element)
    text: str = etree.tostring(element, encoding="unicode", with_tail=False)
    return text


def _refuse_text(element: Any, text: str | None, state: _State) -> None:
    if text is not None and not text.isspace():
        state.faults.add(element, "has text between its elements: values stand in the attribute value")


def _stray(child: Any, state: _State) -> None:
    """A child that is not known; comments and processing instructions are passed over."""
    if child.tag is etree.Entity:
        state.faults.add(child.getparent(), "refers to an entity; XML's own five and numbers are allowed")
    elif isinstance(child.tag, str):
        home = etree.QName(child).namespace
        where = "" if home == FHIR else f" (its namespace is {str(home)[:80]}, FHIR's is {FHIR})"
        state.faults.add(child, f"is no element that {local_name(child.getparent())} has{where}")
