"""What a search must know of other resources before it can be read: value sets, code systems, hierarchies, and what
canonical URLs lead to.

Parsing does not wait for a store. What is not known yet is raised as ``NotFetched``; who parses fetches it, keeps it
here with ``keep`` and parses again. Resources of this server come before those of the profiles folder and of R4.
Source: FHIR R4 search.html#token (:in, :above, :below), search.html#recursive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from fhir_server.definitions.expansion import Concept, Hierarchy, Json, OpenValueSet, expand
from fhir_server.definitions.terminology import Terminology
from fhir_server.search.clauses import Chain, Has
from fhir_server.search.faults import Refusal, Unknown

MOST_CODES: Final = 50_000
"""A value set with more codes is refused."""

LARGEST_FAMILY: Final = 10_000
"""As many resources can be above or below one."""

PARTS: Final = {
    "Encounter": "part-of",
    "Location": "partof",
    "Organization": "partof",
    "Procedure": "part-of",
    "Task": "part-of",
}
"""Type → the search parameter that names the resource which one is part of: the types that have a hierarchy."""


Identity = tuple[str, str | None]
"""The url and the business version of a canonical resource."""


class Wanted(NamedTuple):
    """Something to be fetched: a canonical resource (``type``, ``name``: its url or ``Type/id``), for ``way`` above or
    below the ids of the resources over or under ``type/name``, itself among them, or what a ``relation`` along
    canonical URLs leads to: for a Chain the identities, for Has the ids of the resources of ``type``."""

    type: str
    name: str = ""
    way: str = ""
    relation: Chain | Has | None = None


class NotFetched(Exception):
    """``wanted`` must be fetched from the store first."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(f"{wanted.type} {wanted.name} {wanted.way}".rstrip())
        self.wanted = wanted


class Lookups:
    """The answers for one search. ``stored`` False: there is no store to ask, only definitions and profiles.

    ``used`` says that what was read depends on them, so that it means something else tomorrow.
    """

    def __init__(self, terminology: Terminology, *, stored: bool = False) -> None:
        self.used = False
        self._terminology = terminology
        self._stored = stored
        self._kept: dict[Wanted, Any] = {}

    def keep(self, wanted: Wanted, answer: Any) -> None:
        """Keep what was fetched: the resource's JSON or None, or the ids."""
        self._kept[wanted] = answer

    def codes(self, value_set: str) -> Sequence[Concept]:
        """The codes of a value set. Raises ValueError when they cannot be listed, NotFetched."""
        found = self._value_set(value_set)
        if found is None:
            raise ValueError(
                f"the value set {value_set} is not known here, or is one of R4 whose codes cannot be listed"
            )
        try:
            concepts = expand(found, self._code_system, self._value_set)
        except OpenValueSet as error:
            raise ValueError(f"the value set {value_set} cannot be expanded: {error}") from error
        if len(concepts) > MOST_CODES:
            raise ValueError(f"the value set {value_set} has more than {MOST_CODES} codes")
        return concepts

    def family(self, system: str, code: str, way: str) -> Iterable[str]:
        """``code`` and the codes above or below it. Raises ValueError when its place is not known, NotFetched."""
        found = self._code_system(system)
        if found is None:
            raise ValueError(
                f"the code system {system} is not known here, so nothing is known above or below its codes"
            )
        tree = Hierarchy(found)
        if code not in tree.concepts:
            raise ValueError(f"the code system {system}, as it is known here, has no such code")
        return {code, *(tree.ancestors(code) if way == "above" else tree.descendants(code))}

    def relatives(self, type: str, id: str, way: str) -> Sequence[str]:
        """The ids of the resources above or below ``type/id``, itself among them. Raises ValueError, NotFetched."""
        self.used = True
        if not self._stored:
            raise ValueError(
                "a hierarchy of resources cannot be followed here; name the resources themselves"
            )
        found: Sequence[str] = self._ask(Wanted(type, id, way))
        if len(found) > LARGEST_FAMILY:
            raise ValueError(f"more than {LARGEST_FAMILY} resources are {way} {type}/{id}")
        return found

    def identities(self, chain: Chain) -> Sequence[Identity]:
        """What the canonical URLs of ``chain`` may be. Raises Refusal, NotFetched."""
        found: Sequence[Identity] = self._related(Wanted(chain.type, relation=chain))
        return found

    def referred(self, has: Has, type: str) -> Sequence[str]:
        """The ids of the resources of ``type`` that are referred to by URL. Raises Refusal, NotFetched."""
        found: Sequence[str] = self._related(Wanted(type, relation=has))
        return found

    def _related(self, wanted: Wanted) -> Any:
        self.used = True
        if not self._stored:
            raise Unknown("canonical URLs can be followed only where resources are kept; name the URLs")
        found = self._ask(wanted)
        if found is None:
            raise Refusal("the canonical URLs lead to too many resources: ask for less there", "too-costly")
        return found

    def _value_set(self, url: str) -> Json | None:
        own = self._canonical("ValueSet", url)
        if own is not None and _has_pattern(own):
            raise ValueError(f"the value set {url} is kept here with a regex filter, and such are not run")
        return own or self._terminology.value_set(url)

    def _code_system(self, url: str) -> Json | None:
        return self._canonical("CodeSystem", url) or self._terminology.code_system(url)

    def _canonical(self, type: str, url: str) -> Json | None:
        self.used = True
        found: Json | None = self._ask(Wanted(type, url)) if self._stored else None
        return found

    def _ask(self, wanted: Wanted) -> Any:
        if wanted not in self._kept:
            raise NotFetched(wanted)
        return self._kept[wanted]


def _has_pattern(value_set: Json) -> bool:
    """True when a filter is a regular expression: one that somebody stored here could run for hours."""
    compose = value_set.get("compose", {})
    parts = [*compose.get("include", ()), *compose.get("exclude", ())]
    return any(rule.get("op") == "regex" for part in parts for rule in part.get("filter", ()))
