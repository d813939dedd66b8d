"""Looks at a database file that are cheap enough to be taken every time.

When it is opened: a damaged one must not be served, nor written to. When somebody asks for the server's health: is
there room to write? Before a command fills or changes the file: does a server have it open?

SQLite's ``quick_check`` goes through every page, without comparing the indexes with their tables. It is stopped after
PATIENCE; ``fhir-server store check`` takes the time for everything.
Source: sqlite.org/pragma.html#pragma_quick_check.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from fhir_server.errors import InsufficientStorage, StoreUnavailable
from fhir_server.stores.sqlite.faults import is_busy, is_interrupted

PATIENCE: Final = 1.0
"""Seconds; about half a gigabyte of a warm file."""
ROOM: Final = 4 * 1024 * 1024
"""Bytes that must be free on the disk for the server to call itself ready."""
GLANCE: Final = 0.5
"""Seconds for which a file must be held to be in use: a monitor that looks into it is gone sooner."""
STEPS: Final = 10_000
"""Steps of SQLite's machine between two looks at the clock."""


def require_sound(connection: sqlite3.Connection, path: str) -> None:
    """Raise StoreUnavailable when the file is damaged, as far as can be seen in PATIENCE."""
    deadline = monotonic() + PATIENCE
    connection.set_progress_handler(lambda: monotonic() > deadline, STEPS)
    try:
        (line,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        line = "ok" if is_interrupted(error) else str(error)
    finally:
        connection.set_progress_handler(None, 0)
    if line != "ok":
        raise StoreUnavailable(
            f"{path} is damaged ({' '.join(line.split())[:200]}); it is left as it is. Move it away and restore the "
            f"last backup: fhir-server store restore <folder of the backup> --to sqlite:///{path}"
        )


def require_room(path: Path) -> None:
    """Raise InsufficientStorage when the disk of ``path`` is nearly full, OSError when it is away."""
    free = shutil.disk_usage(path.parent).free
    if free < ROOM:
        raise InsufficientStorage(
            f"the disk is nearly full: {free // 1024:,} kB are free, {ROOM // 1024:,} are needed",
            headers={"Retry-After": "60"},
        )


def is_held(path: Path) -> bool:
    """True when somebody keeps the file open: whoever has it in WAL mode keeps others from leaving that mode."""
    deadline = monotonic() + GLANCE
    while _cannot_leave_wal(path):
        if monotonic() > deadline:
            return True
        sleep(GLANCE / 50)
    return False


def _cannot_leave_wal(path: Path) -> bool:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        if is_busy(error):
            return True
        raise
    finally:
        connection.close()
    return False
