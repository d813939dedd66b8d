"""What is said, and what is written down, when the server itself is at fault."""

from __future__ import annotations

import traceback

import structlog

from fhir_server.errors import FhirError

_log = structlog.get_logger("fhir_server.rest")


def bug(request_id: str) -> FhirError:
    """What the client is told: the id under which the log explains it."""
    return FhirError(f"an error of the server; its log explains it under {request_id}")


def log_bug(error: Exception, request_id: str, where: str) -> None:
    """Write down the place, not the message: that may quote a patient."""
    frames = traceback.extract_tb(error.__traceback__)
    _log.error(
        "bug",
        request_id=request_id,
        where=where,
        error=type(error).__name__,
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
