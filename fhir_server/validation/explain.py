"""From an engine's error to a sentence: what was wrong, where, and what is allowed.

One function per JSON Schema keyword. Values are never repeated, with one exception: a short
code-like value that is not an allowed code. Source: FHIR R4 ValueSet issue-type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches

from jsonschema_rs import ValidationError

from fhir_server.errors import Issue
from fhir_server.validation.judge import (
    Surroundings,
    fault,
    judge_choices,
    judge_companions,
    judge_null,
    judge_reference,
)
from fhir_server.validation.place import NAME_LIKE, Place, locate
from fhir_server.validation.primitives import PRIMITIVES
from fhir_server.validation.schema import MANY_TYPES, allowed_codes

Explain = Callable[[Surroundings, Place, ValidationError], Iterator[Issue]]
CODE_LIKE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,31}", re.ASCII)
MANY_CODES = 24


def explain(around: Surroundings, root: Place, errors: Iterable[ValidationError]) -> list[Issue]:
    """Every fault among ``errors``, once; those that the schema refuses only for speed are gone."""
    found: dict[Issue, None] = {}
    for error in errors:
        place = locate(around.definitions, root, error.instance_path)
        found.update(dict.fromkeys(EXPLAIN[error.kind.name](around, place, error)))
    return list(found)


def _type(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    if place.value is None:
        yield from judge_null(around, place)
    elif "array" in error.kind.value:
        yield fault("structure", f"{place.label} must be an array: it may be given more than once", place)
    elif isinstance(place.value, list):
        yield fault("structure", f"{place.label} must not be an array: at most 1 is allowed", place)
    elif "object" in error.kind.value:
        yield fault("structure", f"{place.label} must be an object ({_object_type(place)})", place)
    else:
        yield fault("value", f"{place.label} must be {_allowed(place)}", place)


def _object_type(place: Place) -> str:
    if place.is_companion:
        return "the id and extensions of a primitive"
    return place.member.type if place.member else place.path


def _allowed(place: Place) -> str:
    type = place.member.type if place.member else "string"
    if place.member is None or (place.member.json_name == "id" and place.owner and not place.owner.owner):
        type = "id"
    return PRIMITIVES[type].allowed


def _pattern(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    if place.element is not None and place.element.path == "Reference.reference":
        yield from judge_reference(around, place)
        return
    primitive = PRIMITIVES[place.member.type] if place.member else None
    if primitive and primitive.exact and primitive.exact.fullmatch(place.value):
        return
    yield fault("value", f"{place.label} must be {_allowed(place)}", place)


def _range(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    yield fault("value", f"{place.label} must be {_allowed(place)}", place)


def _short(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    yield fault("value", f"{place.label} must not be an empty string: leave the member out", place)


def _enum(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    if place.value is None:
        yield from judge_null(around, place)
    elif isinstance(place.value, list):
        yield fault("structure", f"{place.label} must not be an array: at most 1 is allowed", place)
    elif not isinstance(place.value, str):
        yield fault("value", f"{place.label} must be a code, given as a string", place)
    else:
        yield fault("code-invalid", _code_text(around, place), place)


def _code_text(around: Surroundings, place: Place) -> str:
    assert place.member is not None
    allowed = sorted(allowed_codes(around.definitions, place.member.element, place.member.type) or ())
    given = f"'{place.value}'" if CODE_LIKE.fullmatch(place.value) else "this value"
    text = f"{given} is not an allowed code of {place.label}"
    if len(allowed) <= MANY_CODES:
        return f"{text}; allowed: {', '.join(allowed)}"
    near = get_close_matches(place.value, allowed, n=3)
    nearest = f"; nearest: {', '.join(near)}" if near else ""
    return f"{text}, which allows {len(allowed)} codes{nearest}"


def _required(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    name = error.kind.value
    if f"_{name}" not in place.value:
        yield fault("required", f"{name} is required in {place.label} (at least 1)", place, name)


def _unknown(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    for name in error.kind.value:
        if NAME_LIKE.fullmatch(name):
            text = f"{name} is not a member of {place.path}{_hint(around, place, name)}"
            yield fault("structure", text, place, name)
        else:
            yield fault("structure", f"{place.path} has a member that FHIR does not know", place)


def _hint(around: Surroundings, place: Place, name: str) -> str:
    members = around.definitions.members(place.path)
    if name.removeprefix("_") in members:
        return ": only a primitive may have an underscore member"
    options = [m.json_name for m in members.values() if m.element.name == f"{name}[x]"]
    if options:
        return f": give its type, as one of {', '.join(options)}"
    near = get_close_matches(name, members, n=1)
    return f"; the nearest one is {near[0]}" if near else ""


def _few(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    if place.value:
        yield fault("required", f"{place.label} must be given at least {error.kind.value} times", place)
    else:
        yield fault("structure", f"{place.label} must not be an empty array: leave the member out", place)


def _many(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    yield fault("structure", f"{place.label} may be given at most {error.kind.value} times", place)


def _empty(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    yield fault("structure", f"{place.label} must not be an empty object: leave it out", place)


def _choices(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    yield from judge_choices(around, place)


def _refused(around: Surroundings, place: Place, error: ValidationError) -> Iterator[Issue]:
    """The marks set by ``schema.NEVER`` and by the exclusion of choices."""
    if (
        place.element is not None
        and len(place.element.types) > MANY_TYPES
        and place.path
        and not place.is_companion
    ):
        if isinstance(place.value, dict):
            value = Place(place.expression, place.path, place.value, name=place.name)
            yield from explain(around, value, around.errors_of(place.path, place.value))
    elif not place.is_companion:
        yield from judge_choices(around, place)
    elif place.element is not None and place.element.is_choice and place.owner is not None:
        yield from judge_choices(around, place.owner)
    else:
        yield from judge_companions(around, place)


EXPLAIN: dict[str, Explain] = {
    "additionalProperties": _unknown,
    "anyOf": _choices,
    "enum": _enum,
    "maxItems": _many,
    "maxLength": _range,
    "maxProperties": _choices,
    "maximum": _range,
    "minItems": _few,
    "minLength": _short,
    "minProperties": _empty,
    "minimum": _range,
    "not": _refused,
    "pattern": _pattern,
    "required": _required,
    "type": _type,
}
