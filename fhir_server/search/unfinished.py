"""Arms whose rows are not all there yet: who asks for one is told so, and never gets a part of the answer.

One object is shared by the registry, the store and whoever builds the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fhir_server.errors import NotReady
from fhir_server.search.clauses import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not, Query
from fhir_server.search.parameters import SearchParameter

SOON: Final = 5
LATER: Final = 60
"""Seconds after which to ask again: while somebody works on it, and when nobody does."""


@dataclass(slots=True)
class Progress:
    """How far the rows of some arms are: ``done`` of ``total`` resources of ``type``.

    ``halted`` says why nobody goes on ("": somebody does, or will).
    """

    type: str
    done: int = 0
    total: int = 0
    halted: str = ""

    @property
    def text(self) -> str:
        """For who has to wait."""
        if self.halted:
            return self.halted
        return f"{self.done:,} of {self.total:,} resources of type {self.type} are done"


class Unfinished(dict[int, Progress]):
    """arm key → how far its rows are. Empty when every index is complete. ``changes`` counts what came and went."""

    changes = 0

    def hold(self, keys: Iterable[int], progress: Progress) -> None:
        """From now on ``keys`` cannot be searched."""
        self.update(dict.fromkeys(keys, progress))
        self.changes += 1

    def release(self, keys: Iterable[int]) -> None:
        """The rows of ``keys`` are complete."""
        for key in keys:
            self.pop(key, None)
        self.changes += 1

    def concerns(self, parameter: SearchParameter) -> Progress | None:
        """How far ``parameter`` is, None when it is complete."""
        keys = (*parameter.keys, *parameter.identifier_keys)
        return next((self[key] for key in keys if key in self), None)

    def require_rows(self, key: int) -> None:
        """Raises NotReady when the rows of ``key`` are not all there."""
        if key in self:
            raise NotReady(f"an index is being built: {self[key].text}", headers={"Retry-After": str(SOON)})

    def require_complete(self, query: Query) -> None:
        """Raises NotReady when ``query`` asks for, or sorts by, something whose rows are not all there."""
        for parameter in _asked(query) if self else ():
            progress = self.concerns(parameter)
            if progress is not None:
                raise _refusal(parameter, progress)


def _refusal(parameter: SearchParameter, progress: Progress) -> NotReady:
    return NotReady(
        f"the index of {parameter.type}.{parameter.code} is being built: {progress.text}",
        expression=f"http.{parameter.code}",
        headers={"Retry-After": str(LATER if progress.halted else SOON)},
    )


def _asked(query: Query) -> Iterator[SearchParameter]:
    for part in query.parts or (query,):
        for criterion in part.clauses:
            yield from _parameters(criterion)
        yield from (key.parameter for key in part.sort)


def _parameters(criterion: Criterion) -> Iterator[SearchParameter]:
    """Every parameter whose rows decide ``criterion``."""
    match criterion:
        case Clause():
            yield criterion.parameter
        case Chain() | Has():
            yield criterion.parameter
            yield from _parameters(criterion.criterion)
        case Not():
            yield from _parameters(criterion.criterion)
        case AnyOf() | AllOf():
            for each in criterion.criteria:
                yield from _parameters(each)
