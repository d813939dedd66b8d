"""HL7 v2 in ER7 form: bytes to segments, and values by segment, field, component and subcomponent.

Bytes are decoded before anything is split, because the second byte of a Chinese character can be ``|``, ``^``,
``~`` or a backslash (周瑋 in GBK ends in AC 7C). Segments are cut when the message is read, fields when asked for.
Source: HL7 v2.4 §2.6–2.9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from fhir_server.mapping.faults import Malformed
from fhir_server.mapping.readers.charset import CODECS, codec_of, decode
from fhir_server.mapping.readers.escapes import Separators, unescape
from fhir_server.mapping.source import Found, Scope

FORMAT = "hl7v2"
MEDIA_TYPES = ("application/hl7-v2", "application/edi-hl7v2", "x-application/hl7-v2+er7", "text/hl7v2")
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PATH = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<which>[^\]]+)\])?-(?P<field>\d{1,3})(?:\[(?P<repetition>[^\]]+)\])?"
    r"(?:\.(?P<component>\d{1,3}|\*))?(?:\.(?P<subcomponent>\d{1,3}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Selector:
    """Which segment or repetition is meant: the one whose ``part`` (field or component) is ``value``, or number ``part``."""

    part: int
    value: str | None = None

    @classmethod
    def parse(cls, text: str | None) -> Selector:
        """``5=IdentifyNO``, ``2`` or None (the first). Raises ValueError."""
        if text is None:
            return cls(1)
        part, equals, value = text.partition("=")
        if not part.isascii() or not part.isdigit() or int(part) == 0:
            raise ValueError(f"[{text}] must be a number from 1, or number=value")
        return cls(int(part), value if equals else None)


@dataclass(frozen=True, slots=True)
class Path:
    """``PID-3[5=IdentifyNO].1`` taken apart. Component None: the first; ``*``: the whole field as sent."""

    text: str
    segment: str
    which: Selector
    field: int
    repetition: Selector
    component: int
    subcomponent: int
    whole: bool


def parse_path(text: str) -> Path:
    """``SEG[field=value]-field[component=value].component.subcomponent``. Raises ValueError."""
    match = _PATH.fullmatch(text)
    if not match or int(match["field"]) == 0:
        raise ValueError(
            f"{text!r} is not an HL7 v2 place; examples: PID-5, PID-3[5=IdentifyNO].1, PRD[1=RP]-4.2, OBX-5.*"
        )
    whole = match["component"] == "*"
    return Path(
        text,
        match["segment"],
        Selector.parse(match["which"]),
        int(match["field"]),
        Selector.parse(match["repetition"]),
        1 if whole else int(match["component"] or 1),
        int(match["subcomponent"] or 1),
        whole,
    )


class Segment:
    """One line of the message; ``number`` counts the segments of this name from 1."""

    __slots__ = ("_fields", "line", "name", "number", "separators")

    def __init__(self, name: str, number: int, line: str, separators: Separators) -> None:
        self.name = name
        self.number = number
        self.line = line
        self.separators = separators
        self._fields: list[str] | None = None

    def field(self, number: int) -> str:
        """Field ``number`` as sent (repetitions and escapes inside), '' when it is not there."""
        fields = self.fields
        return fields[number] if number < len(fields) else ""

    @property
    def fields(self) -> list[str]:
        """Fields by number; number 0 is the name. In MSH, field 1 is the separator itself."""
        if self._fields is None:
            fields = self.line.split(self.separators.field)
            if self.name in {"MSH", "BHS", "FHS"}:
                fields.insert(1, self.separators.field)
            self._fields = fields
        return self._fields

    def repetitions(self, number: int) -> list[str]:
        """The repetitions of a field; MSH-1 and MSH-2 are never split."""
        text = self.field(number)
        if self.name == "MSH" and number < 3:
            return [text]
        return text.split(self.separators.repetition)

    def part(self, repetition: str, component: int, subcomponent: int) -> str:
        """One component or subcomponent of a repetition, '' when it is not there."""
        components = repetition.split(self.separators.component)
        if component > len(components):
            return ""
        parts = components[component - 1].split(self.separators.subcomponent)
        return parts[subcomponent - 1] if subcomponent <= len(parts) else ""


@dataclass(frozen=True, slots=True)
class Header:
    """The parts of MSH that an acknowledgement and the choice of a mapping need."""

    separators: Separators
    codec: str
    application: str
    facility: str
    receiving_application: str
    receiving_facility: str
    kind: str
    control_id: str
    processing_id: str
    version: str
    charset: str


class Hl7Message:
    """A message cut into segments. ``groups``: segment that opens a group -> segments just before it that belong to it."""

    def __init__(self, text: str, separators: Separators, codec: str) -> None:
        self.separators = separators
        self.codec = codec
        self.segments = _cut(text, separators)
        self.groups: Mapping[str, tuple[str, ...]] = {}

    @cached_property
    def header(self) -> Header:
        """What MSH says."""
        msh = self.segments[0]
        at = [self._clean(msh.part(msh.field(number), 1, 1)) for number in range(19)]
        event = self._clean(msh.part(msh.field(9), 2, 1))
        return Header(
            self.separators,
            self.codec,
            application=at[3],
            facility=at[4],
            receiving_application=at[5],
            receiving_facility=at[6],
            kind=f"{at[9]}^{event}" if event else at[9],
            control_id=at[10],
            processing_id=at[11],
            version=at[12],
            charset=self._clean(msh.repetitions(18)[0]),
        )

    @property
    def kind(self) -> str:
        """MSH-9 as ``REF^I12``."""
        return self.header.kind

    @property
    def control_id(self) -> str:
        """MSH-10."""
        return self.header.control_id

    @property
    def sender(self) -> str:
        """MSH-4 and MSH-3 as ``facility/application``."""
        return f"{self.header.facility}/{self.header.application}"

    def whole(self) -> Scope:
        """The scope of the whole message."""
        return Scope((), (self.segments,))

    def each(self, name: str, scope: Scope) -> list[Scope]:
        """One scope per segment ``name`` in ``scope``, or per group it opens (``groups``)."""
        inside: tuple[Segment, ...] = scope.levels[-1]
        starts = [at for at, segment in enumerate(inside) if segment.name == name]
        if name not in self.groups:
            return [scope.inner(name, inside[at].number, (inside[at],)) for at in starts]
        opened = [self._open(inside, at, self.groups[name]) for at in starts]
        ends = [*opened[1:], len(inside)]
        parts = zip(starts, opened, ends, strict=True)
        return [scope.inner(name, inside[at].number, inside[start:end]) for at, start, end in parts]

    def find(self, path: Path, scope: Scope) -> Found | None:
        """The value at ``path`` in the innermost part of ``scope`` that has its segment."""
        for inside in reversed(scope.levels):
            segments = [segment for segment in inside if segment.name == path.segment]
            if segments:
                return self._find_in(segments, path)
        return None

    def leaves(self) -> Iterator[str]:
        """The place of every part that is not empty."""
        for segment in self.segments:
            for number in range(1, len(segment.fields)):
                yield from self._field_leaves(segment, number)

    def _find_in(self, segments: list[Segment], path: Path) -> Found | None:
        segment = self._choose_segment(segments, path.which)
        if segment is None:
            return None
        place = f"{segment.name}[{segment.number}]-{path.field}"
        if path.whole:
            text = self._clean(segment.field(path.field))
            return Found(text, place) if text else None
        at, repetition = self._choose_repetition(segment, path)
        text = self._clean(segment.part(repetition, path.component, path.subcomponent)) if at else ""
        return Found(text, f"{place}[{at}].{path.component}.{path.subcomponent}") if text else None

    def _choose_segment(self, segments: list[Segment], which: Selector) -> Segment | None:
        if which.value is None:
            return segments[which.part - 1] if which.part <= len(segments) else None
        same = (
            item for item in segments if self._clean(item.part(item.field(which.part), 1, 1)) == which.value
        )
        return next(same, None)

    def _choose_repetition(self, segment: Segment, path: Path) -> tuple[int, str]:
        repetitions = segment.repetitions(path.field)
        which = path.repetition
        if which.value is None:
            return (which.part, repetitions[which.part - 1]) if which.part <= len(repetitions) else (0, "")
        for at, repetition in enumerate(repetitions, 1):
            if self._clean(segment.part(repetition, which.part, 1)) == which.value:
                return at, repetition
        return 0, ""

    def _field_leaves(self, segment: Segment, number: int) -> Iterator[str]:
        for at, repetition in enumerate(segment.repetitions(number), 1):
            for component, text in enumerate(repetition.split(self.separators.component), 1):
                for subcomponent, part in enumerate(text.split(self.separators.subcomponent), 1):
                    if self._clean(part):
                        yield f"{segment.name}[{segment.number}]-{number}[{at}].{component}.{subcomponent}"

    def _clean(self, text: str) -> str:
        """The text meant; HL7's explicit null ``""`` counts as empty."""
        return "" if text == '""' else unescape(text, self.separators, self.codec)

    @staticmethod
    def _open(inside: tuple[Segment, ...], at: int, before: tuple[str, ...]) -> int:
        while at > 0 and inside[at - 1].name in before:
            at -= 1
        return at


