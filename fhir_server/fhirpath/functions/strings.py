"""Texts. Source: FHIRPath N1 §5.6, and of the release after it encode, escape, trim, split, join, matchesFull."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.arithmetic import LONGEST_TEXT
from fhir_server.fhirpath.functions.registry import Function, of_value, reader
from fhir_server.fhirpath.regex import Pattern, compile_pattern
from fhir_server.fhirpath.scope import Items, Scope

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler

_JSON_ESCAPE = re.compile(r'(?:\\u[0-9A-Fa-f]{4})+|\\["\\/bfnrt]')
TEXT, NUMBER = "a String", "a whole number"


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    if not 0 <= start < len(text):
        return None
    return text[start:] if length is None else text[start : start + max(length, 0)]


def _replace(text: str, pattern: str, substitution: str) -> str:
    often = text.count(pattern)
    if len(text) + often * (len(substitution) - len(pattern)) > LONGEST_TEXT:
        raise ValueError(f"a text of more than {LONGEST_TEXT} characters")
    return text.replace(pattern, substitution)


def _pattern(pattern: str, flags: str = "") -> Pattern:
    if set(flags) - {"i", "m"}:
        raise ValueError(f"the flags {flags!r} are not known; allowed are i (ignore case) and m (many lines)")
    return compile_pattern(pattern, ignore_case="i" in flags, many_lines="m" in flags)


def _replace_matches(text: str, pattern: str, substitution: str, flags: str = "") -> str:
    return _pattern(pattern, flags).replace(text, substitution, LONGEST_TEXT) if pattern else text


CODINGS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "hex": (binascii.hexlify, binascii.unhexlify),
    "base64": (base64.b64encode, lambda raw: base64.b64decode(raw, validate=True)),
    "urlbase64": (base64.urlsafe_b64encode, base64.urlsafe_b64decode),
}


def _coding(name: str) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    if name not in CODINGS:
        raise ValueError(f"the encoding {name!r} is not known; allowed are {', '.join(CODINGS)}")
    return CODINGS[name]


def _encode(text: str, name: str) -> str:
    return _coding(name)[0](text.encode()).decode("ascii")


def _decode(text: str, name: str) -> str:
    decode = _coding(name)[1]
    try:
        return decode(text.encode()).decode()
    except ValueError:
        raise ValueError(f"the text is no {name} of a text") from None


def _escape(text: str, target: str) -> str:
    return _chosen(target, html.escape, lambda value: json.dumps(value, ensure_ascii=False)[1:-1])(text)


def _unescape(text: str, target: str) -> str:
    return _chosen(target, html.unescape, _from_json)(text)


def _chosen(
    target: str, of_html: Callable[[str], str], of_json: Callable[[str], str]
) -> Callable[[str], str]:
    table = {"html": of_html, "json": of_json}
    if target not in table:
        raise ValueError(f"the target {target!r} is not known; allowed are html and json")
    return table[target]


def _from_json(text: str) -> str:
    """JSON's escapes replaced; anything else stays, quotes too."""
    return _JSON_ESCAPE.sub(lambda match: str(json.loads(f'"{match[0]}"')), text)


def _join(compiler: Compiler, call: Call, source: Closure) -> Closure:
    """All texts of a collection in one, with a separator between them."""
    separator = compiler.compile(call.arguments[0]) if call.arguments else None
    read = reader(compiler, call.arguments[0] if call.arguments else call, TEXT, "join()")
    text = reader(compiler, call, TEXT, "join()")

    def run(focus: Items, scope: Scope) -> Items:
        texts = [found for item in source(focus, scope) if (found := text([item])) is not None]
        between = (read(separator(focus, scope)) or "") if separator else ""
        if sum(map(len, texts)) + len(between) * len(texts) > LONGEST_TEXT:
            raise compiler.fault(call, f"a text of more than {LONGEST_TEXT} characters")
        return [between.join(texts)] if texts else []

    return run


def _of_text(compute: Callable[..., Any], *arguments: str, optional: int = 0) -> Function:
    return of_value(compute, TEXT, arguments, optional)


FUNCTIONS = {
    "indexOf": _of_text(str.find, TEXT),
    "lastIndexOf": _of_text(str.rfind, TEXT),
    "substring": _of_text(_substring, NUMBER, NUMBER, optional=1),
    "startsWith": _of_text(str.startswith, TEXT),
    "endsWith": _of_text(str.endswith, TEXT),
    "contains": _of_text(lambda text, part: part in text, TEXT),
    "upper": _of_text(str.upper),
    "lower": _of_text(str.lower),
    "replace": _of_text(_replace, TEXT, TEXT),
    "matches": _of_text(
        lambda text, pattern, flags="": _pattern(pattern, flags).search(text), TEXT, TEXT, optional=1
    ),
    "matchesFull": _of_text(
        lambda text, pattern, flags="": _pattern(pattern, flags).fullmatch(text), TEXT, TEXT, optional=1
    ),
    "replaceMatches": _of_text(_replace_matches, TEXT, TEXT, TEXT, optional=1),
    "length": _of_text(len),
    "toChars": _of_text(list),
    "encode": _of_text(_encode, TEXT),
    "decode": _of_text(_decode, TEXT),
    "escape": _of_text(_escape, TEXT),
    "unescape": _of_text(_unescape, TEXT),
    "trim": _of_text(str.strip),
    "split": _of_text(lambda text, separator: text.split(separator) if separator else list(text), TEXT),
    "join": Function(_join, 0, 1),
}
