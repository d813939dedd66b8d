"""Tokens of a FHIRPath expression.

Source: FHIRPath N1, grammar (lexical rules).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fhir_server.fhirpath.errors import ExpressionError

DATE = r"\d{4}(?:-\d{2}(?:-\d{2})?)?"
CLOCK = r"\d{2}(?::\d{2}(?::\d{2}(?:\.\d+)?)?)?"
ZONE = r"(?:Z|[+-]\d{2}:\d{2})"

RULES = {
    "space": r"[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/",
    "datetime": rf"@{DATE}T(?:{CLOCK}{ZONE}?)?",
    "date": rf"@{DATE}",
    "time": rf"@T{CLOCK}",
    "number": r"\d+(?:\.\d+)?",
    "string": r"'(?:[^'\\]|\\.)*'",
    "constant": r"%(?:[A-Za-z_]\w*|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)",
    "variable": r"\$(?:this|index|total)\b",
    "name": r"[A-Za-z_]\w*",
    "quoted": r"`(?:[^`\\]|\\.)*`",
    "symbol": r"<=|>=|!=|!~|[-+*/&|<>=~.,()\[\]{}]",
}
TOKEN = re.compile("|".join(f"(?P<{kind}>{rule})" for kind, rule in RULES.items()), re.DOTALL | re.ASCII)
ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
LITERAL_ESCAPES = frozenset("'\"`\\/")


class Token(NamedTuple):
    """``kind`` is a key of ``RULES`` or "end"; ``text`` is as written; ``at`` its offset."""

    kind: str
    text: str
    at: int


def tokenise(source: str) -> list[Token]:
    """The tokens of ``source``, spaces and comments left out, ending with one of kind "end"."""
    tokens, at = [], 0
    while at < len(source):
        match = TOKEN.match(source, at)
        if match is None:
            raise ExpressionError(source, at, _fault(source[at]))
        kind = str(match.lastgroup)
        if kind != "space":
            tokens.append(Token(kind, match.group(), at))
        at = match.end()
    return [*tokens, Token("end", "", at)]


def _fault(character: str) -> str:
    unfinished = {
        "'": "a string without its closing quote",
        "`": "a quoted name without its closing backtick",
    }
    return unfinished.get(character, f"unexpected character {character!r}")


def unquote(source: str, token: Token, quoted: str) -> str:
    """The text meant by ``quoted`` (delimiters included), escapes replaced."""

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        if match[2] in LITERAL_ESCAPES:
            return match[2]
        if match[2] in ESCAPES:
            return ESCAPES[match[2]]
        raise ExpressionError(source, token.at, f"unknown escape \\{match[2]}")

    text = ESCAPE.sub(replace, quoted[1:-1])
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ExpressionError(source, token.at, "half of a character that needs two \\u escapes") from None