def read(raw: bytes, default_codec: str = "utf-8", declared: str | None = None) -> Hl7Message:
    """The message in ``raw``. The charset is ``declared`` (by the door), else MSH-18, else ``default_codec``.

    Raises Undecodable (bad bytes, with the offset), Malformed (not a message) or NotSupported (charset).
    """
    separators = _separators(raw)
    codec = codec_of(declared) if declared else _charset(raw, separators, default_codec)
    return Hl7Message(decode(raw, codec), separators, codec)


def _separators(raw: bytes) -> Separators:
    start = raw.removeprefix(b"\xef\xbb\xbf")[:64]
    if start[:3] != b"MSH":
        raise Malformed("the message does not start with MSH", "MSH")
    field = start[3:4]
    if not field or field.isalnum() or not 0x20 < field[0] < 0x7F:
        raise Malformed("MSH-1 must be one printable ASCII sign, usually |", "MSH-1")
    signs = re.split(rb"[\r\n]|" + re.escape(field), start[4:])[0].decode("latin-1")
    if len(signs) not in {4, 5} or len(set(signs) | {field.decode()}) != len(signs) + 1:
        raise Malformed(r"MSH-2 must name four different separators, usually ^~\&", "MSH-2")
    if any(sign.isalnum() or not " " < sign < "\x7f" for sign in signs):
        raise Malformed(r"MSH-2 must be printable ASCII signs, usually ^~\&", "MSH-2")
    return Separators(field.decode(), *signs[:4])


