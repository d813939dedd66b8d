"""Tokens → syntax tree: a Pratt parser of the whole N1 grammar.

Source: FHIRPath N1, grammar and operator precedence.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from fhir_server.fhirpath.ast import (
    Binary,
    Call,
    Index,
    Literal,
    Member,
    Quantity,
    Tree,
    TypeTest,
    Unary,
    Variable,
    depth,
)
from fhir_server.fhirpath.errors import ExpressionError
from fhir_server.fhirpath.lexer import Token, tokenise, unquote

LEVELS = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "~", "!=", "!~"),
    ("<", "<=", ">", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)
PRECEDENCE = {operator: level for level, operators in enumerate(LEVELS, start=1) for operator in operators}
UNARY = len(LEVELS) + 1
DEEPEST = 120
"""Brackets and signs inside each other: what reads them calls itself."""
LONGEST = 200
"""Trees inside each other, ``a.b.c`` and ``a | b | c`` among them: what compiles and runs them calls itself."""
MOST_DIGITS = 60
"""Characters of a number."""
CALENDAR = frozenset(
    f"{unit}{ending}"
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for ending in ("", "s")
)
TEMPORAL = frozenset({"date", "datetime", "time"})


@lru_cache(maxsize=4096)
def parse(source: str) -> Tree:
    """The syntax tree of ``source``. Raises ExpressionError with the position of the first fault."""
    parser = _Parser(source)
    tree = parser.expression(0)
    parser.expect("end", "")
    if depth(tree) > LONGEST:
        raise ExpressionError(source, 0, f"a path or a row of operators has more than {LONGEST} parts")
    return tree


class _Parser:
    """One pass over the tokens; ``depth`` keeps hostile nesting from exhausting Python's stack."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenise(source)
        self.next = 0
        self.depth = 0

    # ── tokens ────────────────────────────────────────────────────────────────

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def advance(self) -> Token:
        token = self.token
        self.next += 1
        return token

    def at_symbol(self, text: str) -> bool:
        return self.token.kind == "symbol" and self.token.text == text

    def expect(self, kind: str, text: str) -> Token:
        if self.token.kind != kind or self.token.text != text:
            raise self.fault(f"expected {text or 'the end'!r}, found {self.token.text or 'the end'!r}")
        return self.advance() if kind != "end" else self.token

    def fault(self, cause: str) -> ExpressionError:
        return ExpressionError(self.source, self.token.at, cause)

    # ── expressions ───────────────────────────────────────────────────────────

    def expression(self, lowest: int) -> Tree:
        """An expression whose operators all bind tighter than ``lowest``."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fault(f"nested more than {DEEPEST} deep")
        tree = self.unary()
        while (level := self.level()) > lowest:
            tree = self.operation(tree, level)
        self.depth -= 1
        return tree

    def level(self) -> int:
        return PRECEDENCE.get(self.token.text, 0) if self.token.kind in {"symbol", "name"} else 0

    def operation(self, left: Tree, level: int) -> Tree:
        operator = self.advance()
        if operator.text in {"is", "as"}:
            return TypeTest(operator.text, left, self.type_name(), operator.at)
        return Binary(operator.text, left, self.expression(level), operator.at)

    def unary(self) -> Tree:
        if self.at_symbol("-") or self.at_symbol("+"):
            sign = self.advance()
            return Unary(sign.text, self.expression(UNARY), sign.at)
        return self.path(self.term())

    def path(self, tree: Tree) -> Tree:
        """What follows a term: ``.member``, ``.function()``, ``[index]``."""
        while self.at_symbol(".") or self.at_symbol("["):
            if self.advance().text == ".":
                tree = self.invocation(tree)
            else:
                index = self.expression(0)
                tree = Index(tree, index, self.expect("symbol", "]").at)
        return tree

    # ── terms ─────────────────────────────────────────────────────────────────

    def term(self) -> Tree:
        token = self.token
        if token.kind == "symbol" and token.text in {"(", "{"}:
            return self.bracketed()
        if token.kind in {"variable", "constant"}:
            return self.variable()
        if token.kind in {"name", "quoted"} and token.text not in {"true", "false"}:
            return self.invocation(None)
        return self.literal()

    def bracketed(self) -> Tree:
        opening = self.advance()
        if opening.text == "{":
            self.expect("symbol", "}")
            return Literal("empty", None, opening.at)
        tree = self.expression(0)
        self.expect("symbol", ")")
        return tree

    def variable(self) -> Tree:
        token = self.advance()
        name = token.text
        if token.kind == "constant" and name[1] in "'`":
            name = "%" + unquote(self.source, token, name[1:])
        return Variable(name, token.at)

    def invocation(self, source: Tree | None) -> Tree:
        """A member, a function call, or ``$this`` after a dot."""
        if source is not None and self.token.kind == "variable":
            raise self.fault(f"{self.token.text} cannot follow a dot")
        at = self.token.at
        name = self.name()
        if not self.at_symbol("("):
            return Member(source, name, at)
        self.advance()
        return Call(source, name, self.arguments(), at)

    def name(self) -> str:
        token = self.token
        if token.kind not in {"name", "quoted"}:
            raise self.fault(f"expected a name, found {token.text or 'the end'!r}")
        self.advance()
        return unquote(self.source, token, token.text) if token.kind == "quoted" else token.text

    def type_name(self) -> str:
        name = self.name()
        while self.at_symbol("."):
            self.advance()
            name = f"{name}.{self.name()}"
        return name

    def arguments(self) -> tuple[Tree, ...]:
        found: list[Tree] = []
        while not self.at_symbol(")"):
            if found:
                self.expect("symbol", ",")
            found.append(self.expression(0))
        self.advance()
        return tuple(found)

    # ── literals ──────────────────────────────────────────────────────────────

    def literal(self) -> Tree:
        token = self.advance()
        if token.kind == "name":
            return Literal("boolean", token.text == "true", token.at)
        if token.kind == "string":
            return Literal("string", unquote(self.source, token, token.text), token.at)
        if token.kind in TEMPORAL:
            return Literal(token.kind, token.text[1:], token.at)
        if token.kind == "number":
            return self.number(token)
        self.next -= 1
        raise self.fault(f"expected a value or a path, found {token.text or 'the end'!r}")

    def number(self, token: Token) -> Tree:
        if len(token.text) > MOST_DIGITS:
            raise ExpressionError(self.source, token.at, f"a number of more than {MOST_DIGITS} characters")
        unit = self.token
        if unit.kind == "string" or (unit.kind == "name" and unit.text in CALENDAR):
            self.advance()
            calendar = unit.kind == "name"
            text = unit.text if calendar else unquote(self.source, unit, unit.text)
            return Quantity(Decimal(token.text), text, calendar, token.at)
        value = Decimal(token.text) if "." in token.text else int(token.text)
        return Literal("number", value, token.at)
