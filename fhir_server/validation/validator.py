"""The structural validator: a generated JSON Schema run by jsonschema-rs, then what a schema cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import jsonschema_rs
import orjson

from fhir_server.definitions import Definitions
from fhir_server.errors import Issue
from fhir_server.validation.characters import control_characters, may_have_control_characters
from fhir_server.validation.contained import contained_faults
from fhir_server.validation.explain import explain
from fhir_server.validation.judge import Surroundings, contained_types
from fhir_server.validation.narrative import narrative_fault
from fhir_server.validation.nested import Nested, nested_branches, nested_resources
from fhir_server.validation.place import NAME_LIKE, Place, locate, resource_type
from fhir_server.validation.schema import type_schema

Json = dict[str, Any]
PATTERNS = jsonschema_rs.RegexOptions()
MAX_NESTING = 16


class _Compiled(NamedTuple):
    """What the checks of one resource type need, made when the type is first seen."""

    schema: jsonschema_rs.Draft4Validator
    nested: Nested


class Validator:
    """Checks resources against the structure of R4. A type costs about 3 ms and 0.6 MB when it is first seen."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._compiled: dict[str, _Compiled] = {}
        self._data_types: dict[str, jsonschema_rs.Draft4Validator] = {}

    def validate(self, data: Json) -> list[Issue]:
        """Every fault of the resource ``data`` and of the resources inside it; [] when there is none.

        ``data`` is JSON as orjson parses it. The digits of a decimal are not judged: they are in the
        bytes only, and a number that no double can hold does not come through the parser.
        """
        compiled = self._lookup(data.get("resourceType"))
        try:
            has_escapes = may_have_control_characters(data)
        except orjson.JSONEncodeError as error:
            text = f"this is not JSON, or it is nested too deep: {error}"
            return [Issue("error", "structure", text, _name_of(data))]
        if compiled and not has_escapes and _is_plainly_good(compiled, data):
            return []
        found = list(self._resource(data, _name_of(data), None, 0))
        if has_escapes:
            found.extend(self._characters(data, _name_of(data)))
        return found

    def _resource(
        self, data: object, expression: str, container: Mapping[str, str] | None, depth: int
    ) -> Iterator[Issue]:
        """The faults of one resource; ``container`` has the types of its fellows by id when it is contained."""
        if not isinstance(data, dict):
            yield Issue("error", "structure", "a resource must be an object", expression)
            return
        compiled = self._lookup(data.get("resourceType"))
        if compiled is None:
            yield self._unknown_type(data.get("resourceType"), expression)
        elif not _is_plainly_good(compiled, data):
            yield from self._parts(compiled, data, expression, container, depth)

    def _parts(
        self,
        compiled: _Compiled,
        data: Json,
        expression: str,
        container: Mapping[str, str] | None,
        depth: int,
    ) -> Iterator[Issue]:
        if not compiled.schema.is_valid(data):
            fellows = contained_types(data) if container is None else container
            around = Surroundings(self._definitions, self._errors_of, fellows)
            root = Place(expression, data["resourceType"], data)
            yield from explain(around, root, compiled.schema.iter_errors(data))
        yield from _narrative(data.get("text"), expression)
        if isinstance(data.get("contained"), list) and container is None:
            yield from self._contained(data, expression, depth)
        if compiled.nested:
            yield from self._nested(compiled.nested, data, expression, depth)

    def _lookup(self, type: object) -> _Compiled | None:
        if not isinstance(type, str):
            return None
        compiled = self._compiled.get(type)
        if compiled is None and type in self._definitions.resource_types:
            nested = nested_branches(self._definitions, type)
            compiled = self._compiled[type] = _Compiled(self._compile(type), nested)
        return compiled

    def _compile(self, type: str) -> jsonschema_rs.Draft4Validator:
        return jsonschema_rs.Draft4Validator(type_schema(self._definitions, type), pattern_options=PATTERNS)

    def _errors_of(self, type: str, value: Any) -> Iterator[jsonschema_rs.ValidationError]:
        if type not in self._data_types:
            self._data_types[type] = self._compile(type)
        return self._data_types[type].iter_errors(value)

    def _contained(self, data: Json, expression: str, depth: int) -> Iterator[Issue]:
        entries = data["contained"]
        fellows = contained_types(data)
        for index, entry in enumerate(entries):
            yield from self._resource(entry, f"{expression}.contained[{index}]", fellows, depth + 1)
        yield from contained_faults(entries, data, expression)

    def _nested(self, branches: Nested, data: Json, expression: str, depth: int) -> Iterator[Issue]:
        if depth >= MAX_NESTING:
            text = f"resources may be nested at most {MAX_NESTING} deep"
            yield Issue("error", "too-long", text, expression)
            return
        for place, inner in nested_resources(branches, data["resourceType"], data, expression):
            yield from self._resource(inner, place, None, depth + 1)

    def _characters(self, data: Json, expression: str) -> Iterator[Issue]:
        root = Place(expression, resource_type(self._definitions, data), data)
        for steps in control_characters(data):
            text = "control characters are not allowed in a string (only tab, line feed and carriage return)"
            yield Issue("error", "value", text, locate(self._definitions, root, steps).expression)

    def _unknown_type(self, type: object, expression: str) -> Issue:
        if type is None:
            return Issue("error", "required", "resourceType is required", f"{expression}.resourceType")
        if not isinstance(type, str) or not NAME_LIKE.fullmatch(type):
            return Issue("error", "structure", "resourceType must be the name of an R4 resource", expression)
        near = get_close_matches(type, self._definitions.resource_types, n=1)
        hint = f"; the nearest one is {near[0]}" if near else ""
        return Issue("error", "structure", f"{type} is not a resource type of FHIR R4{hint}", expression)


def _name_of(data: Json) -> str:
    """What an expression about ``data`` begins with: its type, when that is a name."""
    type = data.get("resourceType")
    return type if isinstance(type, str) and NAME_LIKE.fullmatch(type) else "Resource"


def _is_plainly_good(compiled: _Compiled, data: Json) -> bool:
    """True for a good resource with none inside it: the usual case, in a few steps."""
    if compiled.nested or "contained" in data or not compiled.schema.is_valid(data):
        return False
    text = data.get("text")
    return text is None or narrative_fault(text["div"]) is None


def _narrative(text: object, expression: str) -> Iterator[Issue]:
    div = text.get("div") if isinstance(text, dict) else None
    if isinstance(div, str) and (fault := narrative_fault(div)):
        yield Issue("error", "invalid", f"the narrative {fault}", f"{expression}.text.div")
