"""What the engine asks of a message, whatever its format: values at paths, and parts to repeat over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the message, where exactly it stood (``OBX[2]-5[1].1.1``, ``sfzhm``), and the places that chose it."""

    text: str
    at: str
    chosen_by: tuple[str, ...] = ()


Key = tuple[tuple[str, int], ...]
"""Names a part of a message: ``(("OBR", 1), ("OBX", 2))``; ``()`` is the whole."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a message a rule looks at. ``levels`` are the parts from the whole message down to this one, in
    the reader's own form.
    """

    key: Key
    levels: tuple[Any, ...]

    def inner(self, name: str, number: int, level: Any) -> Scope:
        """The scope one step further in."""
        return Scope((*self.key, (name, number)), (*self.levels, level))


class Message(Protocol):
    """A message cut into parts."""

    @property
    def kind(self) -> str:
        """What it is: ``REF^I12`` or the name of the view."""

    @property
    def control_id(self) -> str:
        """What the sender calls this message."""

    @property
    def sender(self) -> str:
        """Who sends it, as the message says."""

    def whole(self) -> Scope:
        """The scope of the whole message."""

    def each(self, name: str, scope: Scope) -> list[Scope]:
        """One scope per part called ``name`` inside ``scope``."""

    def find(self, path: Any, scope: Scope) -> Found | None:
        """The value at ``path`` (made by the format's ``parse_path``), or None when there is none."""

    def leaves(self) -> Iterator[str]:
        """The place of every value that is not empty."""
