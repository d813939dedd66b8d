"""``_include`` and ``_revinclude``: their values → which references are to be followed.

A wildcard becomes one Include for every reference parameter it stands for.
Source: FHIR R4 search.html#include.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fhir_server.search.clauses import Include
from fhir_server.search.registry import Registry, SearchParameter

ANY = "*"
FORM = "the form is Type:parameter, Type:parameter:TargetType, Type:*, Type:*:TargetType, *:* or *"


class Inclusions:
    """Reads them for a search of ``types``."""

    def __init__(self, registry: Registry, types: Sequence[str]) -> None:
        self.registry = registry
        self.types = types

    def read(self, value: str, *, reverse: bool, iterate: bool) -> list[Include]:
        """What ``value`` stands for. Raises ValueError that says what is allowed."""
        source, code, target = self._parts(value)
        known = self.registry.definitions.resource_types
        if target and target not in known:
            raise ValueError(f"there is no resource type {target[:64]}")
        if not reverse and not iterate and source not in {*self.types, ANY}:
            raise ValueError(
                f"the search is of {', '.join(self.types)}, so the include begins with {self.types[0]}:; "
                "with _include:iterate it goes on from what was included"
            )
        found = [
            Include(parameter.type, parameter, target or None, reverse, iterate)
            for parameter in self._parameters(source, code, reverse=reverse, iterate=iterate)
            if self._leads(parameter, target, reverse=reverse, iterate=iterate)
        ]
        if not found and (target or reverse or source != ANY):
            raise ValueError(self._nowhere(source, code, target))
        return found

    def _parts(self, value: str) -> tuple[str, str, str]:
        """Source type, parameter and target type ("": any); of ``*`` alone both of the first. Raises ValueError."""
        source, _, rest = (f"{ANY}:{ANY}" if value == ANY else value).partition(":")
        code, _, target = rest.partition(":")
        known = source in self.registry.definitions.resource_types or (source == ANY and code == ANY)
        if not known or "" in value.split(":") or not code:
            raise ValueError(FORM)
        return source, code, target

    def _parameters(
        self, source: str, code: str, *, reverse: bool, iterate: bool
    ) -> Iterator[SearchParameter]:
        if code == ANY:
            all_types = self.registry.definitions.resource_types
            sources: Iterable[str] = (
                (source,) if source != ANY else all_types if reverse or iterate else self.types
            )
            for type in sorted(sources):
                yield from (each for each in self._known(type) if each.kind == "reference")
            return
        parameter = self.registry.parameters(source).get(code)
        if parameter is None or parameter.kind != "reference":
            raise ValueError(f"{source} has no reference parameter {code}")
        yield parameter

    def _known(self, type: str) -> Iterable[SearchParameter]:
        return self.registry.parameters(type).values()

    def _leads(self, parameter: SearchParameter, target: str, *, reverse: bool, iterate: bool) -> bool:
        """Whether the parameter may lead to ``target`` and, when that is where it must lead, to the types searched."""
        wanted = {target} if target else None
        if reverse and not iterate:
            wanted = set(self.types) & wanted if wanted else set(self.types)
        return wanted is None or not parameter.targets or not wanted.isdisjoint(parameter.targets)

    def _nowhere(self, source: str, code: str, target: str) -> str:
        of = "any type" if source == ANY else source
        what = f"{source}.{code}" if code != ANY else f"no reference of {of}"
        if code == ANY:
            return f"{what} leads to {target or ', '.join(self.types)}"
        allowed = ", ".join(self.registry.parameter(source, code).targets)
        return f"{what} refers to {allowed}, not to {target or ', '.join(self.types)}"
