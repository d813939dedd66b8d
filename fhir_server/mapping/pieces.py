"""Parts of a mapping file on their way to being compiled, each knowing file, line and path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fhir_server.mapping.types import Place
from fhir_server.mapping.yaml_text import Document, Steps


class CompileFault(Exception):
    """One piece of a map makes no sense; the text names file, line and path."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(f"{place.file}: {place.path}: {text}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document, with the path that people know it by (rules by name, not by number)."""

    document: Document
    steps: Steps
    data: Any
    path: str

    @classmethod
    def root(cls, document: Document) -> Piece:
        """The whole document."""
        return cls(document, (), document.data, "")

    def child(self, key: str | int) -> Piece:
        """The part under ``key``."""
        return Piece(self.document, (*self.steps, key), self.data[key], f"{self.path}/{key}".strip("/"))

    def children(self, key: str) -> list[Piece]:
        """The parts of the list or mapping under ``key``; none when there is no such key."""
        if key not in self.data:
            return []
        inner = self.child(key)
        return [
            inner.child(at) for at in (inner.data if isinstance(inner.data, dict) else range(len(inner.data)))
        ]

    def renamed(self, path: str) -> Piece:
        """The same part under another path."""
        return replace(self, path=path)

    def fault(self, text: str) -> CompileFault:
        """A fault of this part."""
        return CompileFault(self.place, text)

    @property
    def key(self) -> str:
        """The name under which the part stands."""
        return str(self.steps[-1])

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.document.place(self.steps), self.path)


def texts(data: Any) -> tuple[str, ...]:
    """One text or a list of texts, as a tuple."""
    return (data,) if isinstance(data, str) else tuple(data or ())
