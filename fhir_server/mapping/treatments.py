"""What happens to a field's text: the steps in their fixed order (split, replace, functions), then the finish."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.mapping import finishes
from fhir_server.mapping.checks import CHECKS
from fhir_server.mapping.dates import parse_format
from fhir_server.mapping.functions import FUNCTIONS
from fhir_server.mapping.names import Names
from fhir_server.mapping.pieces import Piece, texts
from fhir_server.mapping.types import Step

TREATMENTS = frozenset({"split", "replace", "apply", "check", "lookup", "date"})
_PLAIN = {
    "string": finishes.as_string,
    "decimal": finishes.as_decimal,
    "integer": finishes.as_integer,
    "boolean": finishes.as_boolean,
}


def compile_steps(data: Mapping[str, Any], piece: Piece) -> tuple[Step, ...]:
    """The steps of a field. Raises CompileFault."""
    steps = []
    if "split" in data:
        steps.append(_split(data["split"]["on"], int(data["split"]["part"])))
    if "replace" in data:
        steps.append(_replace(data["replace"], piece))
    for name in texts(data.get("apply")):
        if name not in FUNCTIONS:
            raise piece.fault(f"no function is named {name!r}; there are {', '.join(FUNCTIONS)}")
        steps.append(Step(name, FUNCTIONS[name]))
    return tuple(steps)


def compile_finish(names: Names, data: Mapping[str, Any], piece: Piece) -> finishes.Pair:
    """The finish of a field and its inverse. Raises CompileFault."""
    given = [kind for kind in ("check", "lookup", "date") if kind in data]
    if len(given) > 1:
        raise piece.fault(f"{' and '.join(given)} exclude each other")
    kind = data.get("as", "string")
    match given[0] if given else "":
        case "check":
            return _checked(data, piece)
        case "lookup":
            table = names.table(data["lookup"], piece)
            return finishes.as_code(table, data.get("give", "code"), data.get("on_unmapped", "error"))
        case "date":
            return _dated(names, data, kind, piece)
    if kind not in _PLAIN:
        raise piece.fault(f"as: {kind} needs date: with the formats it is written in")
    return _PLAIN[kind]()


def _checked(data: Mapping[str, Any], piece: Piece) -> finishes.Pair:
    name = data["check"]
    if name not in CHECKS:
        raise piece.fault(f"no check is named {name!r}; there are {', '.join(CHECKS)}")
    return finishes.as_checked(name, CHECKS[name], data.get("on_invalid", "error"))


def _dated(names: Names, data: Mapping[str, Any], kind: str, piece: Piece) -> finishes.Pair:
    try:
        formats = tuple(parse_format(text) for text in texts(data["date"]))
    except ValueError as error:
        raise piece.fault(str(error)) from error
    return finishes.as_date(formats, kind if kind in {"date", "instant"} else "dateTime", names.his.zone)


def _split(on: str, part: int) -> Step:
    def split(text: str) -> str | None:
        pieces = text.split(on)
        return pieces[part - 1].strip() or None if part <= len(pieces) else None

    return Step(f"split {on!r} {part}", split)


def _replace(data: Mapping[str, str], piece: Piece) -> Step:
    try:
        pattern = re.compile(data["pattern"])
        pattern.sub(data["with"], "")
    except (re.error, IndexError) as error:
        raise piece.fault(f"replace: {data['pattern']!r} is not a regular expression: {error}") from error
    return Step("replace", lambda text: pattern.sub(data["with"], text).strip() or None)
