"""Resource → its texts by words: the displays of codes and references, the narrative, every string of the content.

Nothing of this is done when a resource is written: full text search asks for it when it needs it.
Source: FHIR R4 search.html#text, search.html#content, search.html#modifiers (:text).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from typing import Any, Final

from fhir_server.search.branches import Branch, Emitters, grow, prune
from fhir_server.search.index import CONTENT, NARRATIVE, TextRow
from fhir_server.search.registry import Registry
from fhir_server.search.types.base import Emit, Rows
from fhir_server.search.types.words import words
from fhir_server.search.walking import walker

Json = dict[str, Any]

KINDS: Final = frozenset({"token", "reference"})
"""The kinds of rows whose values have texts beside them."""

NOT_SAID: Final = frozenset({"resourceType", "data"})
"""Members that say nothing to a reader: base64, samples."""

_TAG: Final = re.compile(r"<[^<>]*>")


class Texts:
    """Call it with a resource's JSON. Compiled per type when a type is first met."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._revision = registry.revision
        self._emitters = _TextEmitters()
        self._compiled: dict[str, Emit] = {}

    def __call__(self, data: Json) -> list[TextRow]:
        """Its texts, those without a word left out."""
        rows = Rows(data)
        self._walk(data["resourceType"])(data, rows)
        found = [(key, words(text)) for key, text, *_ in rows.strings]
        found += [(CONTENT, words(text)) for text in strings(data)]
        narrative = data.get("text")
        if isinstance(narrative, dict) and "div" in narrative:
            found.append((NARRATIVE, words(plain(narrative["div"]))))
        return [TextRow(key, said) for key, said in dict.fromkeys(found) if said]

    def _walk(self, type: str) -> Emit:
        if self._revision != self._registry.revision:
            self._compiled.clear()
            self._revision = self._registry.revision
        known = self._compiled.get(type)
        if known is None:
            root = Branch()
            for arm in self._registry.arms(type).values():
                if arm.kind in KINDS:
                    grow(self._registry.model, self._emitters, root, type, arm)
            known = self._compiled[type] = walker(prune(root))
        return known


def strings(value: Any) -> Iterator[str]:
    """Every string and number inside ``value``; markup is left out."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        name, item = waiting.pop()
        if isinstance(item, dict):
            waiting += [pair for pair in item.items() if pair[0] not in NOT_SAID]
        elif isinstance(item, list):
            waiting += [(name, each) for each in item]
        elif isinstance(item, str):
            yield plain(item) if name == "div" else item
        elif isinstance(item, int | float) and not isinstance(item, bool):
            yield str(item)


def plain(div: str) -> str:
    """The text of XHTML."""
    return html.unescape(_TAG.sub(" ", div))


# ── displays ──────────────────────────────────────────────────────────────────


def _say(key: int, text: str | None, rows: Rows) -> None:
    if text:
        rows.strings.append((key, text, "", False))


def _coding(key: int) -> Emit:
    return lambda value, rows: _say(key, value.get("display"), rows)


def _concept(key: int) -> Emit:
    def emit(value: Json, rows: Rows) -> None:
        _say(key, value.get("text"), rows)
        for item in value.get("coding", ()):
            _say(key, item.get("display"), rows)

    return emit


def _identifier(key: int) -> Emit:
    concept = _concept(key)
    return lambda value, rows: concept(value.get("type", {}), rows)


EMITTERS: Mapping[str, Mapping[str, Callable[[int], Emit]]] = {
    "token": {"Coding": _coding, "CodeableConcept": _concept, "Identifier": _identifier},
    "reference": {"Reference": _coding},
}
"""Kind of rows → data type → what says its texts."""


class _TextEmitters(Emitters):
    """Emits displays where the index emits codes."""

    def __init__(self) -> None:
        super().__init__(UTC, None)
        self._tables = EMITTERS
