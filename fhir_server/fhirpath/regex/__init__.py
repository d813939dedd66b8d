"""Regular expressions of users: the time they take is bounded by the text and the pattern, whatever they say.

Python's own engine goes back and tries again, without end for some patterns (``(a+)+b``). Patterns that cannot make
it do so are given to it; all others run on a machine that follows every way at once (``machine``).

Source: FHIRPath N1 §5.6.9, §5.6.10 (PCRE, single-line mode, Unicode).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from fhir_server.fhirpath.regex.machine import Span, scan
from fhir_server.fhirpath.regex.program import Program, assemble
from fhir_server.fhirpath.regex.syntax import read_pattern
from fhir_server.fhirpath.regex.tree import runs_straight

SHORT = 5_000
"""Texts up to so long are given to Python's engine when the pattern has one way through them."""
UNCLEAR = ("[[", "--", "&&", "~~", "||")
"""What Python's engine may come to read otherwise inside a set."""
_GROUP = re.compile(r"\$(?:(\d{1,2})|\{(\w{1,32})\})|\\(\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern ready for use; ``native`` is Python's own, None when it might not end."""

    program: Program
    native: re.Pattern[str] | None

    def search(self, text: str) -> bool:
        """Whether it matches anywhere. Raises ValueError when that takes too long."""
        if self.native and len(text) <= SHORT:
            return self.native.search(text) is not None
        return scan(self.program, text, 0) is not None

    def fullmatch(self, text: str) -> bool:
        """Whether it matches the whole text. Raises ValueError when that takes too long."""
        if self.native and len(text) <= SHORT:
            return self.native.fullmatch(text) is not None
        return scan(self.program, text, 0, whole=True) is not None

    def replace(self, text: str, substitution: str, longest: int) -> str:
        """``text`` with every match replaced; ``$1`` and ``${name}`` stand for groups. Raises ValueError when the
        result is longer than ``longest`` or it takes too long."""
        parts, at, size = [], 0, 0
        for found in self._matches(text):
            part = text[at : found[0][0]] + _filled(substitution, text, found, self.program.names)
            size, at = size + len(part), found[0][1]
            if size > longest:
                raise ValueError(f"a text of more than {longest} characters")
            parts.append(part)
        return "".join(parts) + text[at:]

    def _matches(self, text: str) -> list[tuple[Span, ...]]:
        if self.native and len(text) <= SHORT:
            return [match.regs for match in self.native.finditer(text)]
        found, at = [], 0
        while at <= len(text):
            spans = scan(self.program, text, at)
            if spans is None:
                break
            found.append(spans)
            at = max(spans[0][1], spans[0][0] + 1)
        return found


def _filled(substitution: str, text: str, found: tuple[Span, ...], names: dict[str, int]) -> str:
    def group(match: re.Match[str]) -> str:
        number = int(match[1] or match[3]) if match[1] or match[3] else names.get(match[2], -1)
        if not 0 <= number < len(found):
            raise ValueError(
                f"the substitution names the group {match[0]!r}, which the pattern does not have"
            )
        start, end = found[number]
        return text[start:end] if start >= 0 else ""

    return _GROUP.sub(group, substitution)


@lru_cache(maxsize=512)
def compile_pattern(source: str, ignore_case: bool = False, many_lines: bool = False) -> Pattern:
    """Read a pattern. Raises ValueError with the cause when it is none, or is not supported (back references)."""
    tree, groups, names = read_pattern(source)
    program = assemble(tree, groups, names, ignore_case, many_lines)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0) | (re.MULTILINE if many_lines else 0)
    native = None
    if runs_straight(tree) and not any(mark in source for mark in UNCLEAR):
        try:
            native = re.compile(source, flags)
        except re.error:
            native = None
    return Pattern(program, native)


__all__ = ["Pattern", "compile_pattern"]
