"""Dates as hospitals write them, read by formats that are taken literally.

A format uses ``%Y %m %d %H %M %S %f %z %b %I %p``; ``%-m`` allows one digit. Unlike ``strptime`` nothing is
guessed: ``%Y%m%d`` wants eight digits. ``hl7`` is HL7 v2's ``YYYY[MM[DD[HH[MM[SS[.S]]]]]][±ZZZZ]``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

_DIGITS = {
    "Y": r"\d{4}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "I": r"\d{2}",
}
_OTHERS = {"f": r"\d{1,6}", "z": r"[+-]\d{2}:?\d{2}", "b": r"[A-Za-z]{3}", "p": r"[AaPp][Mm]"}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_HL7 = (
    r"(?P<Y>\d{4})(?:(?P<m>\d{2})(?:(?P<d>\d{2})(?:(?P<H>\d{2})"
    r"(?:(?P<M>\d{2})(?:(?P<S>\d{2})(?:\.(?P<f>\d{1,6}))?)?)?)?)?)?(?P<z>[+-]\d{4})?"
)


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a date: its name in the mapping and the pattern made of it."""

    name: str
    pattern: re.Pattern[str]


def parse_format(text: str) -> Format:
    """The format ``text`` (``%Y年%-m月%-d日`` or ``hl7``). Raises ValueError."""
    if text == "hl7":
        return Format(text, re.compile(_HL7, re.ASCII))
    pattern = ""
    for literal, loose, letter in re.findall(r"([^%]+)|%(-?)(.)", text):
        pattern += re.escape(literal) if literal else _group(text, letter, bool(loose))
    if "(?P<Y>" not in pattern:
        raise ValueError(f"the date format {text!r} has no year (%Y)")
    try:
        return Format(text, re.compile(pattern, re.ASCII))
    except re.error as error:
        raise ValueError(f"the date format {text!r} uses a part twice") from error


def read_date(text: str, formats: tuple[Format, ...], zone: tzinfo) -> tuple[str, str] | None:
    """``text`` as an R4 date or dateTime (local times get ``zone``'s offset) and the name of the format that fitted."""
    for form in formats:
        match = form.pattern.fullmatch(text)
        if match:
            written = _write({name: part for name, part in match.groupdict().items() if part}, zone)
            if written:
                return written, form.name
    return None


def write_date(value: str, form: Format, zone: tzinfo) -> str | None:
    """The R4 date or dateTime ``value`` written in ``form``, local time; None when it has not the parts for it."""
    moment = datetime.fromisoformat(_complete(value))
    local = moment.astimezone(zone) if moment.tzinfo else moment
    name = (
        {4: "%Y", 7: "%Y%m", 10: "%Y%m%d"}.get(len(value), "%Y%m%d%H%M%S")
        if form.name == "hl7"
        else form.name
    )
    if len(value) <= 10 and re.search("%-?[HMSI]", name):
        return None
    return local.strftime(name)


def _complete(value: str) -> str:
    return value + "-01-01"[len(value) - 4 :] if len(value) < 10 else value


def _group(text: str, letter: str, loose: bool) -> str:
    if letter in _DIGITS:
        return f"(?P<{letter}>{_DIGITS[letter].replace('{2}', '{1,2}') if loose else _DIGITS[letter]})"
    if letter in _OTHERS:
        return f"(?P<{letter}>{_OTHERS[letter]})"
    raise ValueError(f"the date format {text!r} uses %{letter}; allowed are %Y %m %d %H %M %S %f %z %b %I %p")


def _write(parts: dict[str, str], zone: tzinfo) -> str | None:
    if "b" in parts and parts["b"].lower() not in _MONTHS:
        return None
    month = _MONTHS.index(parts["b"].lower()) + 1 if "b" in parts else int(parts.get("m", 1))
    offset = _zone(parts["z"]) if "z" in parts else zone
    try:
        moment = datetime(
            int(parts["Y"]),
            month,
            int(parts.get("d", 1)),
            _hour(parts),
            int(parts.get("M", 0)),
            int(parts.get("S", 0)),
            tzinfo=offset,
        )
    except ValueError:
        return None
    if "H" in parts or "I" in parts:
        fraction = f".{parts['f']}" if "f" in parts else ""
        return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{moment.isoformat()[19:]}"
    precision = 10 if "d" in parts else 7 if {"m", "b"} & parts.keys() else 4
    return f"{moment.year:04}-{moment:%m-%d}"[:precision]


def _hour(parts: dict[str, str]) -> int:
    if "I" not in parts:
        return int(parts.get("H", 0))
    hour = int(parts["I"])
    if not 1 <= hour <= 12:
        raise ValueError("an hour with AM or PM is 1 to 12")
    return hour % 12 + (12 if parts.get("p", "").lower() == "pm" else 0)


def _zone(text: str) -> timezone:
    digits = text.replace(":", "")
    offset = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:5]))
    return timezone(-offset if text[0] == "-" else offset)
