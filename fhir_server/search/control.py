"""The parameters that shape an answer rather than choose resources: ``_count``, ``_sort``, ``_include`` …

Source: FHIR R4 search.html#return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_server.errors import Issue
from fhir_server.search.clauses import Include, SortKey
from fhir_server.search.faults import Refusal
from fhir_server.search.inclusion import Inclusions
from fhir_server.search.parameters import TEXTS
from fhir_server.search.registry import Registry
from fhir_server.search.types.simple import SIMPLE

LARGEST_PAGE = 1000
"""A larger ``_count`` is answered with pages of this size, and the self link says so."""

MOST_SORT_KEYS = 10
"""Each of them is a value that is fetched of every match."""

TOTALS = ("none", "estimate", "accurate")
CONTAINED = ("false", "true", "both")
CONTAINED_TYPES = ("container", "contained")
SUMMARIES = ("true", "text", "data", "count", "false")
INCLUSIONS = {"_include": False, "_revinclude": True}
"""Whether each follows references backwards."""
ITERATING = frozenset({"", "iterate", "recurse"})
"""``:recurse`` is what ``:iterate`` was called before R4."""


class Controls:
    """Collects them for a search of ``types``: ``settings`` are fields of Query, ``sorts`` its sort keys in each type,
    ``includes`` its includes."""

    def __init__(self, registry: Registry, types: Sequence[str]) -> None:
        self.registry = registry
        self.types = types
        self.settings: dict[str, Any] = {}
        self.sorts: dict[str, tuple[SortKey, ...]] = {}
        self.includes: list[Include] = []
        self._inclusions = Inclusions(registry, types)
        self._seen: set[str] = set()

    def knows(self, name: str) -> bool:
        """True for a parameter that is read here."""
        return name in READERS or name in INCLUSIONS

    def take(self, name: str, modifier: str, value: str) -> str | None:
        """Read one of them; what took effect, None when it has no place in the self link.

        Raises ValueError for a bad value, Refusal for a modifier.
        """
        if name in INCLUSIONS:
            return self._include(name, modifier, value)
        if modifier:
            raise Refusal(f"{name} has no modifier :{modifier}", "invalid")
        if name in self._seen:
            raise ValueError("it is given twice")
        self._seen.add(name)
        return READERS[name](self, value)

    def _include(self, name: str, modifier: str, value: str) -> str:
        if modifier not in ITERATING:
            raise Refusal(f"{name} has no modifier :{modifier}; allowed: :iterate", "invalid")
        self.includes += self._inclusions.read(value, reverse=INCLUSIONS[name], iterate=bool(modifier))
        return value

    def conflicts(self) -> list[Issue]:
        """What cannot stand together, once all have been taken."""
        if self.settings.get("summary") != "text" or not self.includes:
            return []
        text = "_summary=text cannot be mixed with _include and _revinclude"
        return [Issue("error", "invalid", text, "http._summary")]

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

    def contained(self, value: str) -> str:
        """``_contained``."""
        self.settings["contained"] = _one_of(value, CONTAINED)
        return value

    def contained_type(self, value: str) -> str:
        """``_containedType``."""
        self.settings["contained_type"] = _one_of(value, CONTAINED_TYPES)
        return value

    def explain(self, value: str) -> str:
        """``_explain``."""
        self.settings["explain"] = _one_of(value, ("true", "false")) == "true"
        return value

    def elements(self, value: str) -> str:
        """``_elements``: names of top-level elements; a choice stands for all its JSON members."""
        found: list[str] = []
        for name in value.split(","):
            matching = [each for type in self.types for each in self._members(type, name)]
            if not matching:
                raise ValueError(f"{' and '.join(self.types[:3])} has no element {name[:64]}")
            found += matching
        self.settings["elements"] = tuple(dict.fromkeys(found))
        return value

    def _members(self, type: str, name: str) -> list[str]:
        bare = name.removeprefix(f"{type}.")
        members = self.registry.definitions.members(type).values()
        return [m.json_name for m in members if bare in {m.json_name, m.element.name.removesuffix("[x]")}]

    def form(self, value: str) -> str:
        """``_format`` and ``_pretty`` are the door's business; the self link keeps them."""
        return value

    # ── order ─────────────────────────────────────────────────────────────────

    def sort(self, value: str) -> str:
        """``_sort``: parameters by comma, ``-`` before one that descends."""
        codes = value.split(",")
        if len(codes) > MOST_SORT_KEYS:
            raise ValueError(f"at most {MOST_SORT_KEYS} parameters can be sorted by")
        for type in self.types:
            self.sorts[type] = tuple(self._sort_key(type, code) for code in codes)
        kinds = {tuple(key.parameter.kind for key in keys) for keys in self.sorts.values()}
        if len(kinds) > 1:
            raise ValueError("it has not the same kind of values in all types that are searched")
        return value

    def _sort_key(self, type: str, text: str) -> SortKey:
        code = text.removeprefix("-")
        parameter = self.registry.parameters(type).get(code)
        if parameter is None:
            raise ValueError(f"{type} has no search parameter {code[:64]} to sort by")
        has_order = parameter.kind in SIMPLE and SIMPLE[parameter.kind].sortable and code not in TEXTS
        if not has_order:
            raise Refusal(f"sorting by {code}, a {parameter.kind} parameter, is not supported")
        return SortKey(parameter, text.startswith("-"))


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"allowed: {', '.join(allowed)}")
    return value


READERS: Mapping[str, Callable[[Controls, str], str | None]] = {
    "_count": Controls.count,
    "_cursor": Controls.cursor,
    "_total": Controls.total,
    "_summary": Controls.summary,
    "_elements": Controls.elements,
    "_sort": Controls.sort,
    "_contained": Controls.contained,
    "_containedType": Controls.contained_type,
    "_explain": Controls.explain,
    "_format": Controls.form,
    "_pretty": Controls.form,
}
