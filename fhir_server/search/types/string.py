"""String: starts-with without regard to case, accents and width; ``:contains``, ``:exact``.

Names in Chinese characters are also found by their pinyin (``search.types.pinyin``).
Source: FHIR R4 search.html#string.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from fhir_server.search.index import StringRow
from fhir_server.search.leaves import DECOMPOSED
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types import pinyin
from fhir_server.search.types.base import Emit, Reading, Rows
from fhir_server.search.types.escapes import unescape
from fhir_server.search.values import StringValue

ACCENTS = dict.fromkeys(range(0x0300, 0x0370))


def fold(text: str) -> str:
    """``text`` without what does not count: compatibility forms replaced (full-width digits), case folded, Latin,
    Greek and Cyrillic accents taken off."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text).translate(ACCENTS)
        text = unicodedata.normalize("NFC", decomposed)
    return text.casefold()


@lru_cache(maxsize=16_384)
def normalise(text: str) -> str:
    """``text`` as it is compared: folded, white space made single spaces."""
    return " ".join(fold(text).split())


# ── reading ───────────────────────────────────────────────────────────────────


def parse(parameter: SearchParameter, text: str, reading: Reading) -> StringValue:
    """Any text that is not blank."""
    exact = unescape(text)
    normal = normalise(exact)
    if not normal:
        raise ValueError("a text that is not blank is needed")
    return StringValue(normal, exact)


# ── rows ──────────────────────────────────────────────────────────────────────


def _text(key: int) -> Emit:
    def emit(value: str, rows: Rows) -> None:
        rows.strings.append((key, normalise(value), value, True))

    return emit


def of_name(keys: Mapping[str, int]) -> Emit:
    """The rows of a HumanName; ``keys`` are those of its parts (text, family, given …) that are searched."""
    parts = [(part, key, part in {"given", "prefix", "suffix"}) for part, key in keys.items()]

    def emit(value: dict[str, Any], rows: Rows) -> None:
        chinese = False
        for part, key, repeats in parts:
            found = value.get(part)
            if found is None:
                continue
            for text in found if repeats else (found,):
                if text is not None:
                    rows.strings.append((key, normalise(text), text, True))
                    chinese = chinese or not text.isascii()
        if chinese:
            rows.strings.extend((key, text, "", False) for key, text in pinyin.readings(value, keys))

    return emit


def _name(key: int) -> Emit:
    return of_name(dict.fromkeys(DECOMPOSED["HumanName"], key))


def _address(key: int) -> Emit:
    text = _text(key)

    def emit(value: dict[str, Any], rows: Rows) -> None:
        for part in DECOMPOSED["Address"]:
            found = value.get(part, ())
            for line in found if isinstance(found, list) else [found] if found else []:
                text(line, rows)

    return emit


EMITTERS: Mapping[str, Callable[[int], Emit]] = {
    **dict.fromkeys(("string", "markdown", "code", "id", "uri", "url", "canonical", "oid", "uuid"), _text),
    "HumanName": _name,
    "Address": _address,
}
"""A HumanName or an Address as a whole comes only from computed values; paths lead to their parts."""


# ── meeting ───────────────────────────────────────────────────────────────────


TESTS: Mapping[str, Callable[[StringValue, StringRow], bool]] = {
    "exact": lambda value, row: row.exact == value.exact,
    "contains": lambda value, row: value.text in row.text,
    "equals": lambda value, row: row.text == value.text,
    "differs": lambda value, row: row.text != value.text,
    "ends": lambda value, row: row.text.endswith(value.text),
    "gt": lambda value, row: row.text > value.text,
    "ge": lambda value, row: row.text >= value.text,
    "lt": lambda value, row: row.text < value.text,
    "le": lambda value, row: row.text <= value.text,
}
"""Modifier → test of a text as it is written; those after ``contains`` come from ``_filter`` only."""


def admits(value: StringValue, modifier: str | None, row: StringRow) -> bool:
    """Whether the row starts with the text, or stands to it as the modifier says (pinyin only starts with it)."""
    if modifier is None:
        return row.text.startswith(value.text)
    return bool(row.exact) and TESTS[modifier](value, row)
