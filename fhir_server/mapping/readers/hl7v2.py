"""HL7 v2 in ER7 form: bytes to a message whose values are asked for by segment, field, component, subcomponent.

Bytes are decoded before anything is split, because the second byte of a Chinese character can be ``|``, ``^``,
``~`` or a backslash (周瑋 in GBK ends in AC 7C). Source: HL7 v2.4 §2.6–2.9.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fhir_server.mapping.faults import Malformed
from fhir_server.mapping.readers.charset import CODECS, codec_of, decode
from fhir_server.mapping.readers.escapes import Separators, unescape
from fhir_server.mapping.readers.places import Path, Selector
from fhir_server.mapping.readers.segments import Part, Segment, cut_segments
from fhir_server.mapping.source import Found, Scope

FORMAT = "hl7v2"
MEDIA_TYPES = ("application/hl7-v2", "application/edi-hl7v2", "x-application/hl7-v2+er7", "text/hl7v2")


@dataclass(frozen=True, slots=True)
class Header:
    """What an acknowledgement and the choice of a mapping need of MSH. ``codec`` is Python's name of the charset."""

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
    """A message. ``groups``: name of the segment that opens a group -> segments just before it that belong to it."""

    def __init__(self, text: str, separators: Separators, codec: str) -> None:
        self.separators = separators
        self.codec = codec
        self.segments = cut_segments(text, separators)
        self._whole = Part(self.segments)
        self.groups: Mapping[str, tuple[str, ...]] = {}

    @cached_property
    def header(self) -> Header:
        """What MSH says."""
        return _header(self.segments[0], self.codec)

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
        return Scope((), (self._whole,))

    def each(self, name: str, scope: Scope) -> list[Scope]:
        """One scope per segment ``name`` in ``scope``, or per group that it opens."""
        inside: Sequence[Segment] = scope.levels[-1].segments
        starts = [at for at, segment in enumerate(inside) if segment.name == name]
        if name not in self.groups:
            return [scope.inner(name, inside[at].number, Part((inside[at],))) for at in starts]
        opened = [_opening(inside, at, self.groups[name]) for at in starts]
        parts = zip(starts, opened, [*opened[1:], len(inside)], strict=True)
        return [scope.inner(name, inside[at].number, Part(inside[start:end])) for at, start, end in parts]

    def find(self, path: Path, scope: Scope) -> Found | None:
        """The value at ``path`` in the innermost part of ``scope`` that has its segment."""
        for inside in reversed(scope.levels):
            segments = inside.named(path.segment)
            if segments:
                return self._find_in(segments, path)
        return None

    def leaves(self) -> Iterator[str]:
        """The place of every part that is not empty."""
        for segment in self.segments:
            for number in range(1, len(segment.fields)):
                yield from self._field_leaves(segment, number)

    def _find_in(self, segments: list[Segment], path: Path) -> Found | None:
        segment = self.choose_segment(segments, path.which)
        if segment is None:
            return None
        chosen: tuple[str, ...] = (
            ()
            if path.which.value is None
            else (f"{segment.name}[{segment.number}]-{path.which.part}[1].1.1",)
        )
        place = f"{segment.name}[{segment.number}]-{path.field}"
        if path.whole or (segment.name == "MSH" and path.field < 3):
            text = self._clean(segment.field(path.field))
            return Found(text, place, chosen) if text else None
        at, repetition = self.choose_repetition(segment, path.field, path.repetition)
        text = self._clean(segment.part(repetition, path.component, path.subcomponent)) if at else ""
        if path.repetition.value is not None:
            chosen += (f"{place}[{at}].{path.repetition.part}.1",)
        return Found(text, f"{place}[{at}].{path.component}.{path.subcomponent}", chosen) if text else None

    def choose_segment(self, segments: list[Segment], which: Selector) -> Segment | None:
        """The segment meant, None when there is none."""
        if which.value is None:
            return segments[which.part - 1] if which.part <= len(segments) else None
        for segment in segments:
            if self._clean(segment.part(segment.repetitions(which.part)[0], 1, 1)) == which.value:
                return segment
        return None

    def choose_repetition(self, segment: Segment, field: int, which: Selector) -> tuple[int, str]:
        """Number and text of the repetition meant; number 0 when there is none."""
        repetitions = segment.repetitions(field)
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
                    if self._clean(part).strip():
                        yield f"{segment.name}[{segment.number}]-{number}[{at}].{component}.{subcomponent}"

    def _clean(self, text: str) -> str:
        """The text meant; HL7's explicit null ``""`` counts as empty."""
        return "" if text == '""' else unescape(text, self.separators, self.codec)


def read(raw: bytes, default_codec: str = "utf-8", declared: str | None = None) -> Hl7Message:
    """The message in ``raw``. The charset is ``declared`` (by the door), else MSH-18, else ``default_codec``.

    Raises Undecodable (bad bytes, with the offset), Malformed (not a message) or NotSupported (charset).
    """
    separators = _separators(raw)
    codec = codec_of(declared) if declared else _charset(raw, separators, default_codec)
    return Hl7Message(decode(raw, codec), separators, codec)


def read_header(raw: bytes, default_codec: str = "gb18030") -> Header | None:
    """What MSH says, for answering a message that cannot be read otherwise; None when there is not even an MSH."""
    try:
        separators = _separators(raw)
    except Malformed:
        return None
    line = re.split(rb"[\r\n]", raw.removeprefix(b"\xef\xbb\xbf"), maxsplit=1)[0]
    said = _said_charset(line, separators, default_codec)
    codec = codec_of(said) if said and is_known(said) else default_codec
    return _header(Segment("MSH", 1, line.decode(codec, "ignore"), separators), codec)


def is_known(charset: str) -> bool:
    """True when text in ``charset`` can be read."""
    return re.sub(r"[^A-Z0-9]", "", charset.upper()) in CODECS


def _header(msh: Segment, codec: str) -> Header:
    def at(field: int, component: int = 1) -> str:
        return unescape(msh.part(msh.repetitions(field)[0], component, 1), msh.separators, codec).strip()

    return Header(
        msh.separators,
        codec,
        application=at(3),
        facility=at(4),
        receiving_application=at(5),
        receiving_facility=at(6),
        kind="^".join(filter(None, (at(9), at(9, 2)))),
        control_id=at(10),
        processing_id=at(11),
        version=at(12),
        charset=at(18),
    )


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
    said = _said_charset(re.split(rb"[\r\n]", raw, maxsplit=1)[0], separators, default)
    return codec_of(said) if said else default


def _said_charset(line: bytes, separators: Separators, default: str) -> str:
    """MSH-18, read from MSH's bytes in each charset they could be in until what it says agrees with that charset."""
    said = ""
    for codec in dict.fromkeys((default, *CODECS.values())):
        try:
            fields = line.decode(codec).split(separators.field)
        except UnicodeDecodeError:
            continue
        said = fields[17].split(separators.repetition)[0].strip() if len(fields) > 17 else ""
        if not said or line.isascii() or (is_known(said) and codec_of(said) == codec):
            break
    return said


def _opening(inside: Sequence[Segment], at: int, before: tuple[str, ...]) -> int:
    """Where the group begins that the segment ``at`` opens."""
    while at > 0 and inside[at - 1].name in before:
        at -= 1
    return at
