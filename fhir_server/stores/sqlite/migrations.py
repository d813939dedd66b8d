"""From the schema of an older program to that of this one, in steps of one database transaction each.

A step changes the tables and the file's version together. Whoever is killed in the middle of one finds the version
before it and begins that step again; two processes that open the file at once wait for each other.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from fhir_server.stores.sqlite.schema import CREATES, read_version

PATIENCE: Final = 60_000
"""Milliseconds to wait for another process that is at it."""


class Migration(NamedTuple):
    """The step to ``version``: statements that may have been carried out already. ``is_indexed_again``: index rows have
    to be made for what it adds."""

    version: int
    statements: tuple[str, ...]
    is_indexed_again: bool = False


def _if_missing(name: str) -> str:
    """What creates the table or index ``name`` of the schema, unless it is there."""
    kind, rest = CREATES[name].split(f" {name} ", 1)
    return f"{kind} IF NOT EXISTS {name} {rest}"


MIGRATIONS: Final = (
    Migration(2, (_if_missing("link"),), is_indexed_again=True),
    Migration(3, (_if_missing("log_change"),)),
)
"""One for each version after the first up to ``schema.VERSION``, in order. What a later one changes has its old form
here."""


def migrate(connection: sqlite3.Connection) -> None:
    """Take every step that the file lacks. Raises sqlite3.Error, leaving the steps that were taken."""
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE:d}")
    for migration in MIGRATIONS:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if read_version(connection) < migration.version:
                _take(connection, migration)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _take(connection: sqlite3.Connection, migration: Migration) -> None:
    for statement in migration.statements:
        connection.execute(statement)
    if migration.is_indexed_again:
        connection.execute("UPDATE meta SET value = '' WHERE name = 'index'")
    connection.execute(f"PRAGMA user_version = {migration.version:d}")
