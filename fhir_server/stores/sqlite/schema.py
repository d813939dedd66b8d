"""The tables of the SQLite store, and the checks made when a file is opened.

Every index table is clustered (``WITHOUT ROWID``) on what a search looks for, and every index row
carries the primary clinical ``date`` and the ``rid`` of its resource: the rows of one code come
out newest first, and a second condition is one probe of an exact key.

=========== =====================================================================================
meta        ``index``: the rules that the index rows were made by
symbol      texts that repeat (type names, systems, units) as small numbers
resource    the current version of every resource; a deleted one keeps its row, without content
history     past versions
log         every write in the order it was made; ``latest`` is the greatest ``updated`` so far
live        the not deleted resources of a type in default order; ``shape``: which arms they have
shape       the sets of arms that resources have, for ``:missing``
term        tokens (text = code, extra = system), references (id, type), uris, grams of Chinese text
link        the references to local resources once more, by the resource that has them: extra = type, text = id
string      normalised texts; ``exact`` as ``forms.exact_form`` writes it
period      date arms, ``[low, high)``; ``span`` is a class of width (``rows.WIDTHS``)
secondary…  date arms that have, or had, a value which does not start at the primary date of its resource
number      numbers and quantities; ``span`` is 0 for a plain value, 1 for a range
composite   combinations: up to three parts, four columns each
position    degrees
=========== =====================================================================================

The ``…_of_resource`` indexes answer "does *this* resource have such a value" and give sort values;
their rows are appended in ``rid`` order, so they cost little to keep.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from fhir_server.errors import StoreUnavailable
from fhir_server.search.types.special import kilometres

APPLICATION: Final = 0x434D4346
"""SQLite's ``application_id`` of our files: "CMCF"."""

VERSION: Final = 3
"""SQLite's ``user_version``: the number of this schema. Whatever changes it has a step in ``migrations``."""

