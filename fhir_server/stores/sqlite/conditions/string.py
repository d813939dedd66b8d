"""Strings: starts with (the default), ``:exact``, ``:contains``; Chinese through pairs of characters.

Source: FHIR R4 search.html#string.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fhir_server.search.query import Clause, StringValue
from fhir_server.stores.forms import chinese_runs, exact_form, grams
from fhir_server.stores.sqlite.conditions.parts import (
    LAST,
    Arm,
    Compiler,
    Condition,
    Probe,
    Scope,
    any_of,
    count_upto,
)

RARE: Final = 200

Binder = Callable[[StringValue], tuple[str, ...]]

_ROWS_OF: Final = "SELECT 1 FROM string p INDEXED BY string_of_resource WHERE p.rid = t.rid AND p.key = ?"
_STARTS: Final = "{0}.text >= ? AND {0}.text < ?"
_EXACT: Final = "{0}.text = ? AND {0}.exact = ?"
_EQUALS: Final = "{0}.text = ? AND {0}.exact <> ''"
_DIFFERS: Final = "{0}.text <> ? AND {0}.exact <> ''"
_ENDS: Final = "{0}.exact <> '' AND length({0}.text) >= length(?) AND substr({0}.text, -length(?)) = ?"
_CONTAINS: Final = "{0}.exact <> '' AND instr({0}.text, ?) > 0"


def compile(scope: Scope, clause: Clause) -> Condition:
    """Texts that start with a value, whatever case, accents and width."""
    return _scan(clause, _STARTS, lambda value: (value.text, value.text + LAST), ordered=False)


def exact(scope: Scope, clause: Clause) -> Condition:
    """``:exact``: the text as it stands."""
    return _scan(
        clause, _EXACT, lambda value: (value.text, exact_form(value.text, value.exact)), ordered=True
    )


def equals(scope: Scope, clause: Clause) -> Condition:
    """``eq`` of ``_filter``: the whole text, whatever case, accents and width."""
    return _scan(clause, _EQUALS, _text_alone, ordered=False)


def differs(scope: Scope, clause: Clause) -> Condition:
    """``ne`` of ``_filter``: some text is another one."""
    return _scan(clause, _DIFFERS, _text_alone, ordered=False)


def ends(scope: Scope, clause: Clause) -> Condition:
    """``ew`` of ``_filter``: texts that end with a value."""
    return _scan(clause, _ENDS, lambda value: (value.text,) * 3, ordered=False)


def compared(sign: str) -> Compiler:
    """``gt``, ``ge``, ``lt`` and ``le`` of ``_filter``: texts in the order of their characters."""

    def compile(scope: Scope, clause: Clause) -> Condition:
        return _scan(clause, f"{{0}}.text {sign} ? AND {{0}}.exact <> ''", _text_alone, ordered=False)

    return compile


def _text_alone(value: StringValue) -> tuple[str, ...]:
    return (value.text,)


def contains(scope: Scope, clause: Clause) -> Condition:
    """``:contains``: texts with a value anywhere inside."""
    arms = tuple(_inside(scope, key, value) for key in clause.parameter.keys for value in clause.values)
    probe = any_of(
        [_probe(_CONTAINS, key, (value.text,)) for key in clause.parameter.keys for value in clause.values]
    )
    return Condition(arms, probe)


def _scan(clause: Clause, test: str, bind: Binder, *, ordered: bool) -> Condition:
    pairs = [(key, bind(value)) for key in clause.parameter.keys for value in clause.values]
    where = "t.key = ? AND " + test.format("t")
    arms = tuple(Arm("string t", where, (key, *values), ordered, unique=ordered) for key, values in pairs)
    return Condition(arms, any_of([_probe(test, key, values) for key, values in pairs]))


def _probe(test: str, key: int, values: tuple[str, ...]) -> Probe:
    return Probe(f"EXISTS ({_ROWS_OF} AND {test.format('p')})", (key, *values))


def _inside(scope: Scope, key: int, value: StringValue) -> Arm:
    runs = chinese_runs(value.text)
    if not runs:
        return Arm(
            "string t",
            f"t.key = ? AND {_CONTAINS.format('t')}",
            (key, value.text),
            ordered=False,
            unique=False,
        )
    pairs = [gram for gram in grams(value.text) if len(gram) == 2]
    if not pairs:
        return _one_character(key, runs[0], value.text)
    if [value.text] == pairs[:1]:
        return Arm("term t", "t.key = ? AND t.text = ?", (key, value.text), ordered=True, unique=True)
    return _rarest_pair(scope, key, pairs, value.text)


def _one_character(key: int, character: str, text: str) -> Arm:
    where = "t.key = ? AND t.text >= ? AND t.text < ?"
    values = (key, character, character + LAST)
    if text == character:
        return Arm("term t", where, values, ordered=False, unique=False)
    probe = _probe(_CONTAINS, key, (text,))
    return Arm("term t", f"{where} AND {probe.where}", values + probe.values, ordered=False, unique=False)


def _rarest_pair(scope: Scope, key: int, pairs: list[str], text: str) -> Arm:
    arms = [
        Arm("term t", "t.key = ? AND t.text = ?", (key, pair), ordered=True, unique=True) for pair in pairs
    ]
    rarest = min(arms, key=lambda arm: count_upto(scope.connection, [arm], RARE))
    probe = _probe(_CONTAINS, key, (text,))
    return rarest._replace(where=f"{rarest.where} AND {probe.where}", values=rarest.values + probe.values)
