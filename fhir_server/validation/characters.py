"""Control characters in strings: none below U+0020 except tab, line feed and carriage return.

Asking each string costs more than all other checks together, so the whole resource is asked once: JSON
writes a control character as an escape, and orjson writes a whole resource in about a microsecond.
Source: FHIR R4 datatypes.html#string.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from fhir_server.validation.place import Step

ESCAPE = re.compile(rb"\\[bfu]")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def may_have_control_characters(data: object) -> bool:
    """False when there are surely none; True also for a text that merely looks like such an escape."""
    text = orjson.dumps(data)
    first = text.find(b"\\")
    return first >= 0 and ESCAPE.search(text, first) is not None


def control_characters(data: object) -> Iterator[tuple[Step, ...]]:
    """The JSON paths of the strings that hold a control character."""
    pending: list[tuple[tuple[Step, ...], Any]] = [((), data)]
    while pending:
        steps, value = pending.pop()
        if isinstance(value, str):
            if CONTROL.search(value):
                yield steps
        elif isinstance(value, dict):
            pending.extend(((*steps, name), below) for name, below in value.items())
        elif isinstance(value, list):
            pending.extend(((*steps, index), below) for index, below in enumerate(value))
