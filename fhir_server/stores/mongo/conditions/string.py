"""Strings: starts with (the default), ``:exact``, ``:contains``; Chinese through pairs of characters.

Source: FHIR R4 search.html#string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from bson import Regex

from fhir_server.search.query import Clause, StringValue
from fhir_server.stores.forms import chinese_runs, grams
from fhir_server.stores.mongo.conditions.parts import (
    Filter,
    Test,
    all_filter,
    any_of,
    begins,
    between,
    term_filter,
)
from fhir_server.stores.mongo.fields import AFTER, arm, gram_term, string_entry, string_stem

WRITTEN: Final = Regex("\n=")
"""In the entry of a text as it is written; those of pinyin have nothing after the end of the line."""

LONGEST: Final = 1_000
"""Characters of a pattern; MongoDB bounds their length, so longer texts are looked for without one."""

Compiler = Callable[[str, Clause], Test]
OfKey = Callable[[int, StringValue], Filter]


def _compiler(of_key: OfKey) -> Compiler:
    def compile(type: str, clause: Clause) -> Test:
        pairs = [(key, value) for key in clause.parameter.keys for value in clause.values]
        return any_of([Test(of_key(key, value), is_typed=True) for key, value in pairs])

    return compile


def _starts(key: int, value: StringValue) -> Filter:
    return {"x": begins(string_stem(key, value.text))}


def _exact(key: int, value: StringValue) -> Filter:
    return {"x": string_entry(key, value.text, value.exact)}


def _equals(key: int, value: StringValue) -> Filter:
    return {"x": begins(_line(key, value.text) + "=")}


def _differs(key: int, value: StringValue) -> Filter:
    return {"$or": [_less(key, value), _greater(key, value)]}


def _less(key: int, value: StringValue) -> Filter:
    return _written(arm(key), _line(key, value.text))


def _not_less(key: int, value: StringValue) -> Filter:
    return _written(_line(key, value.text), arm(key) + AFTER)


def _greater(key: int, value: StringValue) -> Filter:
    return _written(_line(key, value.text) + AFTER, arm(key) + AFTER)


def _not_greater(key: int, value: StringValue) -> Filter:
    return _written(arm(key), _line(key, value.text) + AFTER)


def _ends(key: int, value: StringValue) -> Filter:
    if len(value.text) > LONGEST:
        return _cut_out(key, value.text + "\n")
    return {"x": {"$regex": Regex(f"^{arm(key)}[^\n]*{_literal(value.text)}\n=")}}


def _contains(key: int, value: StringValue) -> Filter:
    """Pairs of Chinese characters find; where they are not all that is asked for, the text itself tests."""
    runs, pairs = chinese_runs(value.text), [gram for gram in grams(value.text) if len(gram) == 2]
    found: list[Filter] = [term_filter([gram_term(key, pair)]) for pair in dict.fromkeys(pairs)]
    if not pairs:
        found += [{"k": begins(gram_term(key, run))} for run in runs[:1]]
    if len(value.text) > 2 or runs != [value.text]:
        found.append(_inside(key, value.text))
    return all_filter(found)


def _inside(key: int, text: str) -> Filter:
    if len(text) > LONGEST:
        return _cut_out(key, text)
    return {"x": {"$regex": Regex(f"^{arm(key)}(?=[^\n]*\n=)[^\n]*?{_literal(text)}")}}


def _literal(text: str) -> str:
    """The pattern of ``text``. A pattern of MongoDB cannot have the character 0 in it."""
    return re.escape(text).replace("\0", "\\x00")


def _cut_out(key: int, needle: str) -> Filter:
    """A text of ``key`` as it is written, with the end of its line, has ``needle`` in it. No index helps."""
    parts = {"$split": ["$$this", "\n="]}
    line = {"$concat": [{"$arrayElemAt": [parts, 0]}, "\n"]}
    holds = [
        {"$eq": [{"$substrBytes": ["$$this", 0, 8]}, arm(key)]},
        {"$gt": [{"$size": parts}, 1]},
        {"$gte": [{"$indexOfBytes": [line, {"$literal": needle}]}, 8]},
    ]
    entries = {"$ifNull": ["$x", []]}
    return {"$expr": {"$anyElementTrue": {"$map": {"input": entries, "in": {"$and": holds}}}}}


def _written(low: str, high: str) -> Filter:
    return {"x": between(low, high, **{"$regex": WRITTEN})}


def _line(key: int, text: str) -> str:
    """What the entries of all strings that are ``text`` begin with."""
    return string_stem(key, text) + "\n"


starts = _compiler(_starts)
"""Texts that start with a value, whatever case, accents and width."""

MODIFIERS: Final[dict[str, Compiler]] = {
    "exact": _compiler(_exact),
    "contains": _compiler(_contains),
    "equals": _compiler(_equals),
    "differs": _compiler(_differs),
    "ends": _compiler(_ends),
    "gt": _compiler(_greater),
    "ge": _compiler(_not_less),
    "lt": _compiler(_less),
    "le": _compiler(_not_greater),
}
"""Modifier → what it asks; those after ``contains`` come from ``_filter`` only."""
