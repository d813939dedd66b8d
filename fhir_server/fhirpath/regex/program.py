"""The tree of a regular expression → the program of a machine.

Source: the construction of K. Thompson, with the positions of groups (R. Pike).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unicodedata import category

from fhir_server.fhirpath.regex.tree import Chars, Choice, Edge, Group, Look, Repeat, Row, Tree

CHAR, SPLIT, SAVE, EDGE, LOOK, MATCH = range(6)
MOST_INSTRUCTIONS = 20_000
"""What ``(a{1,200}){1,200}`` would exceed."""
Instruction = tuple[int, Any]


@dataclass(frozen=True, slots=True)
class Program:
    """``code`` begins at 0. ``groups`` counts the remembered ones, ``names`` are the numbers of the named."""

    code: tuple[Instruction, ...]
    groups: int
    names: dict[str, int]


def assemble(tree: Tree, groups: int, names: dict[str, int], ignore_case: bool, many_lines: bool) -> Program:
    """The program of a pattern. Raises ValueError when it is too long."""
    writer = _Writer(groups, ignore_case, many_lines)
    writer.group(tree, 0)
    writer.add(MATCH, None)
    return Program(tuple(writer.code), groups, names)


class _Writer:
    def __init__(self, groups: int, ignore_case: bool, many_lines: bool) -> None:
        self.code: list[Instruction] = []
        self.groups = groups
        self.ignore_case = ignore_case
        self.many_lines = many_lines

    def add(self, operation: int, argument: Any) -> int:
        if len(self.code) >= MOST_INSTRUCTIONS:
            raise ValueError("the regular expression repeats too much")
        self.code.append((operation, argument))
        return len(self.code) - 1

    def write(self, tree: Tree) -> None:
        if isinstance(tree, Chars):
            self.add(CHAR, _recogniser(tree, self.ignore_case))
        elif isinstance(tree, Edge):
            self.add(EDGE, (MANY_LINES if self.many_lines else EDGES).get(tree.kind, EDGES[tree.kind]))
        elif isinstance(tree, Row):
            for part in tree.parts:
                self.write(part)
        elif isinstance(tree, Choice):
            self.choice(tree)
        elif isinstance(tree, Group):
            self.group(tree.part, tree.number)
        elif isinstance(tree, Look):
            inner = assemble(tree.part, self.groups, {}, self.ignore_case, self.many_lines)
            self.add(LOOK, (inner, tree.negated))
        else:
            self.repeat(tree)

    def group(self, part: Tree, number: int) -> None:
        self.add(SAVE, 2 * number)
        self.write(part)
        self.add(SAVE, 2 * number + 1)

    def choice(self, tree: Choice) -> None:
        """Each side, then a jump to the end."""
        ends = []
        for part in tree.parts[:-1]:
            split = self.add(SPLIT, ())
            self.write(part)
            ends.append(self.add(SPLIT, ()))
            self.code[split] = (SPLIT, (split + 1, len(self.code)))
        self.write(tree.parts[-1])
        for end in ends:
            self.code[end] = (SPLIT, (len(self.code),))

    def repeat(self, tree: Repeat) -> None:
        for _ in range(tree.low):
            self.write(tree.part)
        if tree.high is None:
            self.loop(tree)
            return
        splits = []
        for _ in range(tree.high - tree.low):
            splits.append(self.add(SPLIT, ()))
            self.write(tree.part)
        for split in splits:
            self.code[split] = (SPLIT, _ordered(split + 1, len(self.code), tree.greedy))

    def loop(self, tree: Repeat) -> None:
        split = self.add(SPLIT, ())
        self.write(tree.part)
        self.add(SPLIT, (split,))
        self.code[split] = (SPLIT, _ordered(split + 1, len(self.code), tree.greedy))


def _ordered(inside: int, after: int, greedy: bool) -> tuple[int, int]:
    return (inside, after) if greedy else (after, inside)


# ── characters and places ─────────────────────────────────────────────────────


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


CLASSES: dict[str, Callable[[str], bool]] = {
    "\\d": str.isdecimal,
    "\\D": lambda char: not char.isdecimal(),
    "\\w": _is_word,
    "\\W": lambda char: not _is_word(char),
    "\\s": str.isspace,
    "\\S": lambda char: not char.isspace(),
}


def _in_class(name: str, char: str) -> bool:
    """``\\d`` and its like, and ``\\p{Lu}``: the character's category in Unicode begins so."""
    if name in CLASSES:
        return CLASSES[name](char)
    return category(char).startswith(name[3:-1]) is (name[1] == "p")


def _recogniser(chars: Chars, ignore_case: bool) -> Callable[[str], bool]:
    """Whether a character is meant; what was found is remembered."""
    known: dict[str, bool] = {}

    def is_in(char: str) -> bool:
        return any(low <= char <= high for low, high in chars.ranges) or any(
            _in_class(name, char) for name in chars.classes
        )

    def fits(char: str) -> bool:
        found = known.get(char)
        if found is None:
            forms = {char, char.lower(), char.upper()} if ignore_case else {char}
            found = known[char] = any(map(is_in, forms)) != chars.negated
        return found

    return fits


def _at_word_edge(text: str, at: int) -> bool:
    before = at > 0 and _is_word(text[at - 1])
    return before != (at < len(text) and _is_word(text[at]))


EDGES: dict[str, Callable[[str, int], bool]] = {
    "^": lambda text, at: at == 0,
    "$": lambda text, at: at == len(text) or (at == len(text) - 1 and text[at] == "\n"),
    "b": _at_word_edge,
    "B": lambda text, at: not _at_word_edge(text, at),
}
MANY_LINES: dict[str, Callable[[str, int], bool]] = {
    "^": lambda text, at: at == 0 or text[at - 1] == "\n",
    "$": lambda text, at: at == len(text) or text[at] == "\n",
}
