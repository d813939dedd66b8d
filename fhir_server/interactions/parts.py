"""Part of a resource that was read: ``_summary`` and ``_elements``.

Source: FHIR R4 search.html#summary, search.html#elements.
"""

from __future__ import annotations

import msgspec

from fhir_server.definitions import Definitions
from fhir_server.errors import InvalidSearch, Issue
from fhir_server.interactions.bundles import Pairs
from fhir_server.interactions.context import Outcome
from fhir_server.interactions.subset import SUMMARIES, subset

PARTS = ("_elements", "_summary")
"""The only parameters of a read."""


def part_of(definitions: Definitions, found: Outcome, pairs: Pairs) -> Outcome:
    """What the parameters ``pairs`` of a read leave of what was found. Raises InvalidSearch for any other parameter."""
    asked = dict(pairs)
    unknown = sorted(asked.keys() - set(PARTS))
    if unknown:
        text = f"a read has only {', '.join(PARTS)}"
        raise InvalidSearch(
            issues=[Issue("error", "not-supported", text, f"http.{name}") for name in unknown]
        )
    summary = asked.get("_summary", "false")
    if summary not in SUMMARIES and summary != "false":
        allowed = ", ".join([*sorted(SUMMARIES), "false"])
        raise InvalidSearch(f"the _summary of a read is one of {allowed}", expression="http._summary")
    if found.record is None or found.status == 304:
        return found
    elements = tuple(name for name in asked.get("_elements", "").split(",") if name)
    return msgspec.structs.replace(found, record=subset(definitions, found.record, summary, elements))
