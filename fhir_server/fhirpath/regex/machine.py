"""A machine for regular expressions that goes every way at once: its time grows with text × pattern, never faster.

Source: R. Pike's machine, as described by R. Cox (Regular Expression Matching: the Virtual Machine Approach).
"""

from __future__ import annotations

from fhir_server.fhirpath.regex.program import CHAR, EDGE, LOOK, MATCH, SAVE, SPLIT, Program

MOST_STEPS = 1_000_000
"""Instructions for one text: about half a second."""
Span = tuple[int, int]
Slots = tuple[int, ...]
Threads = list[tuple[int, Slots]]


def scan(program: Program, text: str, start: int, whole: bool = False) -> tuple[Span, ...] | None:
    """The first match at or after ``start`` (``whole``: from there to the end) as the spans of its groups, -1 for one
    that takes no part. Raises ValueError when it takes too long."""
    slots = _Run(text).first(program, start, whole, anchored=whole)
    return None if slots is None else tuple(zip(slots[::2], slots[1::2], strict=True))


class _Run:
    """One text and what is left of the steps."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.left = MOST_STEPS

    def first(self, program: Program, start: int, whole: bool, anchored: bool) -> Slots | None:
        """The slots of the best match; a better one is longer in the way the pattern prefers."""
        text, size, code = self.text, len(self.text), program.code
        none = (-1,) * (2 * program.groups + 2)
        best: Slots | None = None
        threads: Threads = []
        reached: set[int] = set()
        for at in range(start, size + 1):
            if best is None and (at == start or not anchored):
                self.follow(program, threads, reached, 0, none, at)
            following: Threads = []
            reached = set()
            for place, slots in threads:
                operation, argument = code[place]
                if operation == MATCH:
                    if not whole or at == size:
                        best = slots
                        break
                elif at < size and argument(text[at]):
                    self.follow(program, following, reached, place + 1, slots, at + 1)
            threads = following
            if not threads and (best is not None or anchored):
                break
        return best

    def follow(
        self, program: Program, threads: Threads, reached: set[int], place: int, slots: Slots, at: int
    ) -> None:
        """Add the instructions that wait for a character, the preferred way first."""
        ways = [(place, slots)]
        while ways:
            place, slots = ways.pop()
            if place in reached:
                continue
            reached.add(place)
            self.spend()
            operation, argument = program.code[place]
            if operation in {CHAR, MATCH}:
                threads.append((place, slots))
            elif operation == SPLIT:
                ways += [(target, slots) for target in reversed(argument)]
            elif operation == SAVE:
                ways.append((place + 1, (*slots[:argument], at, *slots[argument + 1 :])))
            elif operation == EDGE:
                ways += [(place + 1, slots)] if argument(self.text, at) else []
            elif operation == LOOK and (self.first(argument[0], at, False, True) is None) is argument[1]:
                ways.append((place + 1, slots))

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ValueError("the regular expression takes too long for this text")
