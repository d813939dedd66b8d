"""Token: code, Coding, CodeableConcept, Identifier, ContactPoint, boolean, string, uri …

Codes are compared without regard to case, as the standard asks of servers in doubt, and a phone number also
without its punctuation. A ``code`` element has no system of its own in the index; naming the one of its value
set is allowed and means the same. For a ContactPoint the system is ContactPoint.system (phone, email …).
An Identifier that has a type has one more row, with the type in the place of the system (``:of-type``).

Source: FHIR R4 search.html#token.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.search.index import TokenRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.base import Emit, Reading, Rows
from fhir_server.search.types.escapes import split, unescape
from fhir_server.search.values import TokenValue

BOOLEAN_SYSTEM = "http://terminology.hl7.org/CodeSystem/special-values"
OF_TYPE = "of type "
DIALLED = frozenset({"phone", "fax", "sms", "pager"})
PUNCTUATION = str.maketrans("", "", " -()./\t　－（）")
_new: Any = tuple.__new__


@lru_cache(maxsize=16_384)
def fold_code(code: str) -> str:
    """``code`` as it is compared: full-width characters made narrow, case folded."""
    return code.lower() if code.isascii() else unicodedata.normalize("NFKC", code).casefold()


# ── reading ───────────────────────────────────────────────────────────────────


def parse(parameter: SearchParameter, text: str, reading: Reading) -> TokenValue:
    """``code``, ``system|code``, ``|code`` or ``system|``."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1:
        return TokenValue(None, parts[0] if parameter.column else fold_code(parts[0]))
    if len(parts) > 2 or parameter.column:
        allowed = "an id" if parameter.column else "code, system|code, |code or system|"
        raise ValueError(rf"allowed is {allowed}; a | inside a value is written \|")
    system, code = parts
    if not code:
        return TokenValue(_required(system), None)
    if system and _is_implicit(parameter, system, code, reading):
        system = ""
    return TokenValue(system, fold_code(code))


def parse_typed(parameter: SearchParameter, text: str, reading: Reading) -> TokenValue:
    """``system|code|value`` of ``:of-type``: an identifier by its type and value."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise ValueError("allowed is system|code|value: the type of the identifier and its value, all three")
    return TokenValue(of_type(parts[0], parts[1]), fold_code(parts[2]))


def of_type(system: str, code: str) -> str:
    """What stands in the place of the system for an identifier of this type; no uri has blanks."""
    return f"{OF_TYPE}{system} {fold_code(code)}"


def implicit_codes(parameter: SearchParameter, reading: Reading) -> frozenset[tuple[str, str]]:
    """The (system, code) pairs whose system is left out in the index, because the element is a plain code."""
    terminology = reading.definitions.terminology() if parameter.implicit else None
    sets = [] if terminology is None else [terminology.expand(url) for url in parameter.implicit]
    return frozenset((each.system, each.code) for found in sets for each in found or ())


def _required(system: str) -> str:
    if not system:
        raise ValueError("there is neither a system nor a code")
    return system


def _is_implicit(parameter: SearchParameter, system: str, code: str, reading: Reading) -> bool:
    """True when ``system`` is that of the value sets which the parameter's ``code`` elements are bound to."""
    if parameter.implicit == ("boolean",):
        return system == BOOLEAN_SYSTEM
    terminology = reading.definitions.terminology() if parameter.implicit else None
    return terminology is not None and any(
        terminology.contains(value_set, system, code) for value_set in parameter.implicit
    )


# ── rows ──────────────────────────────────────────────────────────────────────


def _text(key: int) -> Emit:
    def emit(value: str, rows: Rows) -> None:
        rows.tokens.append(_new(TokenRow, (key, fold_code(value), "")))

    return emit


def _number(key: int) -> Emit:
    return lambda value, rows: rows.tokens.append(TokenRow(key, str(value), ""))


def _boolean(key: int) -> Emit:
    return lambda value, rows: rows.tokens.append(TokenRow(key, "true" if value else "false", ""))


def _coding(key: int) -> Emit:
    def emit(value: dict[str, Any], rows: Rows) -> None:
        code, system = value.get("code", ""), value.get("system", "")
        if code or system:
            rows.tokens.append(_new(TokenRow, (key, fold_code(code), system)))

    return emit


def _concept(key: int) -> Emit:
    def emit(value: dict[str, Any], rows: Rows) -> None:
        for item in value.get("coding", ()):
            code, system = item.get("code", ""), item.get("system", "")
            if code or system:
                rows.tokens.append(_new(TokenRow, (key, fold_code(code), system)))

    return emit


def _identifier(key: int) -> Emit:
    def emit(value: dict[str, Any], rows: Rows) -> None:
        code, system = value.get("value", ""), value.get("system", "")
        if code or system:
            rows.tokens.append(_new(TokenRow, (key, fold_code(code), system)))
        if "type" in value and code:
            rows.tokens += [
                TokenRow(key, fold_code(code), of_type(item.get("system", ""), item["code"]))
                for item in value["type"].get("coding", ())
                if "code" in item
            ]

    return emit


def _contact(key: int) -> Emit:
    def emit(value: dict[str, Any], rows: Rows) -> None:
        code, system = value.get("value", ""), value.get("system", "")
        if not code:
            return
        folded = fold_code(code)
        rows.tokens.append(TokenRow(key, folded, system))
        bare = folded.translate(PUNCTUATION) if system in DIALLED else folded
        if bare != folded:
            rows.tokens.append(TokenRow(key, bare, system))

    return emit


TEXTS = ("string", "markdown", "code", "id", "uri", "url", "canonical", "oid", "uuid")
EMITTERS: Mapping[str, Callable[[int], Emit]] = {
    **dict.fromkeys(TEXTS, _text),
    **dict.fromkeys(("integer", "positiveInt", "unsignedInt"), _number),
    "boolean": _boolean,
    "Coding": _coding,
    "CodeableConcept": _concept,
    "Identifier": _identifier,
    "ContactPoint": _contact,
}


def of_reference(key: int) -> Emit:
    """The rows of ``Reference.identifier``, kept under a key of their own."""
    identifier = _identifier(key)

    def emit(value: dict[str, Any], rows: Rows) -> None:
        if "identifier" in value:
            identifier(value["identifier"], rows)

    return emit


# ── meeting ───────────────────────────────────────────────────────────────────


def admits(value: TokenValue, modifier: str | None, row: TokenRow) -> bool:
    """Whether the row has the value's code and system (``:not`` is the whole clause's business), with ``differs`` of
    ``_filter`` whether it has not."""
    if modifier == "differs":
        return not row.system.startswith(OF_TYPE) and not admits(value, None, row)
    if value.system is not None and value.system != row.system:
        return False
    return value.code is None or value.code == row.code
