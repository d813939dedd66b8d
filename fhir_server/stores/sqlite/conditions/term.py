"""Tokens, references and uris: exact texts in the table ``term``.

Source: FHIR R4 search.html#token, #reference, #uri.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from fhir_server.search.query import Clause, ReferenceValue, TokenValue
from fhir_server.search.registry import SearchParameter
from fhir_server.search.types.token import OF_TYPE
from fhir_server.stores.sqlite.conditions.parts import (
    LAST,
    Arm,
    Condition,
    Probe,
    Scope,
    Values,
    any_of,
)
from fhir_server.stores.sqlite.symbols import UNKNOWN

FEW_TYPES: Final = frozenset(
    {"Patient", "Encounter", "EpisodeOfCare", "ServiceRequest", "Task", "Specimen", "Appointment"}
)
"""References to one of these have few sources, so they drive a search without being counted first."""

SEVERAL: Final = 8
"""More wanted terms than this go to SQLite as one list."""

MANY: Final = 50
"""In a longer list (a value set) a row is not looked for again for each candidate: what it finds is gathered once."""


class Wanted(NamedTuple):
    """A row looked for. ``text`` None: any, ``extra`` None: any."""

    key: int
    text: str | None
    extra: int | None


def token(scope: Scope, clause: Clause) -> Condition:
    """``code``, ``system|code``, ``|code``, ``system|``."""
    parameter = clause.parameter
    return terms([_token(scope, parameter, key, value) for key in parameter.keys for value in clause.values])


def reference(scope: Scope, clause: Clause) -> Condition:
    """``Patient/1``, ``1``, a URL."""
    parameter, values = clause.parameter, clause.values
    wanted = [_reference(scope, parameter, key, value) for key in parameter.keys for value in values]
    few = len(values) <= SEVERAL and {parameter.target or value.type for value in values} <= FEW_TYPES
    return terms(wanted, rank=1 if few else 2)


def uri(scope: Scope, clause: Clause) -> Condition:
    """A uri, byte by byte."""
    return terms([Wanted(key, value.uri, 0) for key in clause.parameter.keys for value in clause.values])


def below(scope: Scope, clause: Clause) -> Condition:
    """``:below``: the uri itself and everything under it as a path."""
    arms, probes = [], []
    for key in clause.parameter.keys:
        for value in clause.values:
            stem = value.uri
            values = (key, stem, stem + "/", stem + "0")
            where = "{0}.key = ? AND ({0}.text = ? OR ({0}.text >= ? AND {0}.text < ?))"
            arms.append(Arm("term t", where.format("t"), values, ordered=False, unique=False))
            probes.append(_gathered(where.format("p"), values))
    return Condition(tuple(arms), any_of(probes))


def differs(scope: Scope, clause: Clause) -> Condition:
    """``ne`` of ``_filter``: some token is another one than each value; the rows of identifier types do not count."""
    tests = [
        _other(scope, clause.parameter, key, each) for key in clause.parameter.keys for each in clause.values
    ]
    return Condition(
        [Arm("term t", where.format("t"), values, ordered=False, unique=False) for where, values in tests],
        any_of([_gathered(where.format("p"), values) for where, values in tests]),
    )


def _other(scope: Scope, parameter: SearchParameter, key: int, value: TokenValue) -> Probe:
    same = {"text": value.code, "extra": None if value.system is None else scope.number(value.system)}
    given = {column: each for column, each in same.items() if each is not None}
    equal = " AND ".join(f"{{0}}.{column} = ?" for column in given)
    where = f"{{0}}.key = ? AND NOT ({equal}) AND {{0}}.extra NOT IN ({_TYPES})"
    values: Values = (key, *given.values(), OF_TYPE, OF_TYPE + LAST)
    if parameter.system is not None:
        where, values = f"{where} AND {{0}}.extra = ?", (*values, scope.number(parameter.system))
    return Probe(where, values)


def _gathered(where: str, values: Values) -> Probe:
    return Probe(f"t.rid IN (SELECT rid FROM term p WHERE {where})", values)  # noqa: S608


def terms(wanted: Sequence[Wanted], rank: int = 2, apart: int | None = None) -> Condition:
    """Resources that have one of the ``wanted`` rows; more than ``apart`` (None: SEVERAL) are looked up as one list."""
    if len(wanted) > (SEVERAL if apart is None else apart) and all(each.text is not None for each in wanted):
        return _listed(wanted)
    return Condition([_arm(each) for each in wanted], any_of([_probe(each) for each in wanted]), rank)


def _token(scope: Scope, parameter: SearchParameter, key: int, value: TokenValue) -> Wanted:
    extra = None if value.system is None else scope.number(value.system)
    if parameter.system is not None:
        own = scope.number(parameter.system)
        extra = own if extra in {None, own} else UNKNOWN
    return Wanted(key, value.code, extra)


def _reference(scope: Scope, parameter: SearchParameter, key: int, value: ReferenceValue) -> Wanted:
    type, target = value.type, parameter.target
    extra: int | None
    if target is not None:
        extra = scope.number(target) if type in {None, target} else UNKNOWN
    else:
        extra = None if type is None else scope.number(type)
    return Wanted(key, value.id, extra)


def _arm(wanted: Wanted) -> Arm:
    key, text, extra = wanted
    if text is None:
        return Arm("term t", "t.key = ? AND t.extra = ?", (key, extra), ordered=False, unique=False)
    if extra is None:
        return Arm("term t", "t.key = ? AND t.text = ?", (key, text), ordered=True, unique=False)
    return Arm(
        "term t", "t.key = ? AND t.text = ? AND t.extra = ?", (key, text, extra), ordered=True, unique=True
    )


def _probe(wanted: Wanted) -> Probe:
    key, text, extra = wanted
    if text is None:
        return _gathered("p.key = ? AND p.extra = ?", (key, extra))
    if extra is None:
        return Probe(_WITHOUT_EXTRA, (key, text))
    return Probe(_WITH_EXTRA, (key, text, extra))


_SAME: Final = "SELECT 1 FROM term p WHERE p.key = ? AND p.text = ? AND p.date = t.date AND p.rid = t.rid"
_WITHOUT_EXTRA: Final = f"EXISTS ({_SAME})"
_WITH_EXTRA: Final = f"EXISTS ({_SAME} AND p.extra = ?)"
_TYPES: Final = "SELECT sid FROM symbol WHERE text >= ? AND text < ?"
_LIST: Final = (
    "{0}.key = v.value ->> 0 AND {0}.text = v.value ->> 1 "
    "AND (v.value ->> 2 IS NULL OR {0}.extra = v.value ->> 2)"
)


_SAME_LIST: Final = f"{_LIST.format('p')} AND p.date = t.date AND p.rid = t.rid"
_IN_LIST: Final = f"EXISTS (SELECT 1 FROM json_each(?) v CROSS JOIN term p WHERE {_SAME_LIST})"  # noqa: S608
_IN_MANY: Final = f"t.rid IN (SELECT p.rid FROM json_each(?) v CROSS JOIN term p WHERE {_LIST.format('p')})"  # noqa: S608


def _listed(wanted: Sequence[Wanted]) -> Condition:
    values = (orjson.dumps([tuple(each) for each in wanted]).decode(),)
    arm = Arm("json_each(?) v CROSS JOIN term t", _LIST.format("t"), values, ordered=False, unique=False)
    return Condition((arm,), Probe(_IN_MANY if len(wanted) > MANY else _IN_LIST, values))
