"""Makes index rows anew: all at once before a store is used, or arm by arm in small steps while it is.

All at once when the rules have changed that every row is made by (another time zone, a new program), in one database
transaction: a server that is killed in between finds the old rows and begins again.
Source: our own.
"""

from __future__ import annotations

from collections.abc import Set
from time import monotonic
from typing import Any, Final, NamedTuple

from fhir_server.store import Step
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.sqlite.batch import Batch, Extract
from fhir_server.stores.sqlite.fulltext import forget_texts
from fhir_server.stores.sqlite.rows import TABLES, Table
from fhir_server.stores.sqlite.writer import Writer

AT_ONCE: Final = 500
TERM, LINK, *_CLUSTERED = TABLES
_EMPTIED: Final = (*(table.name for table in TABLES), "live", "shape", "shape_key", "secondary_date")
_ALL: Final = (
    "SELECT r.rid, r.tid, s.text, r.content FROM resource r JOIN symbol s ON s.sid = r.tid "
    "WHERE r.rid > ? AND r.method > 0 ORDER BY r.rid LIMIT ?"
)
_NEXT: Final = (
    "SELECT r.id, r.rid, r.content FROM resource r WHERE r.tid = ? AND r.id > ? AND r.method > 0 "
    "ORDER BY r.id LIMIT ?"
)


# ── all at once ───────────────────────────────────────────────────────────────


def rebuild(writer: Writer, blobs: Blobs, extract: Extract, fingerprint: str) -> int:
    """Index every resource again; returns how many there are. Raises sqlite3.Error, leaving all as it was."""
    connection = writer.connection
    connection.execute("BEGIN IMMEDIATE")
    try:
        for name in _EMPTIED:
            connection.execute(f"DELETE FROM {name}")  # noqa: S608
        forget_texts(connection)
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
    while rows := writer.connection.execute(_ALL, (last, AT_ONCE)).fetchall():
        dates = []
        for rid, tid, type, content in rows:
            values = extract(type, blobs.decompress(content))
            batch.index(tid, rid, values)
            dates.append((values.date, rid))
        writer.connection.executemany("UPDATE resource SET date = ? WHERE rid = ?", dates)
        batch.write()
        count, last = count + len(rows), rows[-1][0]
    return count


# ── in steps ──────────────────────────────────────────────────────────────────


class Part(NamedTuple):
    """What a step has to do; see ``store.Transaction.index``."""

    type: str
    keys: Set[int]
    after: str
    limit: int
    seconds: float


def index_some(writer: Writer, blobs: Blobs, extract: Extract, part: Part) -> Step:
    """See ``store.Transaction.index``. Half of the time is for the tables."""
    if not part.after:
        forget_texts(writer.connection)
    tid, deadline = writer.symbols[part.type], monotonic() + part.seconds / 2
    batch, done = Batch(writer, blobs, extract), []
    rows = writer.connection.execute(_NEXT, (tid, part.after, part.limit)).fetchall()
    for id, rid, content in rows:
        batch.refresh(tid, rid, extract(part.type, blobs.decompress(content)), part.keys)
        done.append(id)
        if monotonic() > deadline:
            break
    batch.write()
    more = len(done) < len(rows) or len(rows) == part.limit
    return Step(done[-1] if more else None, len(done))


def unindex_some(writer: Writer, keys: Set[int], limit: int) -> int:
    """See ``store.Transaction.unindex``."""
    left = limit
    for key in sorted(keys):
        for table in (TERM, *_CLUSTERED):
            if left > 0:
                left -= _remove(writer, table, key, left)
    return limit - left


def _remove(writer: Writer, table: Table, key: int, limit: int) -> int:
    """Remove up to ``limit`` rows of an arm; a reference is kept in ``link`` too, which is not in order of arms."""
    connection = writer.connection
    found = connection.execute(f"SELECT * FROM {table.name} WHERE key = ? LIMIT ?", (key, limit))  # noqa: S608
    rows: list[Any] = [row[: table.identity] for row in found]
    if table is TERM:
        links = [(rid, key, extra, text) for key, text, _, rid, extra in rows if extra]
        connection.executemany(LINK.delete, links)
    connection.executemany(table.delete, rows)
    return len(rows)
