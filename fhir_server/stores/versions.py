"""Which version may follow which: the same in every engine."""

from __future__ import annotations

from fhir_server.errors import Conflict
from fhir_server.store import Record


def require_next(record: Record, before: int) -> None:
    """Raises Conflict unless ``record`` follows the version ``before`` (0: none)."""
    if record.version != before + 1:
        raise Conflict(
            f"version {record.version} of {record.type}/{record.id} does not follow the current version "
            f"{before}: somebody else was faster; read it again and repeat the change"
        )


def require_after(record: Record, sequence: int, before: int) -> None:
    """Raises Conflict unless ``record``, of another store, comes after the write ``sequence`` and after the version
    ``before`` (0: none)."""
    if record.sequence <= sequence or record.version <= before or record.number < 1:
        raise Conflict(
            f"version {record.version} of {record.type}/{record.id}, which is write {record.sequence} of its store, "
            f"does not follow what is here: version {before}, write {sequence}"
        )
