"""A message with some of its values changed, for the tests that stand in a map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.mapping.readers import csv, hl7v2
from fhir_server.mapping.readers.escapes import escape
from fhir_server.mapping.readers.places import Path, parse_path


def edited(raw: bytes, format: str, codec: str, changes: Mapping[str, str]) -> bytes:
    """``raw`` with the text at each place of ``changes`` replaced. Raises ValueError for a place that is not there."""
    edit = {hl7v2.FORMAT: _edit_hl7, csv.FORMAT: _edit_csv}[format]
    return edit(raw, codec, changes)


def _edit_csv(raw: bytes, codec: str, changes: Mapping[str, str]) -> bytes:
    rows = csv.read_rows(raw, codec)
    unknown = changes.keys() - rows[0].keys()
    if unknown:
        raise ValueError(f"the example has no column {', '.join(sorted(unknown))}")
    return csv.write_row({**rows[0], **changes}).encode(codec)


def _edit_hl7(raw: bytes, codec: str, changes: Mapping[str, str]) -> bytes:
    message = hl7v2.read(raw, codec)
    lines = [segment.line for segment in message.segments]
    for place, text in changes.items():
        path = parse_path(place)
        at = _line_of(message, path, place)
        lines[at] = _with(message, message.segments[at], path, text)
        message = hl7v2.read(("\r".join(lines) + "\r").encode(message.codec), codec)
    return ("\r".join(lines) + "\r").encode(message.codec)


def _line_of(message: hl7v2.Hl7Message, path: Path, place: str) -> int:
    """Which segment ``path`` means; its selector is read as in a map."""
    segments = [segment for segment in message.segments if segment.name == path.segment]
    chosen = message.choose_segment(segments, path.which)
    if chosen is None:
        raise ValueError(f"the example has no segment for {place}")
    return message.segments.index(chosen)


def _with(message: hl7v2.Hl7Message, segment: Any, path: Path, text: str) -> str:
    signs = message.separators
    fields = segment.line.split(signs.field)
    number = path.field - 1 if segment.name == "MSH" else path.field
    fields += [""] * (number + 1 - len(fields))
    if path.whole:
        fields[number] = text
        return signs.field.join(fields)
    repetitions = fields[number].split(signs.repetition)
    at, _ = message.choose_repetition(segment, path.field, path.repetition)
    if at == 0:
        raise ValueError(f"the example has no repetition for {path.text}")
    components = _padded(repetitions[at - 1].split(signs.component), path.component)
    parts = _padded(components[path.component - 1].split(signs.subcomponent), path.subcomponent)
    parts[path.subcomponent - 1] = escape(text, signs)
    components[path.component - 1] = signs.subcomponent.join(parts)
    repetitions[at - 1] = signs.component.join(components)
    fields[number] = signs.repetition.join(repetitions)
    return signs.field.join(fields)


def _padded(parts: list[str], length: int) -> list[str]:
    return parts + [""] * (length - len(parts))
