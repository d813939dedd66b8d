"""SQLite's errors in the words of whoever runs the server."""

from __future__ import annotations

import sqlite3
from typing import Final

import zstandard

from fhir_server.errors import InsufficientStorage, StoreAway, StoreUnavailable

_ADVICE: Final = {
    "SQLITE_FULL": "the disk is full: nothing was written, reading goes on; free space, then send again",
    "SQLITE_BUSY": "another program holds the database: send again",
    "SQLITE_LOCKED": "another program holds the database: send again",
    "SQLITE_CORRUPT": "the database file is damaged: stop the server and restore the file from a backup",
    "SQLITE_NOTADB": "the database file is damaged or not a database: restore the file from a backup",
    "SLOW_DISK": "the disk has not answered for a minute: look whether this was written before sending it again",
    "SQLITE_IOERR": "the disk reports an error: check the disk, then restart the server",
    "SQLITE_READONLY": "the database cannot be written: check the owner and mode of the file and its folder",
    "SQLITE_CANTOPEN": "the database file cannot be opened: check that its folder exists and may be written",
}


SOON: Final = 2
_AGAIN: Final = {"SQLITE_FULL": 60, "SQLITE_CORRUPT": 600, "SQLITE_NOTADB": 600, "SQLITE_READONLY": 60}
"""Seconds after which to send again: most faults pass, some need a person."""

_KINDS: Final = {
    "SQLITE_FULL": InsufficientStorage,
    "SQLITE_BUSY": StoreAway,
    "SQLITE_LOCKED": StoreAway,
}


def unavailable(error: Exception) -> StoreUnavailable:
    """The error to raise for ``error`` of SQLite (or of the compression)."""
    if isinstance(error, zstandard.ZstdError):
        return StoreUnavailable(_ADVICE["SQLITE_CORRUPT"], diagnostics="a stored resource cannot be unpacked")
    name = getattr(error, "sqlite_errorname", "")
    family = "_".join(name.split("_")[:2])
    advice = _ADVICE.get(family)
    if advice is None:
        advice = f"the database did not answer ({name or type(error).__name__}): send again"
    return _KINDS.get(family, StoreUnavailable)(
        advice, diagnostics=name or None, headers={"Retry-After": str(_AGAIN.get(family, SOON))}
    )


def is_interrupted(error: Exception) -> bool:
    """True when ``Reader``'s patience ended the statement."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT"


def is_busy(error: sqlite3.Error) -> bool:
    """True when another program holds the lock for now."""
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
