"""Searches that were parsed before: inboxes are polled and pages of one patient are opened again and again.

Bounded in number and in length, so that hostile searches cannot fill the memory.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, Generic, TypeVar

MOST_REMEMBERED: Final = 2048
LONGEST: Final = 512
"""Characters of a search that is worth remembering."""

T = TypeVar("T")


class Remembered(Generic[T]):
    """What was made of a key, the oldest forgotten first."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, T] = {}

    def recall(self, key: Hashable) -> T | None:
        """What was kept for ``key``, if it has not been forgotten."""
        return self._kept.get(key)

    def keep(self, key: Hashable, value: T) -> None:
        """Remember ``value`` for ``key``."""
        if len(self._kept) >= MOST_REMEMBERED:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = value

    def forget(self) -> None:
        """Forget all: what they were made from has changed."""
        self._kept.clear()


def is_lasting(pairs: Sequence[tuple[str, str]]) -> bool:
    """True when the search means the same tomorrow (``ap`` measures dates from now) and is short."""
    return sum([len(name) + len(value) for name, value in pairs]) <= LONGEST and not any(
        "ap" in value for _, value in pairs
    )
