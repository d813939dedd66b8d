"""Places in an HL7 v2 message: ``SEG[field=value]-field[component=value].component.subcomponent``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATH = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?:\[(?P<which>[^\]]+)\])?-(?P<field>\d{1,3})(?:\[(?P<repetition>[^\]]+)\])?"
    r"(?:\.(?P<component>\d{1,3}|\*))?(?:\.(?P<subcomponent>\d{1,3}))?",
    re.ASCII,
)
_EXAMPLES = "PID-5, PID-3[5=IdentifyNO].1, PRD[1=RP]-4.2, OBX-5.*"


@dataclass(frozen=True, slots=True)
class Selector:
    """The segment or repetition meant: the one whose field (component) ``part`` is ``value``, or number ``part``."""

    part: int
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """A place taken apart. The first component is meant unless one is named; ``whole``: the field, separators too."""

    text: str
    segment: str
    which: Selector
    field: int
    repetition: Selector
    component: int
    subcomponent: int
    whole: bool


def parse_path(text: str) -> Path:
    """``PID-3[5=IdentifyNO].1`` as a ``Path``. Raises ValueError."""
    match = _PATH.fullmatch(text)
    numbers = [part for part in (match or {}).groups() if part and part.isdigit()] if match else ["0"]
    if match is None or any(int(number) == 0 for number in numbers):
        raise ValueError(f"{text!r} is not an HL7 v2 place; examples: {_EXAMPLES}")
    whole = match["component"] == "*"
    return Path(
        text,
        match["segment"],
        _selector(match["which"]),
        int(match["field"]),
        _selector(match["repetition"]),
        1 if whole else int(match["component"] or 1),
        int(match["subcomponent"] or 1),
        whole,
    )


def _selector(text: str | None) -> Selector:
    """``5=IdentifyNO``, ``2`` or None (the first). Raises ValueError."""
    if text is None:
        return Selector(1)
    part, equals, value = text.partition("=")
    if not part.isascii() or not part.isdigit() or int(part) == 0:
        raise ValueError(f"[{text}] must be a number from 1, or number=value")
    return Selector(int(part), value if equals else None)
