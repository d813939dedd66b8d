"""Regular expressions of users, with a limit on their time: some patterns go back and try again without end.

Source: FHIRPath N1 §5.6.9, §5.6.10 (PCRE, single-line mode, Unicode); the library ``regex`` speaks that dialect and
can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from re import ASCII
from re import compile as compile_re
from typing import Any, TypeVar

import regex

LONGEST_PATTERN = 2_000
PATIENCE = 0.1
"""Seconds that one use of a pattern may take."""
_GROUP = compile_re(r"\$(?:(\d{1,2})|\{(\w{1,32})\})|\\(\d)", ASCII)

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern ready for use. Its methods raise ValueError when it takes too long."""

    compiled: Any

    def search(self, text: str) -> bool:
        """Whether it matches anywhere."""
        return _in_time(lambda: self.compiled.search(text, timeout=PATIENCE)) is not None

    def fullmatch(self, text: str) -> bool:
        """Whether it matches the whole text."""
        return _in_time(lambda: self.compiled.fullmatch(text, timeout=PATIENCE)) is not None

    def replace(self, text: str, substitution: str, longest: int) -> str:
        """``text`` with every match replaced; ``$1`` and ``${name}`` stand for groups. Raises ValueError as well when
        the result is longer than ``longest``."""
        size = len(text)

        def filled(match: Any) -> str:
            nonlocal size
            part = _filled(substitution, match)
            size += len(part) - len(match[0])
            if size > longest:
                raise ValueError(f"a text of more than {longest} characters")
            return part

        return _in_time(lambda: str(self.compiled.sub(filled, text, timeout=PATIENCE)))


def _in_time(use: Callable[[], Found]) -> Found:
    try:
        return use()
    except TimeoutError:
        raise ValueError(f"the pattern takes longer than {PATIENCE} seconds on this text") from None


def _filled(substitution: str, match: Any) -> str:
    def group(named: Any) -> str:
        name = int(named[1] or named[3]) if named[1] or named[3] else named[2]
        try:
            return match[name] or ""
        except IndexError:
            raise ValueError(
                f"the substitution names the group {named[0]!r}, which the pattern does not have"
            ) from None

    return _GROUP.sub(group, substitution)


@lru_cache(maxsize=512)
def compile_pattern(source: str, ignore_case: bool = False, many_lines: bool = False) -> Pattern:
    """Read a pattern. Raises ValueError with the cause when it is none."""
    if len(source) > LONGEST_PATTERN:
        raise ValueError(f"a pattern of more than {LONGEST_PATTERN} characters")
    flags = regex.DOTALL | (regex.IGNORECASE if ignore_case else 0) | (regex.MULTILINE if many_lines else 0)
    try:
        return Pattern(regex.compile(source, flags))
    except regex.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    except (RecursionError, OverflowError, MemoryError):
        raise ValueError("the pattern is too large") from None


__all__ = ["Pattern", "compile_pattern"]
