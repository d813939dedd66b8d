"""A message in ER7 form cut into segments; fields are cut when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fhir_server.mapping.faults import Malformed
from fhir_server.mapping.readers.escapes import Separators

_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Segment:
    """One line of the message; ``number`` counts the segments of this name from 1."""

    __slots__ = ("_fields", "line", "name", "number", "separators")

    def __init__(self, name: str, number: int, line: str, separators: Separators) -> None:
        self.name = name
        self.number = number
        self.line = line
        self.separators = separators
        self._fields: list[str] | None = None

    @property
    def fields(self) -> list[str]:
        """Fields by number; number 0 is the name. In MSH, field 1 is the separator itself."""
        if self._fields is None:
            fields = self.line.split(self.separators.field)
            if self.name == "MSH":
                fields.insert(1, self.separators.field)
            self._fields = fields
        return self._fields

    def field(self, number: int) -> str:
        """Field ``number`` as sent (repetitions and escapes inside), '' when it is not there."""
        fields = self.fields
        return fields[number] if number < len(fields) else ""

    def repetitions(self, number: int) -> list[str]:
        """The repetitions of a field; MSH-1 and MSH-2 are never cut."""
        text = self.field(number)
        return [text] if self.name == "MSH" and number < 3 else text.split(self.separators.repetition)

    def part(self, repetition: str, component: int, subcomponent: int) -> str:
        """One component or subcomponent of a repetition, '' when it is not there."""
        return _at(
            _at(repetition, self.separators.component, component), self.separators.subcomponent, subcomponent
        )


def _at(text: str, separator: str, number: int) -> str:
    pieces = text.split(separator, number)
    return pieces[number - 1] if number <= len(pieces) else ""


class Part:
    """Some segments in the order of the message, also found by name."""

    __slots__ = ("_named", "segments")

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = segments
        self._named: dict[str, list[Segment]] | None = None

    def named(self, name: str) -> list[Segment]:
        """The segments of this name."""
        if self._named is None:
            self._named = {}
            for segment in self.segments:
                self._named.setdefault(segment.name, []).append(segment)
        return self._named.get(name, [])


def cut_segments(text: str, separators: Separators) -> tuple[Segment, ...]:
    """The segments of ``text``, which ends them with CR (CR LF and LF are read too). Raises Malformed."""
    control = _CONTROL.search(text)
    if control:
        raise Malformed(
            f"the control character 0x{ord(control[0]):02X} at character {control.start()} is not allowed"
        )
    lines = text.replace("\r\n", "\r").split("\r" if "\r" in text else "\n")
    counts: dict[str, int] = {}
    segments = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            name = _name(line, number, separators)
            counts[name] = counts.get(name, 0) + 1
            segments.append(Segment(name, counts[name], line, separators))
    if counts["MSH"] > 1:
        raise Malformed("a second MSH begins another message; send each message on its own", "MSH")
    return tuple(segments)


def _name(line: str, number: int, separators: Separators) -> str:
    if not _NAME.fullmatch(line[:3]) or line[3:4] not in {"", separators.field}:
        raise Malformed(f"line {number} does not start with the name of a segment", f"line {number}")
    return line[:3]
