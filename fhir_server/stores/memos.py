"""What was found among old versions, kept from page to page: a past version never changes, nor does the answer."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final, NamedTuple

MOST: Final = 200_000
"""Finds kept together; the questions that were asked least lately are forgotten first."""


class Memo(NamedTuple):
    """``found`` among what was changed by the writes up to ``upto``."""

    upto: int
    found: tuple[tuple[Any, ...], ...]


class Memos:
    """Question → memo. Two threads may use it: the worst that can happen is that something is found twice."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._memos: dict[Hashable, Memo] = {}

    def recall(self, question: Hashable) -> Memo | None:
        """What was kept for ``question``."""
        memo = self._memos.pop(question, None)
        if memo is not None:
            self._memos[question] = memo
        return memo

    def keep(self, question: Hashable, memo: Memo) -> None:
        """Keep ``memo``, unless it alone is too large."""
        self._memos.pop(question, None)
        self._memos[question] = memo
        size = sum(1 + len(each.found) for each in tuple(self._memos.values()))
        for oldest in tuple(self._memos):
            if size <= self._most:
                return
            gone = self._memos.pop(oldest, None)
            size -= 1 + len(gone.found) if gone else 0
