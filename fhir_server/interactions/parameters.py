"""What a $operation is called with, read by its OperationDefinition: a query, a Parameters, or a bare resource.

Everything becomes one Parameters resource, so that an operation does not know how it was called.
Source: FHIR R4 operations.html#executing, parameters.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.errors import InvalidContent, InvalidSearch, Issue, Unprocessable
from fhir_server.interactions.bundles import Pairs
from fhir_server.interactions.context import Operation, Validate
from fhir_server.model.resource import Json

TEXTS = frozenset(
    {
        "base64Binary",
        "canonical",
        "code",
        "date",
        "dateTime",
        "id",
        "instant",
        "markdown",
        "oid",
        "string",
        "time",
        "uri",
        "url",
        "uuid",
    }
)
"""Primitive types that are strings in JSON: each may be given as valueString too."""


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text]


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", text):
        raise ValueError
    return int(text)


def _decimal(text: str) -> float:
    if not re.fullmatch(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?", text):
        raise ValueError
    return float(text)


PARSED: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "boolean": (_boolean, "true or false"),
    "decimal": (_decimal, "a number"),
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), (_whole, "a whole number")),
    **dict.fromkeys(TEXTS, (str, "a text")),
}
"""Primitive type → how its text in an address is read (ValueError, KeyError: it cannot), and what is allowed."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The values of a call: by parameter name, in order; ``others`` are search parameters (``Operation.searches``)."""

    values: Mapping[str, Sequence[Any]]
    others: Pairs = field(default=())

    def one(self, name: str, default: Any = None) -> Any:
        """The value of a parameter that comes at most once."""
        return self.all(name)[0] if name in self.values else default

    def all(self, name: str) -> Sequence[Any]:
        """The values of a parameter."""
        return self.values.get(name, ())


def inputs_of(operation: Operation) -> Mapping[str, Json]:
    """The definitions of the parameters that ``operation`` takes, by name."""
    defined = operation.definition.get("parameter", ())
    return {item["name"]: item for item in defined if item["use"] == "in"}


# ── to one Parameters ─────────────────────────────────────────────────────────


def gather(validate: Validate, operation: Operation, body: Json | None, query: Pairs) -> Json | None:
    """The Parameters that ``body`` and ``query`` make; None when there is neither.

    Raises InvalidContent for a body that is neither a Parameters nor the one resource that the operation takes,
    InvalidSearch with every fault of the query, Unprocessable with every malformed value of the body.
    """
    told = _of_query(validate, operation, query) if query else []
    given = _of_body(operation, body) if body is not None else []
    if given:
        _require_sound(validate, given)
    both = [*given, *told]
    return {"resourceType": "Parameters", "parameter": both} if both else None


def _of_body(operation: Operation, body: Json) -> list[Json]:
    kind = body.get("resourceType")
    if kind == "Parameters":
        entries = body.get("parameter", [])
        if not isinstance(entries, list) or not all(_is_named(entry) for entry in entries):
            raise InvalidContent(
                "parameter is a list of objects with a name", expression="Parameters.parameter"
            )
        return entries
    taking = [name for name, item in inputs_of(operation).items() if item.get("type") in {"Resource", kind}]
    if len(taking) != 1:
        raise InvalidContent(
            "the body of this operation is a Parameters", expression="resourceType", code="invalid"
        )
    return [{"name": taking[0], "resource": body}]


def _is_named(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), str)


def _require_sound(validate: Validate, entries: Sequence[Json]) -> None:
    """Raises Unprocessable unless the values are what R4 allows; resources are left to the operation."""
    places = [place for place, entry in enumerate(entries) if "resource" not in entry]
    shown = [entries[place] for place in places]
    issues = validate({"resourceType": "Parameters", "parameter": shown}) if shown else []
    faults = [issue for issue in issues if issue.is_error]
    if faults:
        raise Unprocessable(issues=[_moved(issue, places) for issue in faults])


_PLACE = re.compile(r"Parameters\.parameter\[(\d+)\]")


def _moved(issue: Issue, places: Sequence[int]) -> Issue:
    match = _PLACE.match(issue.expression or "")
    if match is None:
        return issue
    at = f"Parameters.parameter[{places[int(match[1])]}]"
    return replace(issue, expression=at + str(issue.expression)[match.end() :])


