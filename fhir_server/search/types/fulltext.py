"""Full text: ``_text``, ``_content`` and ``:text``.

``_text`` and ``_content`` take words, all of which must be there, ``"phrases"`` in quotation marks, ``OR``, ``AND``,
``NOT``, parentheses and ``word*`` for words that begin so. ``NOT`` binds closest, then ``AND`` (which may be left out),
then ``OR``. Several Chinese characters in a row are a phrase. ``:text`` takes a phrase as it stands, whose last word
may go on: ``code:text=糖尿`` finds 2型糖尿病.
Source: FHIR R4 search.html#text, search.html#content, search.html#modifiers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from fhir_server.search.clauses import AllOf, AnyOf, Clause, Criterion, Not
from fhir_server.search.index import TextRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.escapes import unescape
from fhir_server.search.types.words import words
from fhir_server.search.values import TextValue

MODIFIER: Final = "text"
"""The modifier of every clause that looks at texts."""

MOST_TERMS: Final = 50
MOST_WORDS: Final = 200
DEEPEST: Final = 20

_TOKEN: Final = re.compile(r'\s*(?:([()（）])|["“”]([^"“”]*)(["“”]?)|([^\s()（）"“”]+))')
_OPERATORS: Final = frozenset({"and", "or", "not"})

Leaf = Callable[[TextValue], Criterion]


def phrase(text: str) -> TextValue:
    """The value of ``:text``. Raises ValueError when there is no word in it."""
    return _value(unescape(text), is_open=True)


def criterion(parameter: SearchParameter, text: str) -> Criterion:
    """What ``text`` asks of ``parameter`` (``_text`` or ``_content``). Raises ValueError that names the position."""
    return _Parser(unescape(text), lambda value: Clause(parameter, MODIFIER, (value,))).whole()


def admits(value: TextValue, modifier: str | None, row: TextRow) -> bool:
    """Whether the words follow each other somewhere in the row."""
    wanted, length = value.words, len(value.words)
    return any(
        row.words[at : at + length] == wanted or (value.open and _begins(row.words[at : at + length], wanted))
        for at in range(len(row.words) - length + 1)
    )


def _begins(found: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return found[:-1] == wanted[:-1] and found[-1].startswith(wanted[-1])


def _value(text: str, *, is_open: bool) -> TextValue:
    found = words(text)
    if not found:
        raise ValueError("a term without any word is there; a letter, digit or Chinese character is needed")
    if len(found) > MOST_WORDS:
        raise ValueError(f"a phrase has at most {MOST_WORDS} words")
    return TextValue(found, is_open)


class _Parser:
    """Reads one expression; ``leaf`` makes the criterion of a word or phrase."""

    def __init__(self, text: str, leaf: Leaf) -> None:
        self._tokens = list(_TOKEN.finditer(text.rstrip()))
        self._leaf = leaf
        self._at = 0
        if len(self._tokens) > 4 * MOST_TERMS:
            raise ValueError(f"at most {MOST_TERMS} words and phrases can be combined")

    def whole(self) -> Criterion:
        found = self._any(0)
        if self._at < len(self._tokens):
            raise ValueError(f"the ) at {self._place()} closes nothing")
        return found

    def _any(self, depth: int) -> Criterion:
        found = [self._all(depth)]
        while self._takes("or"):
            found.append(self._all(depth))
        return found[0] if len(found) == 1 else AnyOf(tuple(found))

    def _all(self, depth: int) -> Criterion:
        found = [self._one(depth)]
        while self._takes("and") or not self._is_over():
            found.append(self._one(depth))
        return found[0] if len(found) == 1 else AllOf(tuple(found))

    def _one(self, depth: int) -> Criterion:
        if depth > DEEPEST:
            raise ValueError(f"parentheses and NOT are nested more than {DEEPEST} deep")
        if self._takes("not"):
            return Not(self._one(depth + 1))
        if self._takes("("):
            found = self._any(depth + 1)
            if not self._takes(")"):
                raise ValueError("a ( is not closed")
            return found
        return self._leaf(self._term())

    def _term(self) -> TextValue:
        if self._at >= len(self._tokens) or self._word() in {*_OPERATORS, ")"}:
            raise ValueError(f"a word or a phrase is missing at {self._place()}")
        token = self._tokens[self._at]
        self._at += 1
        if token[2] is None:
            return _value(token[4], is_open=token[4].endswith("*"))
        if not token[3]:
            raise ValueError("a quotation mark is not closed")
        return _value(token[2], is_open=False)

    def _word(self) -> str:
        """The operator or parenthesis here, "" for a term and at the end."""
        if self._at >= len(self._tokens):
            return ""
        bracket, _, _, bare = self._tokens[self._at].groups()
        if bracket:
            return "(" if bracket in "(（" else ")"
        return bare.lower() if bare and bare.lower() in _OPERATORS else ""

    def _takes(self, word: str) -> bool:
        if self._word() != word:
            return False
        self._at += 1
        return True

    def _is_over(self) -> bool:
        return self._at >= len(self._tokens) or self._word() in {"or", ")"}

    def _place(self) -> str:
        if self._at >= len(self._tokens):
            return "the end"
        return f"position {self._tokens[self._at].start() + 1}"
