"""Makes all index rows anew, when the rules they are made by have changed (a new SearchParameter, another time zone).

In one database transaction: a server that is killed in between finds the old rows and begins again.
"""

from __future__ import annotations

from typing import Final

from fhir_server.stores.sqlite.batch import Batch, Extract
from fhir_server.stores.sqlite.blobs import Blobs
from fhir_server.stores.sqlite.rows import TABLES
from fhir_server.stores.sqlite.writer import Writer

AT_ONCE: Final = 500
_EMPTIED: Final = (*(table.name for table in TABLES), "live", "shape", "shape_key", "secondary_date")
_NEXT: Final = (
    "SELECT r.rid, r.tid, s.text, r.content FROM resource r JOIN symbol s ON s.sid = r.tid "
    "WHERE r.rid > ? AND r.method > 0 ORDER BY r.rid LIMIT ?"
)


def rebuild(writer: Writer, blobs: Blobs, extract: Extract, fingerprint: str) -> int:
    """Index every resource again; returns how many there are. Raises sqlite3.Error, leaving all as it was."""
    connection = writer.connection
    connection.execute("BEGIN IMMEDIATE")
    try:
        for name in _EMPTIED:
            connection.execute(f"DELETE FROM {name}")  # noqa: S608
        writer.shapes.clear()
        writer.secondary.clear()
        count = _index_all(writer, blobs, extract)
        connection.execute("UPDATE meta SET value = ? WHERE name = 'index'", (fingerprint,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        writer.forget()
        raise
    return count


def _index_all(writer: Writer, blobs: Blobs, extract: Extract) -> int:
    count = last = 0
    batch = Batch(writer, blobs, extract)
    while rows := writer.connection.execute(_NEXT, (last, AT_ONCE)).fetchall():
        dates = []
        for rid, tid, type, content in rows:
            values = extract(type, blobs.decompress(content))
            batch.index(tid, rid, values)
            dates.append((values.date, rid))
        writer.connection.executemany("UPDATE resource SET date = ? WHERE rid = ?", dates)
        batch.write()
        count, last = count + len(rows), rows[-1][0]
    return count
