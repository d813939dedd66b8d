"""The text of a regular expression → its tree: the part of PCRE without back references and look-behind.

Source: FHIRPath N1 §5.6.9 (PCRE).
"""

from __future__ import annotations

import re

from fhir_server.fhirpath.regex.tree import Chars, Choice, Edge, Group, Look, Repeat, Row, Tree

LONGEST = 2000
"""Characters of a pattern."""
DEEPEST = 40
"""Groups inside each other."""

_COUNT = re.compile(r"\{(\d{1,5})(?:(,)(\d{1,5})?)?\}", re.ASCII)
_NAME = re.compile(r"\(\?P?<([A-Za-z_]\w{0,31})>", re.ASCII)
_CLASSES = frozenset("dDwWsS")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "0": "\0", "a": "\a", "e": "\x1b"}
_CATEGORY = re.compile(
    r"([pP])\{(L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfson]?)\}", re.ASCII
)
_HEX = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|x\{([0-9A-Fa-f]{1,5})\}", re.ASCII)


def read_pattern(source: str) -> tuple[Tree, int, dict[str, int]]:
    """The tree of a pattern, how many groups it has, and the numbers of the named ones. Raises ValueError."""
    if len(source) > LONGEST:
        raise ValueError(f"a regular expression of more than {LONGEST} characters")
    reading = _Reading(source)
    tree = reading.choice()
    if reading.at < len(source):
        raise reading.fault("a closing bracket without its opening one")
    return tree, reading.groups, reading.names


class _Reading:
    """One pattern read from left to right."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.depth = 0
        self.groups = 0
        self.names: dict[str, int] = {}

    def fault(self, cause: str) -> ValueError:
        return ValueError(f"no regular expression: {cause} at position {self.at} of {self.source[:200]!r}")

    def ahead(self, text: str) -> bool:
        return self.source.startswith(text, self.at)

    def take(self, text: str) -> bool:
        found = self.ahead(text)
        self.at += len(text) if found else 0
        return found

    def next(self) -> str:
        if self.at >= len(self.source):
            raise self.fault("something is missing")
        self.at += 1
        return self.source[self.at - 1]

    def choice(self) -> Tree:
        parts = [self.row()]
        while self.take("|"):
            parts.append(self.row())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def row(self) -> Tree:
        parts: list[Tree] = []
        while self.at < len(self.source) and self.source[self.at] not in "|)":
            parts.append(self.repeated(self.one()))
        return Row(tuple(parts))

    def repeated(self, part: Tree) -> Tree:
        """``part`` with the counts that follow it."""
        counts = self.counts()
        if counts is None:
            return part
        if isinstance(part, Edge):
            raise self.fault("a place between characters cannot be repeated")
        low, high = counts
        if high is not None and high < low:
            raise self.fault("a repetition whose end is before its beginning")
        greedy = not self.take("?")
        if self.counts() is not None or self.ahead("+"):
            raise self.fault("a repetition of a repetition")
        return Repeat(part, low, high, greedy)

    def counts(self) -> tuple[int, int | None] | None:
        for mark, found in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(mark):
                return found
        match = _COUNT.match(self.source, self.at)
        if match is None:
            return None
        self.at = match.end()
        low = int(match[1])
        return low, (int(match[3]) if match[3] else None) if match[2] else low

    def one(self) -> Tree:
        char = self.next()
        if char == "(":
            return self.group()
        if char == "[":
            return self.set()
        if char == "\\":
            return self.escape()
        if char in "^$":
            return Edge(char)
        if char == ".":
            return Chars(negated=True)
        if char in "*+?":
            raise self.fault(f"nothing before {char}")
        return Chars(((char, char),))

    def group(self) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fault(f"more than {DEEPEST} groups inside each other")
        self.at -= 1
        part = self.opened()
        if not self.take(")"):
            raise self.fault("a group without its closing bracket")
        self.depth -= 1
        return part

    def opened(self) -> Tree:
        """A group from its bracket on: ``(``, ``(?:``, ``(?<name>``, ``(?=``, ``(?!``."""
        if self.take("(?:"):
            return self.choice()
        if self.ahead("(?=") or self.ahead("(?!"):
            negated = self.source[self.at + 2] == "!"
            self.at += 3
            return Look(self.choice(), negated)
        named = _NAME.match(self.source, self.at)
        if self.ahead("(?") and named is None:
            raise self.fault("this kind of group is not supported")
        self.groups += 1
        number = self.groups
        self.at = named.end() if named else self.at + 1
        if named:
            self.names[named[1]] = number
        return Group(self.choice(), number)

    def escape(self) -> Tree:
        if self.source[self.at : self.at + 1] in {"b", "B"}:
            return Edge(self.next())
        found = self.escaped()
        return Chars(classes=(found,)) if len(found) > 1 else Chars(((found, found),))

    def escaped(self) -> str:
        """What follows a backslash: a character, or a class as ``\\d``."""
        hexadecimal = _HEX.match(self.source, self.at)
        if hexadecimal:
            self.at = hexadecimal.end()
            return chr(int(next(group for group in hexadecimal.groups() if group), 16))
        category = _CATEGORY.match(self.source, self.at)
        if category:
            self.at = category.end()
            return f"\\{category[1]}{{{category[2]}}}"
        char = self.next()
        if char in _CLASSES:
            return f"\\{char}"
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char.isalnum():
            raise self.fault(f"\\{char} is not supported")
        return char

    def set(self) -> Tree:
        """``[a-z\\d_]``; a closing bracket that comes first is meant itself."""
        negated = self.take("^")
        ranges: list[tuple[str, str]] = []
        classes: list[str] = []
        first = True
        while first or not self.ahead("]"):
            first = False
            start = self.member()
            if len(start) > 1:
                classes.append(start)
                continue
            end = start
            if self.ahead("-") and self.source[self.at + 1 : self.at + 2] not in {"]", ""}:
                self.at += 1
                end = self.member()
            if len(end) > 1 or end < start:
                raise self.fault("a range whose end is before its beginning")
            ranges.append((start, end))
        self.at += 1
        return Chars(tuple(ranges), tuple(classes), negated)

    def member(self) -> str:
        char = self.next()
        return self.escaped() if char == "\\" else char
