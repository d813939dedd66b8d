"""MongoDB's errors in the words of whoever runs the server. No message names a host, a user or a password."""

from __future__ import annotations

from typing import Final

import zstandard
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from fhir_server.errors import FhirError, InsufficientStorage, StoreAway, StoreUnavailable, TooLarge

SOON: Final = {"Retry-After": "2"}
LATER: Final = {"Retry-After": "60"}
"""What needs a person."""

_DAMAGED: Final = "a stored resource is damaged: restore it from a backup"
_UNCERTAIN: Final = (
    "the database was interrupted, and whether it has kept this is not known: look before you send again"
)
_TOO_MUCH: Final = (
    "these writes do not fit into the database's cache as one transaction: send them in smaller Bundles, or give the "
    "database a larger cache (--wiredTigerCacheSizeGB)"
)
_FULL: Final = 14031
_ADVICE: Final = {
    11600: "the database is shutting down: send again",
    13: "the database does not allow this to the user of FHIR_STORE: give it the role readWrite",
    18: "the database refused the user or the password of FHIR_STORE",
    20: "the database is no replica set, which transactions need: start it with --replSet",
    50: "the database took too long: ask for less, or send again later",
    112: "another server is writing: send again",
    121: "the database refused the document: its validators are those of another version of this program",
    _FULL: "the disk of the database is full: free space, then send again",
}
"""Error code → what to do. Source: MongoDB's error_codes.yml."""

_CACHE: Final = frozenset({359, 388})
_RETRYABLE: Final = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""A member of the replica set has gone or is no longer the primary; the next attempt finds the new one."""


def unavailable(error: Exception) -> FhirError:
    """The error to raise for ``error`` of the driver (or of the compression)."""
    code = code_of(error)
    if isinstance(error, DocumentTooLarge):
        return too_large()
    if code in _CACHE:
        return TooLarge(_TOO_MUCH, diagnostics=f"error {code}")
    diagnostics = f"error {code}" if code else type(error).__name__
    if code == _FULL:
        return InsufficientStorage(_ADVICE[code], diagnostics=diagnostics, headers=LATER)
    is_away = isinstance(error, AutoReconnect) or code in _RETRYABLE
    kind = StoreAway if is_away else StoreUnavailable
    return kind(_text(error, code), diagnostics=diagnostics, headers=SOON)


def _text(error: Exception, code: int) -> str:
    if isinstance(error, zstandard.ZstdError):
        return _DAMAGED
    if isinstance(error, PyMongoError) and error.has_error_label("UnknownTransactionCommitResult"):
        return _UNCERTAIN
    if isinstance(error, ServerSelectionTimeoutError):
        return "no primary of the database can be reached: send again"
    return _ADVICE.get(code, "the database did not answer: send again")


def code_of(error: Exception) -> int:
    """MongoDB's number of ``error``, of the first write that failed when there were several; 0 when it has none."""
    if isinstance(error, BulkWriteError):
        failed = error.details.get("writeErrors") or [{}]
        return int(failed[0].get("code", 0))
    return int(getattr(error, "code", None) or 0)


def too_large() -> TooLarge:
    """What is refused because MongoDB keeps no document of more than 16 MB."""
    return TooLarge(
        "the resource is too large to be kept: 16 MB at most, compressed and with what it is found by; "
        "divide it, or keep large attachments elsewhere"
    )


def cannot_open(error: Exception) -> StoreUnavailable:
    """For a store URL that the driver refuses."""
    if isinstance(error, ConfigurationError | ValueError):
        return StoreUnavailable(
            "FHIR_STORE is no MongoDB URL that can be used; allowed: "
            "mongodb://[user:password@]host[:port][,host…]/database?replicaSet=name",
            diagnostics=type(error).__name__,
        )
    told = unavailable(error)
    assert isinstance(told, StoreUnavailable)
    return told


def is_passing(error: PyMongoError) -> bool:
    """True when the same read may succeed at once: a connection broke, or another member became the primary."""
    if isinstance(error, ServerSelectionTimeoutError):
        return False
    return isinstance(error, AutoReconnect) or code_of(error) in _RETRYABLE


def is_conflict(error: PyMongoError) -> bool:
    """True when another server's transaction has, or had, what this one wants to change."""
    return code_of(error) == 112