def _of_query(validate: Validate, operation: Operation, query: Pairs) -> list[Json]:
    known = inputs_of(operation)
    entries: list[Json] = []
    faults: list[Issue] = []
    for name, text in query:
        try:
            entries.append(_entry(operation, known, name, text))
        except ValueError as error:
            faults.append(Issue("error", "invalid", f"{name[:64]}: {error}", f"http.{name[:64]}"))
    if not faults:
        issues = validate({"resourceType": "Parameters", "parameter": entries})
        faults = [_of_address(issue, query) for issue in issues if issue.is_error]
    if faults:
        raise InvalidSearch(issues=faults)
    return entries


def _entry(operation: Operation, known: Mapping[str, Json], name: str, text: str) -> Json:
    """The parameter that ``name=text`` is. Raises ValueError that says why it is none."""
    item = known.get(name)
    if item is None and operation.searches:
        return {"name": name, "valueString": text}
    if item is None:
        listed = ", ".join(known) or "none"
        raise ValueError(f"${operation.code} has no such parameter; allowed: {listed}")
    type = item.get("type", "")
    if type not in PARSED:
        raise ValueError(f"a {type or 'parameter with parts'} cannot stand in an address: send it in a body")
    parse, allowed = PARSED[type]
    try:
        return {"name": name, _member(type): parse(text)}
    except (KeyError, ValueError) as error:
        raise ValueError(f"{allowed} is needed") from error


def _of_address(issue: Issue, query: Pairs) -> Issue:
    match = _PLACE.match(issue.expression or "")
    name = query[int(match[1])][0] if match else ""
    return replace(issue, text=re.sub(r"^value\w+", name, issue.text), expression=f"http.{name}")


def _member(type: str) -> str:
    return f"value{type[0].upper()}{type[1:]}"


# ── to values ─────────────────────────────────────────────────────────────────


def read_inputs(operation: Operation, parameters: Json | None) -> Inputs:
    """The values in ``parameters``. Raises InvalidContent with every parameter that is unknown, missing, of another
    type, or given more often than the definition allows."""
    known = inputs_of(operation)
    values: dict[str, list[Any]] = {}
    others: list[tuple[str, str]] = []
    faults: list[Issue] = []
    for place, entry in enumerate((parameters or {}).get("parameter", ())):
        name, where = entry["name"], f"Parameters.parameter[{place}]"
        try:
            if name in known:
                values.setdefault(name, []).append(_value(known[name], entry))
            elif operation.searches:
                others.append((name, _text(entry)))
            else:
                raise ValueError(f"no such parameter; allowed: {', '.join(known) or 'none'}")
        except ValueError as error:
            faults.append(Issue("error", "invalid", f"{name[:64]}: {error}", where))
    faults += _miscounted(known, values)
    if faults:
        raise InvalidContent(issues=faults)
    return Inputs(values, others)


def _value(item: Json, entry: Json) -> Any:
    """The value of ``entry`` as ``item`` defines it. Raises ValueError when it has none of that type."""
    type, resource = item.get("type", ""), entry.get("resource")
    if isinstance(resource, dict) and type in {"Resource", resource.get("resourceType")}:
        return resource
    for member in (_member(type), "valueString") if type in TEXTS else (_member(type),):
        if member in entry and resource is None:
            return entry[member]
    raise ValueError(f"it is given as {'resource' if type == 'Resource' else _member(type)}")


def _text(entry: Json) -> str:
    """The value of a search parameter as it would stand in an address. Raises ValueError when it cannot."""
    value = next((value for name, value in entry.items() if name.startswith("value")), None)
    if isinstance(value, dict):
        value = value.get("reference")
    if value is None or isinstance(value, list):
        raise ValueError("a search parameter is given as valueString, or as valueReference")
    return value if isinstance(value, str) else json.dumps(value)


def _miscounted(known: Mapping[str, Json], values: Mapping[str, Sequence[Any]]) -> list[Issue]:
    faults = []
    for name, item in known.items():
        number, most = len(values.get(name, ())), item["max"]
        if number < item["min"]:
            faults.append(
                Issue("error", "required", f"the parameter {name} is missing", "Parameters.parameter")
            )
        elif most != "*" and number > int(most):
            faults.append(
                Issue("error", "invalid", f"{name} is given more than {most} time", "Parameters.parameter")
            )
    return faults
