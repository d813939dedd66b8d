"""The tree of a regular expression, and in how many ways it can go through a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

MOST_WAYS = 1000
"""In how many ways a pattern may go through a text and still be given to an engine that tries them all."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of these ranges or classes (``\\d``, ``\\p{Lu}``), or with ``negated`` any other."""

    ranges: tuple[tuple[str, str], ...] = ()
    classes: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """A place between characters: ``^``, ``$``, ``b`` or ``B``."""

    kind: str


@dataclass(frozen=True, slots=True)
class Row:
    """One after the other."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several, the first that fits."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``low`` to ``high`` times (None: without end), as often as possible or (not ``greedy``) as rarely."""

    part: Tree
    low: int
    high: int | None
    greedy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """What is remembered under ``number``."""

    part: Tree
    number: int


@dataclass(frozen=True, slots=True)
class Look:
    """What must follow (``negated``: must not), without being read."""

    part: Tree
    negated: bool


Tree: TypeAlias = Chars | Edge | Row | Choice | Repeat | Group | Look


def runs_straight(tree: Tree) -> bool:
    """Whether an engine that tries one way after the other is done soon: what is repeated has one way and one length,
    and only one repetition is without end."""
    ways, endless = _ways(tree)
    return ways <= MOST_WAYS and endless <= 1


def _ways(tree: Tree) -> tuple[int, int]:
    """The number of ways through ``tree``, and of its endless repetitions."""
    if isinstance(tree, Row | Choice):
        ways, endless = (1 if isinstance(tree, Row) else 0), 0
        for part in tree.parts:
            inner, more = _ways(part)
            ways, endless = (ways * inner if isinstance(tree, Row) else ways + inner), endless + more
        return min(ways, MOST_WAYS + 1), endless
    if isinstance(tree, Group | Look):
        return _ways(tree.part)
    if isinstance(tree, Repeat):
        if not _is_fixed(tree.part):
            return MOST_WAYS + 1, 1
        return (1, 1) if tree.high is None else (tree.high - tree.low + 1, 0)
    return 1, 0


def _is_fixed(tree: Tree) -> bool:
    """Whether ``tree`` matches in one way only."""
    if isinstance(tree, Row):
        return all(_is_fixed(part) for part in tree.parts)
    return _is_fixed(tree.part) if isinstance(tree, Group) else isinstance(tree, Chars)
