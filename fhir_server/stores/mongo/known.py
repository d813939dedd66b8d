"""Current versions that this process has seen or written, kept from group to group: what is changed again and again
need not be read again.

They are right as long as nobody else has written; the first thing that a group learns is whether that is so.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from fhir_server.stores.mongo.batch import Key, Stored

MOST: Final = 4_096
LARGE: Final = 16 * 2**10
"""Bytes of a content that is not kept."""

Reached = tuple[int, int]
"""The state's ``sequence`` and ``erased``: the same as long as nothing was changed."""


class Known(dict[Key, Stored | None]):
    """(type, id) → the current version, None for an id that is not used. To be looked at in an open group only."""

    def __init__(self) -> None:
        super().__init__()
        self._reached: Reached | None = None

    def begin(self, reached: Reached) -> None:
        """A group begins: forget all if somebody else has written."""
        if reached != self._reached:
            self.clear()

    def end(self, reached: Reached, touched: Iterable[Key]) -> None:
        """A group has been committed that looked at, or wrote, ``touched``: keep what may be asked for again."""
        self._reached = reached
        for key in touched:
            stored = self.get(key)
            if stored is not None and len(stored.content) > LARGE:
                del self[key]
        for key in list(islice(self, max(0, len(self) - MOST))):
            del self[key]

    def clear(self) -> None:
        """Forget all: nothing that was written is certain."""
        super().clear()
        self._reached = None
