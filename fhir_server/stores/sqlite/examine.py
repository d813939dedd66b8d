"""Everything in the file looked at: itself, its tables, the versions, the index rows. See ``store.Store.examine``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Set
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from fhir_server.store import Examination, Finding
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.sqlite.batch import Extract
from fhir_server.stores.sqlite.index_check import Comparison, Difference
from fhir_server.stores.sqlite.integrity import damage, disagreements, unreadable
from fhir_server.stores.sqlite.schema import INDEXED_BY

Told = Callable[[int], None]

OTHER_RULES: Final = Finding(
    "the index",
    "it was made by other rules (another time zone, base address or program) than those of this command: it is made "
    "anew when a server starts with them; its rows were not compared",
)


@dataclass
class Examined:
    """What was found: ``findings`` cannot be repaired, ``differences`` by the number of the resource (and the
    ``secondary`` dates) can."""

    resources: int = 0
    findings: list[Finding] = field(default_factory=list)
    differing: list[Finding] = field(default_factory=list)
    differences: Mapping[int, Difference] = field(default_factory=dict)
    secondary: Set[int] = frozenset()

    def told(self, *, is_repaired: bool) -> Examination:
        """For who asked."""
        if is_repaired:
            return Examination(self.resources, tuple(self.findings), tuple(self.differing))
        return Examination(self.resources, (*self.findings, *self.differing))


def examine(
    connect: Callable[[], sqlite3.Connection], extract: Extract, ignored: Set[int], rules: str, told: Told
) -> Examined:
    """Look at everything, on a connection of its own. Arms ``ignored`` are being built, so nothing is said of them.

    Raises sqlite3.Error.
    """
    found = Examined()
    with closing(connect()) as connection:
        found.findings += damage(connection)
        if found.findings:  # whatever else is found would follow from it
            return found
        found.findings += disagreements(connection)
        found.findings += unreadable(connection, Blobs(), told)
        if connection.execute(INDEXED_BY).fetchone() != (rules,):
            found.findings.append(OTHER_RULES)
            return found
        comparison = Comparison(connection, extract, ignored)
        comparison.run(told)
        found.resources = comparison.resources
        found.differing += comparison.findings()
        found.differences, found.secondary = comparison.differences, comparison.secondary
    return found
