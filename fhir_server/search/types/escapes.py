r"""Separators and escapes in values: ``\,`` ``\|`` ``\$`` and ``\\``.

Source: FHIR R4 search.html#escaping.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\([\\,|$])")


def split(text: str, separator: str) -> list[str]:
    """``text`` at each ``separator`` that is not escaped; the escapes stay."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == separator:
            parts.append(text[start:at])
            start = at + 1
        at += 2 if text[at] == "\\" else 1
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    """``text`` with its escapes replaced by what they stand for."""
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text
