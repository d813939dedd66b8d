"""A moment in the life of the store, and what a search of that moment needs to know.

Pages after the first one show what the first one would have shown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from fhir_server.search.query import Chain, Has

_NOW: Final = "SELECT ifnull((SELECT max(sequence) FROM log), 0), ifnull((SELECT max(rid) FROM resource), 0)"
_UNCHANGED: Final = "t.rid <= ? AND (SELECT w.sequence FROM resource w WHERE w.rid = t.rid) <= ?"


class Moment(NamedTuple):
    """After the write ``sequence`` and before the next; ``rid`` is the greatest number of a resource then."""

    sequence: int
    rid: int

    @property
    def unchanged(self) -> tuple[str, tuple[int, int]]:
        """SQL that is true of a row ``t`` whose resource was there then and has not changed since, and its values."""
        return _UNCHANGED, (self.rid, self.sequence)


class Then(Protocol):
    """What changed after ``moment``, in the versions that it had then: see ``past.Past``."""

    moment: Moment

    def ids(self, relation: Chain) -> Sequence[str]:
        """The ids of changed resources that a chain led to."""

    def targets(self, relation: Has, tid: int) -> Sequence[str]:
        """The ids of resources of the type ``tid`` that changed resources, which ``_has`` asks for, referred to."""


def moment_of(connection: sqlite3.Connection) -> Moment:
    """What ``connection`` sees now."""
    return Moment(*connection.execute(_NOW).fetchone())


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """All statements in the block see the same state."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
