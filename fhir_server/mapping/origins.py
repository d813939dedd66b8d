"""Where a field's value comes from: each origin reads it out of a ``Frame``, the view of one rule on one message.

``read`` gives a ``Reading`` (text, and the places it came from); ``resolve`` a value that is taken as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, the places of the message it stood at, and what was done with it so far."""

    text: str
    at: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


class Frame(Protocol):
    """What an origin may ask for."""

    def source(self, path: Any) -> Reading | None:
        """The text at a source path, as it was sent."""

    def value(self, name: str) -> Reading | None:
        """A named value of the map, treated by its own steps."""

    def fact(self, name: str) -> str:
        """A fact of the HIS (``uscc``)."""

    def reference(self, rule: str) -> str | None:
        """The fullUrl of the resource that ``rule`` made around or beside this place."""

    def references(self, rule: str) -> list[str]:
        """The fullUrls of all resources that ``rule`` made inside this place."""


@dataclass(frozen=True, slots=True)
class From:
    """A place in the message. Blanks around the text do not count, and a null word (``NA``) is no text."""

    path: Any
    null_words: frozenset[str] = frozenset()

    def read(self, frame: Frame) -> Reading | None:
        """Its text."""
        found = frame.source(self.path)
        text = found.text.strip() if found else ""
        if not found or not text or text in self.null_words:
            return None
        return Reading(text, found.at)


@dataclass(frozen=True, slots=True)
class Named:
    """A named value of the map."""

    name: str

    def read(self, frame: Frame) -> Reading | None:
        """Its text."""
        return frame.value(self.name)


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact of the HIS."""

    name: str

    def read(self, frame: Frame) -> Reading | None:
        """Its text."""
        return Reading(frame.fact(self.name))


Hole = From | Named | Fact


@dataclass(frozen=True, slots=True)
class Text:
    """A template: literal pieces and holes by turns. No text at all when a hole is empty.

    ``escaped``: the text is a search, so what fills a hole is escaped for a query in a URL.
    """

    literals: tuple[str, ...]
    holes: tuple[Hole, ...]
    escaped: bool = False

    def read(self, frame: Frame) -> Reading | None:
        """The filled template."""
        text = self.literals[0]
        at: tuple[str, ...] = ()
        for hole, literal in zip(self.holes, self.literals[1:], strict=True):
            found = hole.read(frame)
            if found is None:
                return None
            text += (query_value(found.text) if self.escaped else found.text) + literal
            at += found.at
        return Reading(text, at)


@dataclass(frozen=True, slots=True)
class Concat:
    """Several places joined; those that are empty are left out."""

    parts: tuple[Hole, ...]
    separator: str

    def read(self, frame: Frame) -> Reading | None:
        """The joined text, None when all are empty."""
        found = [reading for reading in (part.read(frame) for part in self.parts) if reading]
        if not found:
            return None
        return Reading(
            self.separator.join(item.text for item in found), tuple(at for item in found for at in item.at)
        )


@dataclass(frozen=True, slots=True)
class Const:
    """Something the mapping says itself."""

    value: Any

    def resolve(self, frame: Frame) -> Any:
        """The value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to the resource of another rule."""

    rule: str

    def resolve(self, frame: Frame) -> Any:
        """The Reference, None when that rule made nothing."""
        url = frame.reference(self.rule)
        return {"reference": url} if url else None


@dataclass(frozen=True, slots=True)
class Refs:
    """References to all resources of another rule."""

    rule: str

    def resolve(self, frame: Frame) -> Any:
        """The References, None when there are none."""
        return [{"reference": url} for url in frame.references(self.rule)] or None


@dataclass(frozen=True, slots=True)
class Find:
    """A conditional reference: a search the server resolves when the Bundle is carried out."""

    text: Text

    def resolve(self, frame: Frame) -> Any:
        """The Reference, None when a hole is empty."""
        found = self.text.read(frame)
        return {"reference": found.text} if found else None


def query_value(text: str) -> str:
    r"""``text`` as a search value in a URL: FHIR's ``\ | , $`` escaped, then percent-encoded where a URL needs it."""
    return quote(re.sub(r"([\\|,$])", r"\\\1", text), safe="")
