"""What a function is: how many arguments it takes, and how its closure is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.arithmetic import kept as kept_value
from fhir_server.fhirpath.ast import Tree, Variable, children
from fhir_server.fhirpath.moments import Moment
from fhir_server.fhirpath.quantities import Quantity
from fhir_server.fhirpath.scope import Items, Scope
from fhir_server.fhirpath.values import is_number, type_name

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler

BuildCall = Callable[["Compiler", "Call", "Closure"], "Closure"]
Read = Callable[[Items], Any]


@dataclass(frozen=True, slots=True)
class Function:
    """``build(compiler, call, source)`` makes the closure; ``least`` to ``most`` arguments are taken."""

    build: BuildCall
    least: int = 0
    most: int = 0

    @property
    def arity(self) -> str:
        """The number of arguments, for error texts."""
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


def of_items(change: Callable[[Items, Scope], Items]) -> Function:
    """A function without arguments that turns a collection into another."""

    def build(compiler: Compiler, call: Call, source: Closure) -> Closure:
        return lambda focus, scope: change(source(focus, scope), scope)

    return Function(build)


def of_number(change: Callable[[Items, int], Items]) -> Function:
    """A function of a collection and one whole number; without the number there is no result."""

    def build(compiler: Compiler, call: Call, source: Closure) -> Closure:
        argument = compiler.compile(call.arguments[0])
        read = reader(compiler, call.arguments[0], "a whole number", f"{call.name}()")

        def run(focus: Items, scope: Scope) -> Items:
            number = read(argument(focus, scope))
            return [] if number is None else change(source(focus, scope), number)

        return run

    return Function(build, 1, 1)


# ── one value ─────────────────────────────────────────────────────────────────

KINDS: dict[str, Callable[[Any], bool]] = {
    "a String": lambda value: isinstance(value, str),
    "a whole number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "a number": is_number,
    "a number or a Quantity": lambda value: is_number(value) or isinstance(value, Quantity),
    "a Quantity": lambda value: isinstance(value, Quantity),
    "a number, a Quantity, a date or a time": lambda value: (
        is_number(value) or isinstance(value, Quantity | Moment)
    ),
    "one item": lambda value: True,
}
"""What a function may need, in the words of its fault, and how it is recognised."""


def reader(compiler: Compiler, tree: Tree, kind: str, who: str) -> Read:
    """Reads the one value of ``kind`` (a key of KINDS) from a collection, None from an empty one. Others are faults."""
    fits = KINDS[kind]

    def read(items: Items) -> Any:
        value = compiler.operand(tree, items)
        if value is not None and not fits(value):
            raise compiler.fault(tree, f"{who} needs {kind}, found {type_name(value)}")
        return value

    return read


def of_value(
    compute: Callable[..., Any], kind: str = "a String", arguments: Sequence[str] = (), optional: int = 0
) -> Function:
    """A function of one value of ``kind`` and of arguments of these kinds; the last ``optional`` may be left out.

    Empty in, empty out. ``compute`` gives a value, a list of values or None, and raises ValueError with the cause.
    """

    def build(compiler: Compiler, call: Call, source: Closure) -> Closure:
        who, spend = f"{call.name}()", compiler.spender(call)
        read = reader(compiler, call, kind, who)
        given = [
            (compiler.compile(tree), reader(compiler, tree, wanted, who))
            for tree, wanted in zip(call.arguments, arguments, strict=False)
        ]

        def run(focus: Items, scope: Scope) -> Items:
            values = [read(source(focus, scope))]
            values += [look(closure(focus, scope)) for closure, look in given]
            if None in values:
                return []
            result = _result(compiler, call, compute, values)
            if isinstance(result, list):
                spend(scope, len(result))
                return result
            return [] if result is None else [result]

        return run

    return Function(build, len(arguments) - optional, len(arguments))


def _result(compiler: Compiler, call: Call, compute: Callable[..., Any], values: Sequence[Any]) -> Any:
    try:
        return kept_value(compute(*values))
    except DecimalException:
        return None
    except ValueError as error:
        raise compiler.fault(call, str(error)) from error


def decimal(value: Any) -> Decimal:
    """An Integer or Decimal as a Decimal."""
    return value if isinstance(value, Decimal) else Decimal(value)


# ── loops ─────────────────────────────────────────────────────────────────────


def asks_index(tree: Tree) -> bool:
    """Whether ``$index`` stands anywhere in ``tree``."""
    level = [tree]
    while level:
        if any(isinstance(item, Variable) and item.name == "$index" for item in level):
            return True
        level = [inside for outside in level for inside in children(outside)]
    return False


def each(compiler: Compiler, call: Call, tree: Tree) -> Callable[[Items, Scope], list[Items]]:
    """What ``tree`` gives for each item as ``$this``."""
    projection, indexed, spend = compiler.compile(tree), asks_index(tree), compiler.spender(call)

    def run(items: Items, scope: Scope) -> list[Items]:
        spend(scope, len(items))
        if indexed:
            return [projection([item], scope.at(index, scope.total)) for index, item in enumerate(items)]
        return [projection([item], scope) for item in items]

    return run


def kept(compiler: Compiler, call: Call) -> Callable[[Items, Scope], Items]:
    """The items for which the call's first argument, a criterion, is true."""
    tree = call.arguments[0]
    criterion, indexed, spend = compiler.compile(tree), asks_index(tree), compiler.spender(call)
    boolean = compiler.boolean

    def keep(items: Items, scope: Scope) -> Items:
        spend(scope, len(items))
        if not indexed:
            return [item for item in items if boolean(tree, criterion([item], scope))]
        numbered = ((item, scope.at(index, scope.total)) for index, item in enumerate(items))
        return [item for item, inner in numbered if boolean(tree, criterion([item], inner))]

    return keep
