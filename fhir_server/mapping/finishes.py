"""The last treatment of a field: from a clean text to what the resource holds (date, number, code, Coding …).

Each maker returns the function used when translating and, where it can be undone, its inverse for ``reverse``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.mapping.dates import Format, read_date, write_date
from fhir_server.mapping.faults import BAD_CHECK_DIGIT, BAD_DATE, BAD_NUMBER, UNMAPPED_CODE, StepFault, shape
from fhir_server.mapping.types import CodeTable, Finish, Finished, Meaning
from fhir_server.model.exact import ExactNumber

Undo = Callable[[Any], str | None]
Pair = tuple[Finish, Undo | None]
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)


def as_string() -> Pair:
    """The text itself."""
    return lambda text: Finished(text, ""), lambda value: value if isinstance(value, str) else None


def as_decimal() -> Pair:
    """A JSON number written exactly as in the message (``3.10``)."""

    def finish(text: str) -> Finished:
        if not _DECIMAL.fullmatch(text):
            raise StepFault(
                BAD_NUMBER, "value", f"a decimal number is expected, the text has the form {shape(text)!r}"
            )
        return Finished(ExactNumber(text), f"decimal {text}")

    return finish, _number_text


def as_integer() -> Pair:
    """A whole JSON number."""

    def finish(text: str) -> Finished:
        if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
            raise StepFault(
                BAD_NUMBER, "value", f"a whole number is expected, the text has the form {shape(text)!r}"
            )
        return Finished(int(text), "integer")

    return finish, _number_text


def as_boolean() -> Pair:
    """``true`` or ``false``."""

    def finish(text: str) -> Finished:
        if text not in {"true", "false"}:
            raise StepFault(BAD_NUMBER, "value", "true or false is expected")
        return Finished(text == "true", "boolean")

    return finish, lambda value: str(value).lower() if isinstance(value, bool) else None


def as_date(formats: tuple[Format, ...], kind: str, zone: ZoneInfo) -> Pair:
    """An R4 ``date`` (a time is cut off), ``dateTime`` (as precise as it was written) or ``instant`` (needs a time)."""
    names = ", ".join(form.name for form in formats)

    def finish(text: str) -> Finished:
        read = read_date(text, formats, zone)
        if read is None:
            raise StepFault(
                BAD_DATE, "value", f"no date: the text has the form {shape(text)!r}; allowed: {names}"
            )
        value, name = read
        if kind == "instant" and "T" not in value:
            raise StepFault(BAD_DATE, "value", f"a time is needed too: the text has the form {shape(text)!r}")
        return Finished(value[:10] if kind == "date" else value, f"date {name}")

    return finish, lambda value: write_date(value, formats[0], zone)


def as_checked(name: str, check: Callable[[str], str], on_invalid: str) -> Pair:
    """An identifier in its official form; ``on_invalid``: a wrong one is an error, a warning, or just absent."""

    def finish(text: str) -> Finished:
        try:
            return Finished(check(text), f"check {name}")
        except ValueError as error:
            fault = StepFault(BAD_CHECK_DIGIT, "value", str(error))
        if on_invalid == "error":
            raise fault
        return Finished(None, f"check {name}: wrong", fault if on_invalid == "warn" else None)

    return finish, lambda value: value if isinstance(value, str) else None


def as_code(table: CodeTable, give: str, on_unmapped: str) -> Pair:
    """The meaning of a code in ``table``: a ``code``, a ``coding``, or a ``concept`` that keeps the local code too."""
    form = {"code": _code, "coding": _coding, "concept": _concept}[give]
    keep = {"code": lambda text: None, "coding": _kept_coding(table), "concept": _kept_concept(table)}[give]

    def finish(text: str) -> Finished:
        meaning = table.codes.get(text)
        if meaning is not None:
            return Finished(form(table, text, meaning), f"lookup {table.name} {text} → {meaning.code}")
        fault = StepFault(
            UNMAPPED_CODE,
            "code-invalid",
            f"code {text[:40]!r} is not in the table {table.name} ({table.version})",
        )
        if on_unmapped == "error":
            raise fault
        kept = keep(text) if on_unmapped == "warn-keep-text" else None
        return Finished(kept, f"lookup {table.name}: unmapped", None if on_unmapped == "absent" else fault)

    return finish, _undo_code(table, give)


def _code(table: CodeTable, text: str, meaning: Meaning) -> str:
    return meaning.code


def _coding(table: CodeTable, text: str, meaning: Meaning) -> dict[str, Any]:
    return meaning.as_coding()


def _concept(table: CodeTable, text: str, meaning: Meaning) -> dict[str, Any]:
    codings: list[dict[str, Any]] = [meaning.as_coding()]
    if table.source:
        codings.append({"system": table.source, "code": text, "userSelected": True})
    label = meaning.text or meaning.display
    return {"coding": codings} | ({"text": label} if label else {})


def _kept_coding(table: CodeTable) -> Callable[[str], dict[str, Any] | None]:
    return lambda text: {"system": table.source, "code": text} if table.source else {"display": text}


def _kept_concept(table: CodeTable) -> Callable[[str], dict[str, Any]]:
    coding = _kept_coding(table)
    return lambda text: ({"coding": [coding(text)]} if table.source else {}) | {"text": text}


def _undo_code(table: CodeTable, give: str) -> Undo:
    back: dict[str, str] = {}
    for local, meaning in table.codes.items():
        back.setdefault(meaning.code, local)

    def undo(value: Any) -> str | None:
        codings = value.get("coding", []) if give == "concept" and isinstance(value, dict) else [value]
        local = next((item["code"] for item in codings if _is_local(item, table)), None)
        code = codings[0] if give == "code" else codings[0].get("code") if codings else None
        return local or back.get(code or "")

    return undo


def _is_local(coding: Any, table: CodeTable) -> bool:
    return isinstance(coding, dict) and table.source is not None and coding.get("system") == table.source


def _number_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None if isinstance(value, bool) else str(value)
