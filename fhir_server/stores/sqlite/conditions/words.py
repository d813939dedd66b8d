"""``_text``, ``_content`` and ``:text``: words in the index of texts.

Source: FHIR R4 search.html#text, #content, #modifiers.
"""

from __future__ import annotations

from typing import Final

from fhir_server.search.index import CONTENT, NARRATIVE
from fhir_server.search.query import Clause, TextValue
from fhir_server.stores.sqlite.conditions.parts import Arm, Condition, Probe, Scope
from fhir_server.stores.sqlite.fulltext import marked, require_texts

COLUMNS: Final = {NARRATIVE: "narrative", CONTENT: "whole"}
DISPLAYS: Final = "displays"

_CURRENT: Final = (
    "fulltext f CROSS JOIN log l ON l.sequence = f.rowid "
    "CROSS JOIN resource {0} ON {0}.rid = l.rid AND {0}.sequence = l.sequence"
)
_FOUND: Final = "f.fulltext MATCH ? AND {0}.tid = ? AND {0}.method > 0"
_PROBE: Final = f"t.rid IN (SELECT p.rid FROM {_CURRENT.format('p')} WHERE {_FOUND.format('p')})"  # noqa: S608


def compile(scope: Scope, clause: Clause) -> Condition:
    """Texts with the words of a value, one after the other. Raises TextsBehind when the index must be built first."""
    require_texts(scope.connection)
    found = " OR ".join(_phrase(key, value) for key in clause.parameter.keys for value in clause.values)
    values = (found, scope.tid)
    arm = Arm(_CURRENT.format("t"), _FOUND.format("t"), values, ordered=False, unique=True)
    return Condition((arm,), Probe(_PROBE, values))


def _phrase(key: int, value: TextValue) -> str:
    words = " ".join(marked(key, value.words))
    return f'{COLUMNS.get(key, DISPLAYS)} : "{words}"{" *" if value.open else ""}'
