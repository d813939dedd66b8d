"""``:missing`` and ``:not``: they test, and never find.

Source: FHIR R4 search.html#modifiers.
"""

from __future__ import annotations

from typing import Final

from fhir_server.search.query import Clause
from fhir_server.search.registry import SearchParameter
from fhir_server.stores.sqlite.conditions.parts import Condition, Probe, Scope, any_of


def negated(condition: Condition) -> Condition:
    """``:not``: no value matches; resources without any value do."""
    where, values = condition.probe
    return Condition((), Probe(f"NOT ({where})", values))


def missing(scope: Scope, clause: Clause) -> Condition:
    """``:missing=true`` or ``false``. Both at once is everything."""
    wanted = set(clause.values)
    if len(wanted) > 1:
        return Condition((), Probe("1", ()))
    found = Probe("1", ()) if clause.parameter.column else present(scope, clause.parameter)
    return negated(Condition((), found)) if True in wanted else Condition((), found)


_REFERRING: Final = "EXISTS (SELECT 1 FROM link p WHERE p.rid = t.rid AND p.key = ? AND p.extra = ?)"
_OF_SYSTEM: Final = "t.rid IN (SELECT rid FROM term p WHERE p.key = ? AND p.extra = ?)"


def present(scope: Scope, parameter: SearchParameter) -> Probe:
    """``parameter`` has a value."""
    shared = parameter.target or parameter.system
    if shared is not None:
        kept = _REFERRING if parameter.target else _OF_SYSTEM
        return any_of([Probe(kept, (key, scope.number(shared))) for key in parameter.keys])
    keys = ", ".join("?" * len(parameter.keys))
    where = (
        "EXISTS (SELECT 1 FROM live p WHERE p.tid = ? AND p.date = t.date AND p.rid = t.rid "  # noqa: S608
        f"AND p.shape IN (SELECT shape FROM shape_key WHERE key IN ({keys})))"
    )
    return Probe(where, (scope.tid, *parameter.keys))
