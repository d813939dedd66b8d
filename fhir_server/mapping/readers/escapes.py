r"""HL7 v2 escape sequences, both ways (HL7 v2.4 §2.9).

``\F\ \S\ \T\ \R\ \E\`` are the separators, ``\X0D\`` hexadecimal bytes in the message's charset, ``\.br\`` a
line break; ``\H\`` and ``\N\`` (highlighting) carry no text. Line breaks become ``\n``. A backslash that starts
no sequence is text, as hospitals do write Windows paths.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORMATS = {".br": "\n", ".sp": "\n", "H": "", "N": ""}
_HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")


@dataclass(frozen=True, slots=True)
class Separators:
    """The separators that the message itself names in MSH-1 and MSH-2."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    def by_letter(self) -> dict[str, str]:
        """Letter of the escape sequence -> separator."""
        return {
            "F": self.field,
            "S": self.component,
            "R": self.repetition,
            "E": self.escape,
            "T": self.subcomponent,
        }


def escape(text: str, separators: Separators) -> str:
    """``text`` so that no character of it is read as a separator or a segment end."""
    letters = {
        sign: f"{separators.escape}{letter}{separators.escape}"
        for letter, sign in separators.by_letter().items()
    }
    letters |= {
        "\n": f"{separators.escape}.br{separators.escape}",
        "\r": f"{separators.escape}X0D{separators.escape}",
    }
    return "".join(letters.get(character, character) for character in text)


def unescape(text: str, separators: Separators, codec: str) -> str:
    """The text meant by ``text``; hexadecimal bytes are read with ``codec``, and left alone when they cannot be."""
    if separators.escape not in text:
        return text
    mark = re.escape(separators.escape)
    letters = separators.by_letter() | _FORMATS

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name in letters:
            return letters[name]
        return _bytes_text(name, codec) or match[0]

    return re.sub(f"{mark}([^{mark}]{{1,80}}){mark}", replace, text)


def _bytes_text(name: str, codec: str) -> str | None:
    match = _HEX.fullmatch(name)
    if not match:
        return None
    try:
        text = bytes.fromhex(match[1]).decode(codec)
    except UnicodeDecodeError:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")
