"""The parameters that shape an answer rather than choose resources: ``_count``, ``_sort``, ``_include`` …

Source: FHIR R4 search.html#return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.search.clauses import Include, SortKey
from fhir_server.search.faults import Refusal
from fhir_server.search.registry import Registry, SearchParameter
from fhir_server.search.types.simple import SIMPLE

LARGEST_PAGE = 1000
"""A larger ``_count`` is answered with pages of this size, and the self link says so."""

TOTALS = ("none", "estimate", "accurate")
SUMMARIES = ("true", "text", "data", "count", "false")
REPEATED = frozenset({"_include", "_revinclude"})


class Controls:
    """Collects them: ``settings`` are fields of Query, ``includes`` its includes."""

    def __init__(self, registry: Registry, type: str) -> None:
        self.registry = registry
        self.type = type
        self.settings: dict[str, Any] = {}
        self.includes: list[Include] = []
        self._seen: set[str] = set()

    def knows(self, name: str) -> bool:
        """True for a parameter that is read here."""
        return name in READERS

    def take(self, name: str, modifier: str, value: str) -> str | None:
        """Read one of them; what took effect, None when it has no place in the self link.

        Raises ValueError for a bad value, Refusal for a modifier.
        """
        if modifier:
            raise _modified(name, modifier)
        if name in self._seen and name not in REPEATED:
            raise ValueError("it is given twice")
        self._seen.add(name)
        return READERS[name](self, value)

    # ── paging and form ───────────────────────────────────────────────────────

    def count(self, value: str) -> str:
        """``_count``: 0 and more; more than LARGEST_PAGE is LARGEST_PAGE."""
        if not (value.isascii() and value.isdigit()):
            raise ValueError("a whole number from 0 on is needed")
        count = min(int(value[:9]), LARGEST_PAGE)
        self.settings["count"] = count
        return str(count)

    def cursor(self, value: str) -> None:
        """``_cursor``: where the next page begins, as a ``next`` link says it."""
        if not value:
            raise ValueError("it is taken from a next link and is not empty")
        self.settings["cursor"] = value

    def total(self, value: str) -> str:
        """``_total``."""
        self.settings["total"] = _one_of(value, TOTALS)
        return value

    def summary(self, value: str) -> str:
        """``_summary``."""
        self.settings["summary"] = _one_of(value, SUMMARIES)
        return value

    def elements(self, value: str) -> str:
        """``_elements``: names of top-level elements; a choice stands for all its JSON members."""
        members = self.registry.definitions.members(self.type).values()
        found: list[str] = []
        for name in value.split(","):
            bare = name.removeprefix(f"{self.type}.")
            matching = [
                m.json_name for m in members if bare in {m.json_name, m.element.name.removesuffix("[x]")}
            ]
            if not matching:
                raise ValueError(f"{self.type} has no element {name}")
            found += matching
        self.settings["elements"] = tuple(dict.fromkeys(found))
        return value

    def form(self, value: str) -> str:
        """``_format`` and ``_pretty`` are the door's business; the self link keeps them."""
        return value

    # ── order ─────────────────────────────────────────────────────────────────

    def sort(self, value: str) -> str:
        """``_sort``: parameters by comma, ``-`` before one that descends."""
        self.settings["sort"] = tuple(self._sort_key(text) for text in value.split(","))
        return value

    def _sort_key(self, text: str) -> SortKey:
        code = text.removeprefix("-")
        parameter = self.registry.parameters(self.type).get(code)
        if parameter is None:
            raise ValueError(f"{self.type} has no search parameter {code} to sort by")
        if parameter.column is None and not (parameter.kind in SIMPLE and SIMPLE[parameter.kind].sortable):
            raise Refusal(f"sorting by {code}, a {parameter.kind} parameter, is not supported")
        return SortKey(parameter, text.startswith("-"))

    # ── includes ──────────────────────────────────────────────────────────────

    def include(self, value: str) -> str:
        """``_include=Type:parameter[:target]``, Type being the type searched."""
        source, parameter, target = self._reference(value)
        if source != self.type:
            raise ValueError(f"the search is of {self.type}, so the include begins with {self.type}:")
        self.includes.append(Include(source, parameter, target, reverse=False))
        return value

    def revinclude(self, value: str) -> str:
        """``_revinclude=Type:parameter[:target]``, whose parameter points to the type searched."""
        source, parameter, target = self._reference(value)
        if target not in {None, self.type} or (parameter.targets and self.type not in parameter.targets):
            raise ValueError(f"{source}.{parameter.code} does not refer to {self.type}")
        self.includes.append(Include(source, parameter, target, reverse=True))
        return value

    def _reference(self, value: str) -> tuple[str, SearchParameter, str | None]:
        source, _, rest = value.partition(":")
        code, _, target = rest.partition(":")
        if source == "*" or code == "*":
            raise Refusal("including by * is not supported")
        if source not in self.registry.definitions.resource_types or not code:
            raise ValueError("the form is Type:parameter or Type:parameter:TargetType")
        parameter = self.registry.parameters(source).get(code)
        if parameter is None or parameter.kind != "reference":
            raise ValueError(f"{source} has no reference parameter {code}")
        if target and parameter.targets and target not in parameter.targets:
            raise ValueError(f"{source}.{code} refers to {', '.join(parameter.targets)}, not to {target}")
        return source, parameter, target or None


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"allowed: {', '.join(allowed)}")
    return value


def _modified(name: str, modifier: str) -> Refusal:
    if modifier in {"iterate", "recurse"} and name in REPEATED:
        return Refusal(f"the modifier :{modifier} is not supported")
    return Refusal(f"{name} has no modifier :{modifier}", "invalid")


READERS: Mapping[str, Callable[[Controls, str], str | None]] = {
    "_count": Controls.count,
    "_cursor": Controls.cursor,
    "_total": Controls.total,
    "_summary": Controls.summary,
    "_elements": Controls.elements,
    "_sort": Controls.sort,
    "_include": Controls.include,
    "_revinclude": Controls.revinclude,
    "_format": Controls.form,
    "_pretty": Controls.form,
}
