"""``:missing``: of parameters that have no value.

Source: FHIR R4 search.html#modifiers.
"""

from __future__ import annotations

from bson import Regex

from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import Clause
from fhir_server.stores.mongo.conditions.parts import ALWAYS, Test, any_of, begins, between, negated
from fhir_server.stores.mongo.fields import AFTER, arm, system_stem


def missing(type: str, clause: Clause) -> Test:
    """``:missing=true`` or ``false``. Both at once is everything."""
    wanted = set(clause.values)
    if len(wanted) > 1:
        return ALWAYS
    found = ALWAYS if clause.parameter.column else present(clause.parameter)
    return negated(found) if True in wanted else found


def present(parameter: SearchParameter) -> Test:
    """``parameter`` has a value."""
    if parameter.target is not None:
        return any_of([_of_type(key, parameter.target) for key in parameter.keys])
    if parameter.system is not None:
        stems = [system_stem(key, parameter.system) for key in parameter.keys]
        return any_of([Test({"k": begins(stem)}, is_typed=True) for stem in stems])
    return Test({"a": {"$in": list(parameter.keys)}}, is_typed=True)


def _of_type(key: int, target: str) -> Test:
    stem = f"{arm(key)}@"
    ends = Regex(f"\n{target}$")
    return Test({"k": between(stem, stem + AFTER, **{"$regex": ends})}, is_typed=True)
