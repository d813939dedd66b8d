"""From an exception to the one line and the exit code that a person gets."""

from __future__ import annotations

import errno

import httpx
from pydantic import ValidationError

from fhir_server.errors import FhirError, StoreUnavailable

INPUT, USAGE, ENVIRONMENT = 1, 2, 3


class UsageFault(Exception):
    """The command was called in a way that cannot be meant."""


def explain(error: Exception) -> tuple[str, int]:
    """What to print, and the exit code."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return _line(error), code
    return f"{type(error).__name__}: {error} (run again with --debug for a trace)", ENVIRONMENT


def _line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(_setting(fault["loc"], fault["msg"]) for fault in error.errors())
    if isinstance(error, httpx.HTTPError):
        return f"no answer from {error.request.url.copy_with(query=None)}: {error}"
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"the port is taken: {error.strerror or error}; choose another with --port or FHIR_PORT"
    return str(error)


def _setting(location: tuple[int | str, ...], text: str) -> str:
    name = ".".join(str(part) for part in location)
    return f"FHIR_{name.upper()}: {text}" if name else text.removeprefix("Value error, ")


_CODES: tuple[tuple[type[Exception], int], ...] = (
    (UsageFault, USAGE),
    (ValidationError, USAGE),
    (StoreUnavailable, ENVIRONMENT),
    (FhirError, INPUT),
    (FileNotFoundError, INPUT),
    (UnicodeError, INPUT),
    (httpx.HTTPError, ENVIRONMENT),
    (OSError, ENVIRONMENT),
)