TABLES: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE symbol (sid INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    """CREATE TABLE resource (
        rid INTEGER PRIMARY KEY, tid INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
        updated INTEGER NOT NULL, method INTEGER NOT NULL, sequence INTEGER NOT NULL,
        date INTEGER NOT NULL, content BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX resource_id ON resource (tid, id)",
    "CREATE INDEX resource_updated ON resource (tid, updated) WHERE method > 0",
    """CREATE TABLE history (
        sequence INTEGER PRIMARY KEY, rid INTEGER NOT NULL, version INTEGER NOT NULL,
        updated INTEGER NOT NULL, method INTEGER NOT NULL, content BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX history_version ON history (rid, version)",
    """CREATE TABLE log (
        sequence INTEGER PRIMARY KEY, tid INTEGER NOT NULL, rid INTEGER NOT NULL,
        version INTEGER NOT NULL, updated INTEGER NOT NULL, latest INTEGER NOT NULL)""",
    "CREATE INDEX log_type ON log (tid, sequence)",
    "CREATE INDEX log_change ON log (tid, sequence) WHERE version > 1",
    """CREATE TABLE live (
        tid INTEGER NOT NULL, date INTEGER NOT NULL, rid INTEGER NOT NULL, shape INTEGER NOT NULL,
        PRIMARY KEY (tid, date, rid)) WITHOUT ROWID""",
    "CREATE TABLE shape (shape INTEGER PRIMARY KEY, keys BLOB NOT NULL UNIQUE)",
    "CREATE TABLE shape_key (key INTEGER NOT NULL, shape INTEGER NOT NULL, PRIMARY KEY (key, shape)) WITHOUT ROWID",
    "CREATE TABLE secondary_date (key INTEGER PRIMARY KEY)",
    """CREATE TABLE term (
        key INTEGER NOT NULL, text TEXT NOT NULL, date INTEGER NOT NULL, rid INTEGER NOT NULL,
        extra INTEGER NOT NULL, PRIMARY KEY (key, text, date, rid, extra)) WITHOUT ROWID""",
    """CREATE TABLE link (
        rid INTEGER NOT NULL, key INTEGER NOT NULL, extra INTEGER NOT NULL, text TEXT NOT NULL,
        PRIMARY KEY (rid, key, extra, text)) WITHOUT ROWID""",
    """CREATE TABLE string (
        key INTEGER NOT NULL, text TEXT NOT NULL, date INTEGER NOT NULL, rid INTEGER NOT NULL,
        exact TEXT NOT NULL, edge INTEGER NOT NULL,
        PRIMARY KEY (key, text, date, rid, exact)) WITHOUT ROWID""",
    "CREATE INDEX string_of_resource ON string (rid, key, edge)",
    """CREATE TABLE period (
        key INTEGER NOT NULL, span INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL,
        date INTEGER NOT NULL, rid INTEGER NOT NULL, edge INTEGER NOT NULL,
        PRIMARY KEY (key, span, low, high, date, rid)) WITHOUT ROWID""",
    "CREATE INDEX period_of_resource ON period (rid, key, edge)",
    """CREATE TABLE number (
        key INTEGER NOT NULL, span INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
        date INTEGER NOT NULL, rid INTEGER NOT NULL, text TEXT NOT NULL, extra INTEGER NOT NULL,
        edge INTEGER NOT NULL,
        PRIMARY KEY (key, span, low, high, date, rid, text, extra)) WITHOUT ROWID""",
    "CREATE INDEX number_of_resource ON number (rid, key, edge)",
    """CREATE TABLE composite (
        key INTEGER NOT NULL, text TEXT NOT NULL, date INTEGER NOT NULL, rid INTEGER NOT NULL,
        place INTEGER NOT NULL, extra, low, high, text2, extra2, low2, high2, text3, extra3, low3, high3,
        PRIMARY KEY (key, text, date, rid, place)) WITHOUT ROWID""",
    """CREATE TABLE position (
        key INTEGER NOT NULL, latitude REAL NOT NULL, longitude REAL NOT NULL,
        date INTEGER NOT NULL, rid INTEGER NOT NULL,
        PRIMARY KEY (key, latitude, longitude, date, rid)) WITHOUT ROWID""",
)

_CREATED: Final = re.compile(r"CREATE (?:UNIQUE )?(?:TABLE|INDEX) (\w+)")
CREATES: Final = {_CREATED.findall(statement)[0]: statement for statement in TABLES}
"""What creates each table and index, by name."""


def connect(path: str, durability: str, cache_kilobytes: int) -> sqlite3.Connection:
    """A connection in autocommit mode, usable from any one thread at a time.

    ``durability`` "full": a commit returns when the data are on disk; "normal": the next checkpoint puts them there.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    for setting in (
        "busy_timeout = 0",
        f"synchronous = {SYNCHRONOUS[durability]}",
        "wal_autocheckpoint = 0",
        "temp_store = MEMORY",
        "secure_delete = FAST",
        f"cache_size = -{cache_kilobytes:d}",
    ):
        connection.execute(f"PRAGMA {setting}")
    connection.create_function("kilometres", 4, kilometres, deterministic=True)
    return connection


INDEXED_BY: Final = "SELECT value FROM meta WHERE name = 'index'"
"""The fingerprint of the rules that all index rows were made by."""

SYNCHRONOUS: Final = {"full": "FULL", "normal": "NORMAL"}


def prepare(connection: sqlite3.Connection, path: str) -> bool:
    """Make the tables in a new file; refuse a file that is not ours or that a newer program wrote.

    False when it is of an older program: then ``migrations`` go on. Raises StoreUnavailable.
    """
    application = _pragma(connection, "application_id")
    version = read_version(connection)
    objects = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if not objects and application in {0, APPLICATION}:
        _create(connection)
        return True
    if application != APPLICATION:
        raise StoreUnavailable(f"{path} is a database of another program: choose another path in FHIR_STORE")
    if version > VERSION:
        raise StoreUnavailable(
            f"{path} was written by a newer version of this program (schema {version}, this one knows {VERSION}): "
            "upgrade the program or open another store"
        )
    return version == VERSION


def read_version(connection: sqlite3.Connection) -> int:
    """The number of the schema that the file has."""
    return _pragma(connection, "user_version")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO symbol VALUES (0, '')")
    connection.execute("INSERT INTO meta VALUES ('index', '')")
    connection.execute(f"PRAGMA application_id = {APPLICATION:d}")
    connection.execute(f"PRAGMA user_version = {VERSION:d}")
    connection.execute("COMMIT")
