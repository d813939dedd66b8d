"""Is the file whole, do its tables agree, and can every version be read? Looks only.

Source: sqlite.org/pragma.html#pragma_integrity_check; the tables are those of ``schema``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from fhir_server.store import Finding
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.contents import RESTORE, content_fault, place_of

MOST: Final = 100
"""Lines of SQLite's own report."""

DISAGREEMENTS: Final = {
    "past versions that belong to no resource": (
        "SELECT 'history', h.sequence FROM history h "
        "WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.rid = h.rid)"
    ),
    "past versions that are not older than the current one": (
        "SELECT 'history', h.sequence FROM history h CROSS JOIN resource r ON r.rid = h.rid "
        "WHERE h.version >= r.version OR h.sequence >= r.sequence"
    ),
    "past versions that the log does not know": (
        "SELECT 'history', h.sequence FROM history h WHERE NOT EXISTS "
        "(SELECT 1 FROM log l WHERE l.sequence = h.sequence AND l.rid = h.rid AND l.version = h.version)"
    ),
    "current versions that the log does not know": (
        "SELECT 'resource', r.sequence FROM resource r WHERE NOT EXISTS "
        "(SELECT 1 FROM log l WHERE l.sequence = r.sequence AND l.rid = r.rid AND l.version = r.version)"
    ),
    "writes in the log whose version is lost": (
        "SELECT 'log', l.sequence FROM log l "
        "WHERE NOT EXISTS (SELECT 1 FROM history h WHERE h.sequence = l.sequence) "
        "AND NOT EXISTS (SELECT 1 FROM resource r WHERE r.rid = l.rid AND r.sequence = l.sequence)"
    ),
    "types and systems without a text": (
        "SELECT 'resource', r.sequence FROM resource r "
        "WHERE NOT EXISTS (SELECT 1 FROM symbol s WHERE s.sid = r.tid)"
    ),
}
"""What would be wrong → the rows that are (their table and sequence)."""

_VERSIONS: Final = (
    "SELECT s.text, r.id, r.version, r.sequence, r.method, r.content FROM resource r JOIN symbol s ON s.sid = r.tid "
    "UNION ALL SELECT s.text, r.id, h.version, h.sequence, h.method, h.content FROM history h "
    "JOIN resource r ON r.rid = h.rid JOIN symbol s ON s.sid = r.tid"
)


def damage(connection: sqlite3.Connection) -> list[Finding]:
    """What SQLite finds wrong with the file."""
    try:
        lines = [line for (line,) in connection.execute(f"PRAGMA integrity_check({MOST:d})")]
    except sqlite3.DatabaseError as error:
        lines = [str(error)]
    return [] if lines == ["ok"] else [Finding("the file", f"{line}: {RESTORE}") for line in lines]


def disagreements(connection: sqlite3.Connection) -> Iterator[Finding]:
    """What the tables say differently."""
    for text, statement in DISAGREEMENTS.items():
        rows = connection.execute(statement).fetchall()
        if rows:
            table, sequence = rows[0]
            yield Finding(f"table {table}", f"{len(rows)} {text} (the first: write {sequence}): {RESTORE}")


def unreadable(
    connection: sqlite3.Connection, blobs: Blobs, told: Callable[[int], None]
) -> Iterator[Finding]:
    """Versions whose content cannot be unpacked, or is not what it should be."""
    for count, (type, id, version, sequence, method, blob) in enumerate(connection.execute(_VERSIONS)):
        text = content_fault(type, id, version, blob, blobs, is_deleted=not method)
        if text:
            yield Finding(f"{place_of(type, id)}, version {version}, write {sequence}", f"{text}: {RESTORE}")
        if not count % 1000:
            told(count)
