"""Records that were read lately, decompressed: what a doctor opens is opened again within minutes.

A committed write has its own sequence and never changes, so nothing here can become stale.
"""

from __future__ import annotations

from typing import Final

from fhir_server.store import Record

MOST: Final = 16 * 1024 * 1024
"""Bytes of content kept at most; the half that was asked for longest ago is let go."""


class RecentRecords:
    """Sequence → Record, in two generations: what is asked for again moves from the old one to ``newest``."""

    __slots__ = ("_old", "_room", "_size", "newest")

    def __init__(self, most: int = MOST) -> None:
        self._room = most // 2
        self._size = 0
        self.newest: dict[int, Record] = {}
        self._old: dict[int, Record] = {}

    def get(self, sequence: int) -> Record | None:
        """The write with this number, when it is remembered."""
        record = self.newest.get(sequence)
        if record is None and (record := self._old.get(sequence)) is not None:
            self.keep(record)
        return record

    def keep(self, record: Record) -> None:
        """Remember ``record``."""
        self._size += len(record.content)
        if self._size > self._room:
            self._old, self.newest, self._size = self.newest, {}, len(record.content)
        self.newest[record.sequence] = record
