"""MongoDB's errors in the words of whoever runs the server. No message names a host, a user or a password."""

from __future__ import annotations

from typing import Final

import zstandard
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from fhir_server.errors import FhirError, StoreUnavailable, TooLarge

SOON: Final = {"Retry-After": "2"}

_DAMAGED: Final = "a stored resource is damaged: restore it from a backup"
_ADVICE: Final = {
    11600: "the database is shutting down: send again",
    13: "the database does not allow this to the user of FHIR_STORE: give it the role readWrite",
    18: "the database refused the user or the password of FHIR_STORE",
    20: "the database is no replica set, which transactions need: start it with --replSet",
    50: "the database took too long: ask for less, or send again later",
    112: "another server is writing: send again",
    121: "the database refused the document: its validators are those of another version of this program",
    14031: "the disk of the database is full: free space, then send again",
}
"""Error code → what to do. Source: MongoDB's error_codes.yml."""

_RETRYABLE: Final = frozenset({6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
"""A member of the replica set has gone or is no longer the primary; the next attempt finds the new one."""


def unavailable(error: Exception) -> FhirError:
    """The error to raise for ``error`` of the driver (or of the compression)."""
    if isinstance(error, DocumentTooLarge):
        return too_large()
    if isinstance(error, zstandard.ZstdError):
        return StoreUnavailable(_DAMAGED, diagnostics="it cannot be unpacked")
    if isinstance(error, PyMongoError) and error.has_error_label("UnknownTransactionCommitResult"):
        return StoreUnavailable(
            "the database was interrupted, and whether it has kept this is not known: look before you send again",
            headers=SOON,
        )
    if isinstance(error, ServerSelectionTimeoutError):
        return StoreUnavailable("no primary of the database can be reached: send again", headers=SOON)
    if isinstance(error, OperationFailure) and error.code in _ADVICE:
        return StoreUnavailable(_ADVICE[error.code], diagnostics=f"error {error.code}", headers=SOON)
    said = f"error {error.code}" if isinstance(error, OperationFailure) else type(error).__name__
    return StoreUnavailable(f"the database did not answer ({said}): send again", headers=SOON)


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
    return isinstance(error, AutoReconnect) or (
        isinstance(error, OperationFailure) and error.code in _RETRYABLE
    )


def is_conflict(error: PyMongoError) -> bool:
    """True when another server's transaction has, or had, what this one wants to change."""
    return isinstance(error, OperationFailure) and error.code == 112
