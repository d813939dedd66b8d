"""What a clause becomes: fixed pieces of SQL, and the values bound to them.

Inside the pieces ``t`` is the row that drives the search (it has ``date`` and ``rid``) and ``p`` a
row that is looked for beside it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from fhir_server.search.query import Clause
from fhir_server.stores.sqlite.moment import Then
from fhir_server.stores.sqlite.symbols import Symbols

Values = tuple[Any, ...]

TOGETHER: Final = 100
"""Alternatives joined at one level: SQLite bounds the depth of expressions and the length of unions."""

LEAST: Final = -(2**63)
GREATEST: Final = 2**63 - 1

LAST: Final = "\U0010ffff"
"""Greater than every character that can follow a prefix."""


class Arm(NamedTuple):
    """A range of rows of an index table: ``SELECT t.date, t.rid FROM table WHERE where``.

    ``ordered``: the rows come newest first without sorting; ``unique``: no resource twice.
    """

    table: str
    where: str
    values: Values
    ordered: bool
    unique: bool


class Probe(NamedTuple):
    """A test of the resource of the row ``t``."""

    where: str
    values: Values


class Condition(NamedTuple):
    """One clause. ``arms`` find its resources (() when it can only test, as ``:not``), ``probe`` tests one.

    ``rank`` guesses how few there are: 0 a handful, 1 few (one patient's), 2 unknown. No resource
    matches with a primary date before ``earliest`` or after ``latest`` (None: unknown); ``dense``: most of those
    between do.
    """

    arms: Sequence[Arm]
    probe: Probe
    rank: int = 2
    latest: int | None = None
    earliest: int | None = None
    dense: bool = False


class Scope(NamedTuple):
    """Where a clause is compiled: the connection it will run on, the numbers of texts, the type searched.

    ``then``: only what was there at that moment and has not changed since is asked for.
    """

    connection: sqlite3.Connection
    symbols: Symbols
    tid: int
    then: Then | None = None

    def number(self, text: str) -> int:
        """The number of a repeating text, UNKNOWN when no row has it."""
        return self.symbols.find(self.connection, text)


Compiler = Callable[[Scope, Clause], Condition]


def any_of(probes: Sequence[Probe]) -> Probe:
    """True when one of ``probes`` is."""
    if len(probes) == 1:
        return probes[0]
    if len(probes) > TOGETHER:
        return any_of([any_of(probes[at : at + TOGETHER]) for at in range(0, len(probes), TOGETHER)])
    values = tuple(value for probe in probes for value in probe.values)
    return Probe("(" + " OR ".join([f"({probe.where})" for probe in probes]) + ")", values)


def all_of(probes: Sequence[Probe]) -> Probe:
    """True when all of ``probes`` are."""
    where = " AND ".join([f"({probe.where})" for probe in probes])
    return Probe(where or "1", tuple(value for probe in probes for value in probe.values))


def count_upto(connection: sqlite3.Connection, arms: Iterable[Arm], limit: int) -> int:
    """How many rows the arms have, counted no further than ``limit``."""
    found = 0
    for arm in arms:
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {arm.table} WHERE {arm.where} LIMIT ?)"  # noqa: S608
        found += connection.execute(statement, (*arm.values, limit - found)).fetchone()[0]
        if found >= limit:
            break
    return found
