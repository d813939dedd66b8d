"""``_id`` and ``_lastUpdated``: fields of every resource.

Source: FHIR R4 search.html#id, #lastUpdated.
"""

from __future__ import annotations

from fhir_server.search.query import Clause
from fhir_server.stores.mongo.conditions.parts import Test, any_of
from fhir_server.stores.mongo.conditions.period import instant


def id(type: str, clause: Clause) -> Test:
    """``_id=1,2``."""
    return listed(type, [value.code for value in clause.values])


def listed(type: str, ids: list[str]) -> Test:
    """The resources with ``ids``, a deleted one included."""
    return Test({"_id": {"$in": [f"{type}/{id}" for id in dict.fromkeys(ids)]}})


def updated(type: str, clause: Clause) -> Test:
    """``_lastUpdated=ge2026-03-02``: an instant, one microsecond wide. The type is there for the index."""
    return any_of([Test({"t": type, **instant(value)}) for value in clause.values])
