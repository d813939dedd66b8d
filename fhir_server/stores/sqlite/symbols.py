"""Texts that repeat in every row (type names, code systems, units), kept once and known by a small number."""

from __future__ import annotations

import sqlite3

LIMIT = 50_000
"""Texts held in memory; the table has all of them."""

UNKNOWN = -1
"""The number of a text that was never kept: no row has it."""


class Symbols(dict[str, int]):
    """text → number. Looking up a missing key with ``[]`` keeps the text (inside the open transaction)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self.connection = connection
        self.generation = 0

    def __missing__(self, text: str) -> int:
        number = self.find(self.connection, text)
        if number == UNKNOWN:
            number = self.connection.execute(
                "INSERT INTO symbol (text) VALUES (?) RETURNING sid", (text,)
            ).fetchone()[0]
            self[text] = number
        return number

    def clear(self) -> None:
        """Forget all. After a rollback a number can mean another text: ``generation`` tells those who kept one."""
        super().clear()
        self.generation += 1

    def find(self, connection: sqlite3.Connection, text: str) -> int:
        """The number of ``text``, UNKNOWN when it was never kept; nothing is written."""
        number = self.get(text)
        if number is None:
            row = connection.execute("SELECT sid FROM symbol WHERE text = ?", (text,)).fetchone()
            if row is None:
                return UNKNOWN
            self._remember(text, number := row[0])
        return number

    def _remember(self, text: str, number: int) -> None:
        if len(self) >= LIMIT:
            self.clear()
        self[text] = number
