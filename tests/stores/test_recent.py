"""What was read lately is remembered as long as there is room, the oldest first to go."""

from __future__ import annotations

from fhir_server.store import Record
from fhir_server.stores.sqlite.recent import RecentRecords


def record(sequence: int, size: int = 10) -> Record:
    return Record("Patient", str(sequence), 1, 0, "PUT", b"x" * size, sequence)


def test_a_write_is_remembered_by_its_sequence() -> None:
    recent = RecentRecords()
    kept = record(7)
    recent.keep(kept)
    assert recent.get(7) is kept
    assert recent.get(8) is None


def test_what_is_not_asked_for_makes_room_and_what_is_stays() -> None:
    recent = RecentRecords(most=100)
    for sequence in range(1, 30):
        recent.keep(record(sequence))
        assert recent.get(1) is not None
    assert recent.get(2) is None
    assert sum(recent.get(sequence) is not None for sequence in range(1, 30)) <= 11
