"""Is the file whole, do its tables agree, and can every version be read? Looks only.

Source: sqlite.org/pragma.html#pragma_integrity_check; the tables are those of ``schema``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

import orjson
import zstandard

from fhir_server.store import Finding
from fhir_server.stores.blobs import Blobs

MOST: Final = 100
"""Lines of SQLite's own report."""
RESTORE: Final = "restore the store from a backup"

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
        text = _fault(type, id, version, method, blob, blobs)
        if text:
            yield Finding(f"{place_of(type, id)}, version {version}, write {sequence}", f"{text}: {RESTORE}")
        if not count % 1000:
            told(count)


def place_of(type: str, id: str) -> str:
    """For people; ids of the server's own records say nothing to them."""
    return type if type[0] == "_" else f"{type}/{id}"


def _fault(type: str, id: str, version: int, method: int, blob: bytes, blobs: Blobs) -> str:
    try:
        content = blobs.decompress(blob)
    except zstandard.ZstdError:
        return "its content cannot be unpacked"
    if not method:
        return "a deletion has content" if content else ""
    try:
        data = orjson.loads(content)
    except orjson.JSONDecodeError:
        return "its content is not JSON"
    if type[0] != "_" and (data.get("resourceType"), data.get("id")) != (type, id):
        return "its content is that of another resource"
    said = data.get("meta", {}).get("versionId") if type[0] != "_" else None
    return "its content is that of another version" if said not in {None, str(version)} else ""
