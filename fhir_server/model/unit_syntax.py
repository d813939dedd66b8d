"""The text of a UCUM unit and what it means: a factor, exponents of base units, for Cel and [degF] an offset.

Source: UCUM §§ 2-26 (ucum.org/ucum).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import TypeAlias

from fhir_server.model import units

LONGEST = 120
"""Characters of a unit."""
DEEPEST = 8
"""Brackets inside each other."""
LARGEST = 60
"""The greatest exponent of a unit, and of a base unit in the end."""
WIDEST = 1000
"""Bits of a factor's numerator and denominator."""

_TOKEN = re.compile(
    r"(?P<annotation>\{[^{}]*\})"
    r"|(?P<symbol>10[*^]|(?:[A-Za-z%_']|\[[^\[\]{}]+\])+)"
    r"|(?P<number>[+-]?\d+)"
    r"|(?P<mark>[./()])",
    re.ASCII,
)

Dimension: TypeAlias = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """``base value = (value + offset) * factor``; ``dimension`` is (base unit, exponent) in order."""

    factor: Fraction
    dimension: Dimension = ()
    offset: Fraction = Fraction(0)

    def times(self, other: Unit, sign: int = 1) -> Unit:
        """The product, or with ``sign`` -1 the quotient. Raises ValueError for what UCUM does not define."""
        if self.offset or other.offset:
            raise ValueError("a unit with an offset stands alone")
        exponents = dict(self.dimension)
        for base, exponent in other.dimension:
            exponents[base] = exponents.get(base, 0) + sign * exponent
        if any(abs(exponent) > LARGEST for exponent in exponents.values()):
            raise ValueError("the exponent is too large")
        dimension = tuple(sorted(item for item in exponents.items() if item[1]))
        return Unit(self.factor * other.factor**sign, dimension)

    def power(self, exponent: int) -> Unit:
        """The unit to the ``exponent``. Raises ValueError for what UCUM does not define."""
        if abs(exponent) > LARGEST or (self.offset and exponent != 1):
            raise ValueError("the exponent is too large, or the unit has none")
        dimension = tuple((base, power * exponent) for base, power in self.dimension if exponent)
        if any(abs(power) > LARGEST for _, power in dimension):
            raise ValueError("the exponent is too large")
        return Unit(self.factor**exponent, dimension, self.offset)

    @property
    def text(self) -> str:
        """The canonical unit of the dimension: ``g.m-3``, ``1``."""
        written = (base if exponent == 1 else f"{base}{exponent}" for base, exponent in self.dimension)
        return ".".join(written) or "1"


ONE = Unit(Fraction(1))


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit | None:
    """What ``text``, a case-sensitive UCUM expression, means; None when it is unknown or malformed."""
    if not text or len(text) > LONGEST:
        return None
    try:
        unit = _Reading(text).unit()
    except (ValueError, KeyError):
        return None
    wide = max(unit.factor.numerator.bit_length(), unit.factor.denominator.bit_length())
    return unit if wide <= WIDEST else None


# ── atoms ─────────────────────────────────────────────────────────────────────


def rows(table: str) -> dict[str, list[str]]:
    """A table of ``units``: first column → the others."""
    lines = (line.split() for line in table.splitlines())
    return {cells[0]: cells[1:] for cells in lines if cells}


@cache
def _prefixes() -> tuple[tuple[str, Fraction], ...]:
    """The longest first: ``dam`` is a decametre."""
    words = units.PREFIXES.split()
    pairs = [(word, Fraction(factor)) for word, factor in zip(words[::2], words[1::2], strict=True)]
    return tuple(sorted(pairs, key=lambda pair: -len(pair[0])))


@cache
def _tables() -> tuple[frozenset[str], frozenset[str], dict[str, list[str]], dict[str, list[str]]]:
    bases, arbitrary = frozenset(units.BASES.split()), frozenset(units.ARBITRARY.split())
    return bases, arbitrary, rows(units.DERIVED), rows(units.AFFINE)


@lru_cache(maxsize=1024)
def _atom(code: str) -> tuple[Unit, bool] | None:
    """The unit ``code`` without prefix, and whether it takes one."""
    bases, arbitrary, derived, affine = _tables()
    if code in bases or code in arbitrary:
        return Unit(Fraction(1), ((code, 1),)), code in bases
    if code in affine:
        prefixed, numerator, denominator, offset = affine[code]
        factor = Fraction(int(numerator), int(denominator))
        return Unit(factor, (("K", 1),), Fraction(offset)), prefixed == "p"
    if code in derived:
        prefixed, number, definition = derived[code]
        return Unit(Fraction(number)).times(_Reading(definition).unit()), prefixed == "p"
    return None


@lru_cache(maxsize=4096)
def _simple(symbol: str) -> Unit:
    """A unit with or without prefix. Raises KeyError when it is not listed."""
    found = _atom(symbol)
    if found is not None:
        return found[0]
    for prefix, factor in _prefixes():
        atom = _atom(symbol.removeprefix(prefix)) if symbol.startswith(prefix) else None
        if atom is not None and atom[1]:
            return Unit(atom[0].factor * factor, atom[0].dimension, atom[0].offset / factor)
    raise KeyError(symbol)


# ── syntax ────────────────────────────────────────────────────────────────────


class _Reading:
    """One unit text read from left to right: ``a/b/c`` is ``(a/b)/c``. Raises ValueError and KeyError."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.next = 0
        self.depth = 0

    def unit(self) -> Unit:
        found = self.term()
        if self.next < len(self.tokens):
            raise ValueError("something follows the unit")
        return found

    def take(self, kind: str, text: str | None = None) -> str | None:
        """The next token when it is of ``kind`` (and is ``text``), which is then read."""
        if self.next == len(self.tokens):
            return None
        found, written = self.tokens[self.next]
        if found != kind or text not in {None, written}:
            return None
        self.next += 1
        return written

    def term(self) -> Unit:
        """Components between points and strokes; a leading stroke divides 1."""
        found = ONE.times(self.component(), -1) if self.take("mark", "/") else self.component()
        while True:
            if self.take("mark", "."):
                found = found.times(self.component())
            elif self.take("mark", "/"):
                found = found.times(self.component(), -1)
            else:
                return found

    def component(self) -> Unit:
        """A unit, a number, an annotation, or a term in brackets."""
        if self.take("mark", "("):
            return self.bracketed()
        symbol = self.take("symbol")
        if symbol is not None:
            found = _simple(symbol)
            exponent = self.take("number")
            found = found if exponent is None else found.power(_whole(exponent))
            self.take("annotation")
            return found
        number = self.take("number")
        if number is not None and number.isdigit():
            self.take("annotation")
            return Unit(Fraction(_factor(number)))
        if self.take("annotation"):
            return ONE
        raise ValueError("a unit is missing")

    def bracketed(self) -> Unit:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError("too many brackets")
        found = self.term()
        if not self.take("mark", ")"):
            raise ValueError("a bracket is not closed")
        self.depth -= 1
        return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError("a character that no unit has")
        yield str(match.lastgroup), match.group()
        at = match.end()


def _whole(text: str) -> int:
    if len(text) > 4:
        raise ValueError("the exponent is too large")
    return int(text)


def _factor(text: str) -> int:
    if len(text) > 12 or not int(text):
        raise ValueError("the number is too large, or nought")
    return int(text)
