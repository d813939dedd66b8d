"""How each primitive type of R4 looks in JSON: kind, pattern and range, and the words for it.

The patterns are the standard's, made stricter where its prose is stricter than its regular expression
(days that exist, padded base64), and written with explicit ASCII classes only: ``\\s`` and ``\\S`` mean
different characters in different engines (a no-break space or an ideographic space is an ordinary
character of a FHIR string). Source: FHIR R4 datatypes.html#primitive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

YEAR = "(?:[0-9](?:[0-9](?:[0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
MONTH = "(?:0[1-9]|1[0-2])"
MONTH_DAY = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
LEAP_CENTURY = "(?:0[48]|[2468][048]|[13579][26])00"
LEAP_DAY = f"(?:[0-9][0-9](?:0[48]|[2468][048]|[13579][26])|{LEAP_CENTURY})-02-29"
DAY = f"(?:{YEAR}-{MONTH_DAY}|{LEAP_DAY})"
CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
BLANK = r"[ \t\r\n]*"
SEXTET = f"[A-Za-z0-9+/]{BLANK}"
NO_BLANK = r"[^\x00-\x20]+"
CODE = rf"{NO_BLANK}(?: {NO_BLANK})*"
ID = r"[A-Za-z0-9\-.]"

MEGABYTE = 1024 * 1024
MAX_INTEGER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Primitive:
    """``schema`` is its JSON Schema; ``allowed`` completes the sentence "… must be …".

    ``exact`` judges again what the schema's pattern refused, where that pattern is quick and too strict.
    """

    schema: dict[str, Any]
    allowed: str
    exact: re.Pattern[str] | None = field(default=None)


def _text(pattern: str, allowed: str, **more: int) -> Primitive:
    return Primitive({"type": "string", "pattern": f"^(?:{pattern})$", **more}, allowed)


def _quick(exact: str, allowed: str) -> Primitive:
    """Engines answer ``^\\S*$`` without a regular expression, in half the time."""
    return Primitive({"type": "string", "minLength": 1, "pattern": r"^\S*$"}, allowed, re.compile(exact))


def _prose() -> Primitive:
    """Control characters are looked for once per resource, not in each string (see ``characters``)."""
    schema = {"type": "string", "minLength": 1, "maxLength": MEGABYTE}
    return Primitive(schema, "text of 1 to 1048576 characters")


def _whole(minimum: int) -> Primitive:
    schema = {"type": "integer", "minimum": minimum, "maximum": MAX_INTEGER}
    return Primitive(schema, f"a whole number between {minimum} and {MAX_INTEGER}, without quotation marks")


PRIMITIVES: dict[str, Primitive] = {
    "base64Binary": _text(
        f"{BLANK}(?:{SEXTET}{SEXTET}{SEXTET}{SEXTET})*"
        f"(?:{SEXTET}{SEXTET}(?:{SEXTET}=|={BLANK}=){BLANK}|{SEXTET}{SEXTET}{SEXTET}{SEXTET})",
        "base64: groups of four characters, padded with =",
    ),
    "boolean": Primitive({"type": "boolean"}, "true or false, without quotation marks"),
    "canonical": _quick(NO_BLANK, "a canonical URL without white space: url or url|version"),
    "code": _quick(CODE, "a code: no white space at its ends, and only single spaces inside"),
    "date": _text(
        f"{YEAR}(?:-{MONTH})?|{DAY}", "a date that exists in the calendar: YYYY, YYYY-MM or YYYY-MM-DD"
    ),
    "dateTime": _text(
        f"{YEAR}(?:-{MONTH})?|{DAY}(?:T{CLOCK}{ZONE})?",
        "a date or time that exists in the calendar: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz "
        "(a time needs its seconds and its time zone)",
    ),
    "decimal": Primitive({"type": "number"}, "a number, without quotation marks"),
    "id": _text(f"{ID}{{1,64}}", "an id: 1 to 64 letters, digits, - and ."),
    "instant": _text(
        f"{DAY}T{CLOCK}{ZONE}",
        "a moment that exists in the calendar, with seconds and time zone: YYYY-MM-DDThh:mm:ss+zz:zz",
    ),
    "integer": _whole(-MAX_INTEGER - 1),
    "markdown": _prose(),
    "oid": _text(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+", "an OID as a URI: urn:oid:1.2.3"),
    "positiveInt": _whole(1),
    "string": _prose(),
    "time": _text(CLOCK, "a time of day: hh:mm:ss"),
    "unsignedInt": _whole(0),
    "uri": _quick(NO_BLANK, "a URI without white space"),
    "url": _quick(NO_BLANK, "a URL without white space"),
    "uuid": _text(
        "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "a UUID as a URI in lower-case letters: urn:uuid:…",
    ),
    "xhtml": Primitive({"type": "string", "minLength": 1}, "an XHTML <div>"),
}


def reference_pattern(targets: tuple[str, ...]) -> str:
    """The pattern of ``Reference.reference`` where only ``targets`` may be referred to (() = any type).

    Absolute URLs and URNs pass: their type is not known. ``#contained`` does not pass: the validator
    looks at each of those itself, because its target must exist (invariant ref-1).
    """
    types = f"(?:{'|'.join(targets)})" if targets else "[A-Z][A-Za-z]+"
    literal = rf"{types}(?:/{ID}+(?:/_history/{ID}+)?$|\?)"
    return rf"^(?:{literal}|[A-Za-z][A-Za-z0-9+.\-]*:)"
