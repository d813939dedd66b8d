"""The index of texts (``stores.texts``) in SQLite.

Writes do nothing for it. A row of the FTS5 table is one version of a resource and has its ``sequence`` as number, so
that an update or a deletion makes the row of the version before unreachable instead of changing it. ``meta`` keeps the
sequence up to which the index goes, changed in the same database transaction as the rows: whoever is killed in between
begins again there.

The words come ready-made (``search.types.words``); the tokenizer only splits at blanks. A word of a display has the
key of its arm in front, so that one column serves all parameters.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from fhir_server.search.index import CONTENT, NARRATIVE, IndexValues, TextRow
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.texts import TextsBehind

Extract = Callable[[str, bytes], IndexValues]

BOUNDARY: Final = "\ufdd0"
"""Stands between two texts, so that no phrase reaches over; no text has it."""

_TABLE: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS fulltext "
    "USING fts5(narrative, whole, displays, content = '', tokenize = 'ascii')"
)
_BEHIND: Final = """
    SELECT CASE WHEN m.value IS NULL THEN max(l.last, 1) ELSE l.last - CAST(m.value AS INTEGER) END
    FROM (SELECT ifnull(max(sequence), 0) AS last FROM log) l LEFT JOIN meta m ON m.name = 'fulltext'"""
_REACHED: Final = "SELECT value FROM meta WHERE name = 'fulltext'"
_REACH: Final = "INSERT INTO meta VALUES ('fulltext', ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_NEXT: Final = (
    "SELECT l.sequence, s.text, r.content FROM log l CROSS JOIN symbol s ON s.sid = l.tid "
    "CROSS JOIN resource r ON r.rid = l.rid AND r.sequence = l.sequence AND r.method > 0 "
    "WHERE l.sequence > ? AND (substr(s.text, 1, 1) <> '_' OR s.text GLOB '_Contained.*') ORDER BY l.sequence"
)
_DROP: Final = (
    "INSERT INTO fulltext (fulltext, rowid, narrative, whole, displays) VALUES ('delete', ?, ?, ?, ?)"
)
_ADD: Final = "INSERT INTO fulltext (rowid, narrative, whole, displays) VALUES (?, ?, ?, ?)"


# ── the table ─────────────────────────────────────────────────────────────────


def behind(connection: sqlite3.Connection) -> int:
    """How many writes the index does not know yet; at least one when there is no index."""
    found: int = connection.execute(_BEHIND).fetchone()[0]
    return found


def require_texts(connection: sqlite3.Connection) -> None:
    """Raise TextsBehind unless the index knows everything that ``connection`` sees."""
    if behind(connection) > 0:
        raise TextsBehind


def forget_texts(connection: sqlite3.Connection) -> None:
    """Have everything indexed anew when it is next needed: what is said under which key has changed."""
    connection.execute("DELETE FROM meta WHERE name = 'fulltext'")


def index_writes(connection: sqlite3.Connection, extract: Extract, seconds: float) -> int:
    """Index writes for so long, at least one, in the open transaction; how many are left."""
    deadline, blobs, last = monotonic() + seconds, Blobs(), _start(connection)
    found = connection.cursor().execute(_NEXT, (last,))
    for sequence, type, content in found:
        texts = extract(type, blobs.decompress(content)).texts()
        connection.execute(_ADD, (sequence, *columns(texts)))
        if monotonic() > deadline:
            connection.execute(_REACH, (str(sequence),))
            found.close()
            return behind(connection)
    connection.execute(_REACH, (str(behind(connection) + last),))
    return 0


def drop_texts(connection: sqlite3.Connection, sequence: int, texts: Callable[[], Iterable[TextRow]]) -> None:
    """Take the version with ``sequence`` out of the index; ``texts`` gives what was indexed of it.

    Before SQLite 3.42 its words leave the file only when the segment that holds them is merged.
    """
    if connection.execute(_REACHED).fetchone() is None:
        _empty(connection)
    elif connection.execute("SELECT 1 FROM fulltext WHERE rowid = ?", (sequence,)).fetchone():
        if sqlite3.sqlite_version_info >= (3, 42):
            connection.execute("INSERT INTO fulltext (fulltext, rank) VALUES ('secure-delete', 1)")
        connection.execute(_DROP, (sequence, *columns(texts())))


def _empty(connection: sqlite3.Connection) -> None:
    connection.execute(_TABLE)
    connection.execute("INSERT INTO fulltext (fulltext) VALUES ('delete-all')")


def _start(connection: sqlite3.Connection) -> int:
    """The sequence reached, after making or emptying the table when nothing has been."""
    row = connection.execute(_REACHED).fetchone()
    if row is not None:
        return int(row[0])
    _empty(connection)
    connection.execute(_REACH, ("0",))
    return 0


def columns(texts: Iterable[TextRow]) -> tuple[str, str, str]:
    """The columns of a row."""
    said: dict[int, list[str]] = {NARRATIVE: [], CONTENT: [], 0: []}
    for key, words in texts:
        said[min(key, 0)] += [*marked(key, words), BOUNDARY]
    return " ".join(said[NARRATIVE]), " ".join(said[CONTENT]), " ".join(said[0])


def marked(key: int, words: Iterable[str]) -> list[str]:
    """``words`` as they are kept: those of a display begin with the key of the arm in eight digits."""
    prefix = f"{key:08x}" if key > 0 else ""
    return [f"{prefix}{word}" for word in words]
