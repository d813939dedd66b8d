"""What is wrong with a SearchParameter resource that is to be put in force: every fault at once.

Source: FHIR R4 searchparameter.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fhir_server.definitions.packages import search_parameter
from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import Issue, Unprocessable
from fhir_server.search.registry import EXAMPLE, Registry

Json = dict[str, Any]

ACTIVE: Final = "active"
CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
LONGEST: Final = 2_000
"""Characters of an expression; R4's longest has 3,000, in which every type has its own part."""
MOST_COMPONENTS: Final = 3
NAMED: Final = 3
"""Types that are named when a code is taken."""
COMBINED: Final = frozenset({"token", "reference", "uri", "string", "date", "number", "quantity"})
"""The types that a component of a composite may have."""


def is_in_force(resource: Json) -> bool:
    """True for a SearchParameter that the server is to use: its status is active."""
    return resource.get("status") == ACTIVE


def faults(registry: Registry, resource: Json, others: Sequence[SearchParameterDefinition]) -> list[Issue]:
    """Why ``resource`` cannot be put in force beside ``others``, which are all others that are; [] when it can."""
    try:
        definition = search_parameter(resource)
    except ValueError as error:
        return [_issue("", str(error))]
    if registry.is_fixed(definition.url):
        return _changed(registry, definition)
    beside = Registry(registry.definitions)
    beside.replace_stored(others)
    return list(_Check(beside, definition).issues(others))


def _changed(registry: Registry, definition: SearchParameterDefinition) -> list[Issue]:
    """A parameter that is fixed may be sent too, as long as it says the same."""
    known = [registry.defined(type, definition.code) for type in registry.types_of(definition.base)]
    plain = msgspec.structs.replace(definition, description="")
    if known and all(each and msgspec.structs.replace(each, description="") == plain for each in known):
        return []
    return [
        _issue("url", f"{definition.url} is defined by R4 or by this server's profiles and cannot be changed")
    ]


def _issue(element: str, text: str, code: str = "invalid") -> Issue:
    return Issue("error", code, text, f"SearchParameter.{element}".rstrip("."))


@dataclass(frozen=True, slots=True)
class _Check:
    """One definition, to be put in force in ``registry``."""

    registry: Registry
    definition: SearchParameterDefinition

    def issues(self, others: Sequence[SearchParameterDefinition]) -> Iterator[Issue]:
        """Every fault."""
        found = [*self._form(others), *self._bases()]
        yield from found
        if any(issue.expression == "SearchParameter.base" for issue in found):
            return
        unreadable = [*self._expression(), *self._components()]
        yield from unreadable
        if not found and not unreadable:
            yield from self._together(others)

    def _form(self, others: Sequence[SearchParameterDefinition]) -> Iterator[Issue]:
        definition = self.definition
        if any(each.url == definition.url for each in others):
            yield _issue("url", f"another active SearchParameter has the url {definition.url}", "duplicate")
        if not CODE.fullmatch(definition.code):
            yield _issue(
                "code",
                "a code has 1 to 64 letters, digits, - and _ and begins with a letter: it stands in URLs",
                "value",
            )
        if definition.kind == "special":
            yield _issue(
                "type", "what a special parameter means is a program, which cannot be sent", "not-supported"
            )
        if definition.kind == "composite" and not 2 <= len(definition.components) <= MOST_COMPONENTS:
            yield _issue("component", f"a composite has 2 to {MOST_COMPONENTS} components", "value")
        if definition.kind != "composite" and definition.components:
            yield _issue("component", f"a {definition.kind} parameter has no components; is it a composite?")
        if definition.target and definition.kind != "reference":
            yield _issue("target", f"a {definition.kind} parameter has no targets; is it a reference?")

    def _bases(self) -> Iterator[Issue]:
        definition, registry = self.definition, self.registry
        for number, base in enumerate(definition.base):
            types = registry.types_of([base])
            if not types:
                yield _issue("base", f"{base} is not a resource type of R4", "value")
            taken = self._taken(types)
            if taken:
                yield _issue(
                    f"base[{number}]",
                    f"the code {definition.code} is taken: {', '.join(taken[:NAMED])}"
                    + (f" and {len(taken) - NAMED} types more" if len(taken) > NAMED else ""),
                    "duplicate",
                )

    def _taken(self, types: Iterable[str]) -> list[str]:
        """Which of ``types`` have another parameter of this code, and whose it is."""
        known = [(type, self.registry.defined(type, self.definition.code)) for type in sorted(types)]
        return [f"{type} has {each.url}" for type, each in known if each and each.url != self.definition.url]

    def _expression(self) -> Iterator[Issue]:
        """The faults of each path, for each base."""
        text = self.definition.expression
        if not text or len(text) > LONGEST:
            yield _issue("expression", f"an expression of 1 to {LONGEST} characters is needed", "required")
        elif self.definition.kind != "composite":
            yield from self._told("expression", self.definition)

    def _components(self) -> Iterator[Issue]:
        """The faults of each component: it is tried beside itself, so that only its own are told."""
        components = self.definition.components if self.definition.kind == "composite" else ()
        for number, (url, expression) in enumerate(components):
            place = f"component[{number}]"
            known = self.registry.definition(url)
            if known is None:
                yield _issue(
                    f"{place}.definition", f"no active SearchParameter has the url {url}", "not-found"
                )
            elif known.kind not in COMBINED:
                yield _issue(f"{place}.definition", f"a {known.kind} parameter cannot be a component")
            else:
                twice = msgspec.structs.replace(self.definition, components=((url, expression),) * 2)
                yield from self._told(f"{place}.expression", twice)

    def _told(self, element: str, definition: SearchParameterDefinition) -> Iterator[Issue]:
        """What the translation for each base says, each fault once."""
        told: dict[str, None] = {}
        for base in definition.base:
            type = base if base in self.registry.definitions.resource_types else EXAMPLE
            told.update(dict.fromkeys(self.registry.translator.faults(type, definition)))
        yield from (_issue(element, text) for text in told)

    def _together(self, others: Sequence[SearchParameterDefinition]) -> Iterator[Issue]:
        """Whether the types can be compiled with it: no two arms may have one number."""
        whole = Registry(self.registry.definitions)
        whole.replace_stored([*others, self.definition])
        told: dict[str, None] = {}
        for type in sorted(whole.types_of(self.definition.base)):
            try:
                whole.of_type(type)
            except Unprocessable as error:
                told[f"{type}: {error}"] = None
        yield from (_issue("expression", text) for text in told)
