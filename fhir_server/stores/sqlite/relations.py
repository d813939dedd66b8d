"""Chains and ``_has``: what other resources decide.

The criterion on the other side is looked at first. When it holds for few resources, these are named: a chain
becomes a search for references to them, ``_has`` a list of what they refer to. When it holds for many, each
candidate is tested along its own references (table ``link``) or along those that point to it (``term``).
Nothing is ever joined as a whole.
Source: FHIR R4 search.html#chaining, search.html#has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import orjson

from fhir_server.search.query import Chain, Has
from fhir_server.stores.sqlite.choice import Choice, select
from fhir_server.stores.sqlite.conditions.parts import GREATEST, Arm, Condition, Probe, Scope, Values, any_of
from fhir_server.stores.sqlite.conditions.term import FEW_TYPES, SEVERAL, Wanted, terms
from fhir_server.stores.sqlite.symbols import UNKNOWN

NAMED: Final = 64
"""Resources a chain leads to that are named one by one; more are tested."""

REFERRING: Final = 1_000
"""Resources ``_has`` asks for whose targets are named one by one. More than of a chain: there are never more targets
than sources, and testing is dear when the first candidates have none."""

APART: Final = 256
"""Rows that are looked up one by one, each newest first; more go to SQLite as one list."""

DEEPEST: Final = 3
"""Tests inside tests; what is deeper is listed first, because SQLite bounds how deep a statement may nest."""

NOTHING: Final = Condition((Arm("live t", "0", (), ordered=True, unique=True),), Probe("0", ()), rank=0)


def chain(scope: Scope, relation: Chain, inner: Choice) -> Condition:
    """``subject:Patient.name=…``; ``inner`` are the conditions of the resources referred to."""
    if inner.scope.tid == UNKNOWN:
        return NOTHING
    rids, old = _few(inner, NAMED), scope.then.ids(relation) if scope.then else ()
    if rids is None:
        now = _along_own_references(relation, inner)
        return Condition((), any_of([now, _to(relation, inner, old).probe]) if old else now)
    ids = [row[0] for row in scope.connection.execute(_IDS, (_json(rids),))]
    return _to(relation, inner, [*ids, *old])


def _to(relation: Chain, inner: Choice, ids: Sequence[str]) -> Condition:
    """What refers to one of ``ids``."""
    if not ids:
        return NOTHING
    wanted = [Wanted(key, id, inner.scope.tid) for key in relation.parameter.keys for id in ids]
    few = len(ids) <= SEVERAL and relation.type in FEW_TYPES
    return terms(wanted, rank=1 if few else 2, apart=APART)


def has(scope: Scope, relation: Has, inner: Choice) -> Condition:
    """``_has:Observation:patient:code=…``; ``inner`` are the conditions of the resources that refer."""
    if inner.scope.tid == UNKNOWN:
        return NOTHING
    rids, old = (
        _few(inner, REFERRING),
        _known(scope, scope.then.targets(relation, scope.tid) if scope.then else ()),
    )
    if rids is None:
        now = _along_references_to_it(scope, relation, inner)
        return Condition((), any_of([now, _listed(old).probe]) if old else now)
    keys = relation.parameter.keys
    rows = scope.connection.execute(_TARGETS.format(_marks(keys)), (_json(rids), *keys, scope.tid, scope.tid))
    targets = [*(row[0] for row in rows), *old]
    return _listed(targets) if targets else NOTHING


def _known(scope: Scope, ids: Sequence[str]) -> list[int]:
    """The numbers of resources with ``ids``."""
    return [row[0] for row in scope.connection.execute(_RIDS, (scope.tid, _json(ids)))] if ids else []


_IDS: Final = "SELECT r.id FROM json_each(?) v CROSS JOIN resource r ON r.rid = v.value"
_RIDS: Final = (
    "SELECT r.rid FROM resource r "
    "WHERE r.tid = ? AND r.id IN (SELECT value FROM json_each(?)) AND r.method > 0"
)
_TARGETS: Final = (
    "SELECT DISTINCT r.rid FROM json_each(?) v CROSS JOIN link l ON l.rid = v.value AND l.key IN ({}) "
    "AND l.extra = ? CROSS JOIN resource r ON r.tid = ? AND r.id = l.text AND r.method > 0"
)
_CHAIN: Final = (
    "EXISTS (SELECT 1 FROM link l CROSS JOIN resource {row} ON {row}.tid = ? AND {row}.id = l.text "
    "WHERE l.rid = t.rid AND l.key IN ({keys}) AND l.extra = ? AND {row}.method > 0{inner})"
)
_HAS: Final = (
    "EXISTS (SELECT 1 FROM resource x CROSS JOIN term {row} ON {row}.key IN ({keys}) AND {row}.text = x.id "
    "AND {row}.extra = ? WHERE x.rid = t.rid{inner})"
)


def _along_own_references(relation: Chain, inner: Choice) -> Probe:
    keys, tid = relation.parameter.keys, inner.scope.tid
    return _nested(_CHAIN, keys, (tid, *keys, tid), inner)


def _along_references_to_it(scope: Scope, relation: Has, inner: Choice) -> Probe:
    keys = relation.parameter.keys
    return _nested(_HAS, keys, (*keys, scope.tid), inner)


_ROW: Final = re.compile(r"\bt\.")
_NESTED: Final = re.compile(r"\bs(\d+)\.")


def _nested(form: str, keys: Iterable[int], values: Values, inner: Choice) -> Probe:
    """``form`` with the inner tests made about a row of a name that they do not use yet."""
    probes = inner.probes
    text = "".join([f" AND {probe.where}" for probe in probes])
    depth = max(map(int, _NESTED.findall(text)), default=0)
    if depth >= DEEPEST:
        return _nested(form, keys, values, Choice(inner.scope, [_listed(sorted(_found(inner)))]))
    row = f"s{depth + 1}"
    where = form.format(row=row, keys=_marks(keys), inner=_ROW.sub(f"{row}.", text))
    return Probe(where, (*values, *(value for probe in probes for value in probe.values)))


def _few(choice: Choice, most: int) -> list[int] | None:
    """All that satisfy ``choice``; None when there are more than ``most``."""
    found = _found(choice, most + 1)
    return sorted(found) if len(found) <= most else None


def _found(choice: Choice, enough: int = GREATEST) -> set[int]:
    """What satisfies ``choice``: all, or at least ``enough``."""
    arms, probes = choice.complete()
    found: set[int] = set()
    for arm in arms:
        text, values = select("DISTINCT t.rid", arm, probes)
        found.update([row[0] for row in choice.connection.execute(f"{text} LIMIT ?", (*values, enough))])
        if len(found) >= enough:
            break
    return found


def _listed(rids: list[int]) -> Condition:
    values = (_json(rids),)
    listed = "t.rid IN (SELECT value FROM json_each(?))"
    arm = Arm("resource t", listed, values, ordered=False, unique=True)
    return Condition((arm,), Probe(listed, values), rank=0 if len(rids) <= SEVERAL else 1)


def _marks(keys: Iterable[int]) -> str:
    return ", ".join("?" for _ in keys)


def _json(items: Sequence[int | str]) -> str:
    return orjson.dumps(list(items)).decode()
