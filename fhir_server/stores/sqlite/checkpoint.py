"""Moves committed pages from the write-ahead log into the database file, in a thread of its own.

With durability ``normal`` this is also what brings commits to the disk, within INTERVAL.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

INTERVAL = 0.5
"""Seconds between two checkpoints while writes go on."""

CROWDED = 16_384
"""Pages in the write-ahead log (64 MiB) from which the writer is asked to let it start again."""


class Checkpoints:
    """``dirty()`` after a commit; ``crowded`` tells the writer to make one full checkpoint itself."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self.crowded = False
        self._connect = connect
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="fhir-checkpoint", daemon=True)

    def start(self) -> None:
        """Begin to look after the log."""
        self._connection = self._connect()
        self._thread.start()

    def dirty(self) -> None:
        """There is something new in the log."""
        self._wake.set()

    def close(self) -> None:
        """Stop the thread after what it is doing now."""
        self._stop.set()
        self._wake.set()
        if self._connection is not None:
            self._thread.join()
            self._connection.close()

    def _run(self) -> None:
        while self._connection is not None:
            self._wake.wait()
            if self._stop.wait(INTERVAL):
                return
            self._wake.clear()
            try:
                _, pages, _ = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except sqlite3.Error:
                continue  # the writer meets the same fault and tells it
            self.crowded = pages > CROWDED