def _charset(raw: bytes, separators: Separators, default: str) -> str:
    """MSH-18 is read from the first line, trying the charsets that the line could be in until one agrees with it."""
    line = re.split(rb"[\r\n]", raw, maxsplit=1)[0]
    said = ""
    for codec in dict.fromkeys((default, *CODECS.values())):
        try:
            fields = line.decode(codec).split(separators.field)
        except UnicodeDecodeError:
            continue
        said = fields[17].split(separators.repetition)[0].strip() if len(fields) > 17 else ""
        if not said or line.isascii() or codec_of(said) == codec:
            break
    return codec_of(said) if said else default


def _cut(text: str, separators: Separators) -> tuple[Segment, ...]:
    control = _CONTROL.search(text)
    if control:
        raise Malformed(
            f"the control character 0x{ord(control[0]):02X} at character {control.start()} is not allowed"
        )
    lines = text.replace("\r\n", "\r").split("\r" if "\r" in text else "\n")
    counts: dict[str, int] = {}
    segments = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = line[:3]
        if not _NAME.fullmatch(name) or line[3:4] not in {"", separators.field}:
            raise Malformed(f"line {number} does not start with the name of a segment", f"line {number}")
        counts[name] = counts.get(name, 0) + 1
        if name == "MSH" and counts[name] > 1:
            raise Malformed(
                f"line {number} starts a second message; send each message on its own", f"line {number}"
            )
        segments.append(Segment(name, counts[name], line, separators))
    return tuple(segments)
