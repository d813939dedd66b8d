"""``_filter`` as text → a tree: comparisons of paths, ``and``, ``or``, ``not ( … )``, parentheses.

``and`` and ``or`` are read from left to right, neither binds closer. Every fault names its position, counted from 1,
and never the value that stands there.
Source: FHIR R4 search_filter.html.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

LONGEST: Final = 4_000
DEEPEST: Final = 20
MOST_COMPARISONS: Final = 100

_BLANK: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?::[A-Za-z]+)?")
_WORD: Final = re.compile(r"[a-z]+")
_TOKEN: Final = re.compile(r"[^\s\])]+")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Step:
    """A name of a path, and the filter that stands in brackets after it."""

    name: str
    filter: Tree | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``path operator value``; ``position`` is where it begins."""

    path: tuple[Step, ...]
    operator: str
    value: str
    position: int


@dataclass(frozen=True, slots=True)
class Pair:
    """``left and right`` or ``left or right``."""

    operator: str
    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class Negation:
    """``not (inner)``."""

    inner: Tree


Tree: TypeAlias = Comparison | Pair | Negation


def read_filter(text: str) -> Tree:
    """The tree of ``text``. Raises ValueError."""
    if len(text) > LONGEST:
        raise ValueError(f"a filter has at most {LONGEST} characters")
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._comparisons = 0

    def whole(self) -> Tree:
        tree = self._logical(0)
        self._skip()
        if self._at < len(self._text):
            raise self._fault("and, or, or the end of the filter is expected")
        return tree

    def _logical(self, depth: int) -> Tree:
        tree = self._one(depth)
        while (operator := self._peek_word()) in {"and", "or"}:
            self._at += len(operator)
            tree = Pair(operator, tree, self._one(depth))
        return tree

    def _one(self, depth: int) -> Tree:
        if depth > DEEPEST:
            raise self._fault(f"parentheses and brackets are nested more than {DEEPEST} deep")
        if self._takes("("):
            return self._closed(depth, ")")
        if self._peek_word() == "not":
            self._at += 3
            if not self._takes("("):
                raise self._fault("( is expected after not")
            return Negation(self._closed(depth, ")"))
        return self._comparison(depth)

    def _closed(self, depth: int, bracket: str) -> Tree:
        tree = self._logical(depth + 1)
        if not self._takes(bracket):
            raise self._fault(f"{bracket} is expected")
        return tree

    def _comparison(self, depth: int) -> Comparison:
        self._skip()
        position = self._at + 1
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            raise self._fault(f"a filter has at most {MOST_COMPARISONS} comparisons")
        path = self._path(depth)
        operator = self._peek_word()
        if not operator or not self._text[self._at - 1].isspace():
            raise self._fault("an operator as eq, co or gt is expected after a blank")
        self._at += len(operator)
        return Comparison(path, operator, self._value(), position)

    def _path(self, depth: int) -> tuple[Step, ...]:
        steps = [self._step(depth)]
        while self._text[self._at : self._at + 1] == ".":
            self._at += 1
            steps.append(self._step(depth))
        if steps[-1].filter is not None:
            raise self._fault("after ] a . and a further name are expected")
        return tuple(steps)

    def _step(self, depth: int) -> Step:
        found = _NAME.match(self._text, self._at)
        if found is None:
            raise self._fault("the name of a search parameter is expected")
        self._at = found.end()
        if self._text[self._at : self._at + 1] != "[":
            return Step(found[0], None)
        self._at += 1
        return Step(found[0], self._closed(depth, "]"))

    def _value(self) -> str:
        before = self._at
        self._skip()
        if self._at == before:
            raise self._fault("a blank is expected after the operator")
        quoted = _STRING.match(self._text, self._at)
        if quoted is not None:
            value = self._unquoted(quoted[0])
            self._at = quoted.end()
            return value
        found = _TOKEN.match(self._text, self._at)
        if found is None or found[0].startswith('"'):
            raise self._fault('a value is expected: a word, or a text in "quotation marks" that are closed')
        self._at = found.end()
        return found[0]

    def _unquoted(self, text: str) -> str:
        try:
            return str(json.loads(text, strict=False))
        except ValueError as error:
            raise self._fault("this is no JSON string") from error

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _peek_word(self) -> str:
        """The operator that comes next, "" for none."""
        self._skip()
        found = _WORD.match(self._text, self._at)
        after = self._text[found.end() : found.end() + 1] if found else "x"
        return found[0] if found and (not after or after.isspace() or after == "(") else ""

    def _takes(self, bracket: str) -> bool:
        self._skip()
        if self._text[self._at : self._at + 1] != bracket:
            return False
        self._at += 1
        return True

    def _fault(self, text: str) -> ValueError:
        place = f"position {self._at + 1}" if self._at < len(self._text) else "the end"
        return ValueError(f"{text} at {place}")
