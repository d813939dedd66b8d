"""What a function is: how many arguments it takes, and how its closure is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fhir_server.fhirpath.scope import Items, Scope

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Call
    from fhir_server.fhirpath.compiler import Closure, Compiler

BuildCall = Callable[["Compiler", "Call", "Closure"], "Closure"]


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
    """A function of a collection and one whole number."""

    def build(compiler: Compiler, call: Call, source: Closure) -> Closure:
        argument = compiler.compile(call.arguments[0])

        def run(focus: Items, scope: Scope) -> Items:
            number = compiler.single(call.arguments[0], argument(focus, scope))
            if not isinstance(number, int) or isinstance(number, bool):
                raise compiler.fault(call.arguments[0], f"{call.name}() needs a whole number")
            return change(source(focus, scope), number)

        return run

    return Function(build, 1, 1)


def kept(compiler: Compiler, call: Call) -> Callable[[Items, Scope], Items]:
    """The items for which the call's first argument, a criterion, is true."""
    criterion = compiler.compile(call.arguments[0])

    def keep(items: Items, scope: Scope) -> Items:
        return [
            item
            for index, item in enumerate(items)
            if compiler.boolean(call.arguments[0], criterion([item], scope.at(index)))
        ]

    return keep
